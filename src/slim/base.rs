//! Finds out how many of an image's layers are its base image's.

use std::sync::Arc;

use super::SlimError;
use super::images::{Image, Selection};
use super::job::Job;
use crate::image::base::{BASE_DIGEST, BASE_NAME, layers_by_history, layers_of_base};
use crate::image::{ImageConfig, PlatformChoice};
use crate::reference::{ImageName, Reference};
use crate::transport::{self, Access};

/// How many layers are the base image's, and how that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    /// Number of layers.
    pub(super) layers: usize,
    /// For people.
    pub(super) found_by: String,
}

impl Job {
    /// Finds the base: `given` by the person, else by annotations, else by history.
    ///
    /// # Errors
    /// If `given` is not the base, or nothing tells.
    pub(super) async fn base(
        self: &Arc<Self>,
        image: &Image,
        given: Option<&Reference>,
        access: &Access,
    ) -> Result<Base, SlimError> {
        if let Some(reference) = given {
            let base = self.base_config(reference, image, access).await?;
            let layers = layers_of_base(&image.config, &base)
                .ok_or_else(|| SlimError::NotTheBase { image: self.image.clone(), base: reference.to_string() })?;
            return Ok(Base { layers, found_by: format!("--base {reference}") });
        }
        if let Some(reference) = annotated(image)
            && let Ok(base) = self.base_config(&reference, image, access).await
            && let Some(layers) = layers_of_base(&image.config, &base)
        {
            return Ok(Base { layers, found_by: format!("annotations, which name {reference}") });
        }
        let layers = layers_by_history(&image.config, &image.stack)
            .ok_or_else(|| SlimError::NoBase { image: self.image.clone() })?;
        Ok(Base { layers, found_by: "history".to_owned() })
    }

    async fn base_config(
        &self,
        reference: &Reference,
        image: &Image,
        access: &Access,
    ) -> Result<ImageConfig, SlimError> {
        let name = reference.to_string();
        let source = transport::open(reference, access)
            .await
            .map_err(|source| SlimError::Source { image: name.clone(), source })?;
        let base = Job::new(source, name, 1, self.progress.clone());
        let choice = match image.config.platform() {
            Some(platform) => {
                PlatformChoice::One { os: platform.os, architecture: platform.architecture, variant: platform.variant }
            }
            None => PlatformChoice::All,
        };
        match base.select(&choice).await? {
            Selection::One(image) => Ok(image.config),
            Selection::Index { .. } => Err(SlimError::NoBase { image: base.image.clone() }),
        }
    }
}

/// Returns the base image that annotations name, by digest.
fn annotated(image: &Image) -> Option<Reference> {
    let mut name: ImageName = image.manifest.annotation(BASE_NAME)?.parse().ok()?;
    name.digest = Some(image.manifest.annotation(BASE_DIGEST)?.parse().ok()?);
    name.tag = None;
    Some(Reference::Registry(name))
}
