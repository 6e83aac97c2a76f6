//! Finds out how many of an image's layers are its base image's.

use super::SlimError;
use super::select::{Image, Selection, select};
use super::session::Session;
use super::source::OpenSource;
use crate::image::base::{BASE_DIGEST, BASE_NAME, layers_by_history, layers_of_base};
use crate::image::{ImageConfig, PlatformChoice};
use crate::layering::Squash;
use crate::outcome::BaseFoundBy;
use crate::reference::{ImageName, Reference};

/// The base image's layers, and how they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    /// Their number.
    pub(super) layers: usize,
    /// How it was found.
    pub(super) found_by: BaseFoundBy,
}

/// Finds the base image: the one that the options name, or else by annotations, or else by history. Only
/// squashing above it requires it; otherwise it is `None` if the options do not name it and history does not show it.
///
/// # Errors
/// If the base that the options name is not the base, or a required base cannot be found.
pub(super) async fn base(session: &Session<'_>, image: &Image) -> Result<Option<Base>, SlimError> {
    let name = || session.source.name.clone();
    if let Some(reference) = &session.options.base {
        let base = config_of(session, reference, image).await?;
        let layers = layers_of_base(&image.config, &base)
            .ok_or_else(|| SlimError::NotTheBase { image: name(), base: reference.to_string() })?;
        return Ok(Some(Base { layers, found_by: BaseFoundBy::Options(reference.clone()) }));
    }
    let by_history = || {
        let layers = layers_by_history(&image.config, &image.stack)?;
        Some(Base { layers, found_by: BaseFoundBy::History })
    };
    if session.options.squash != Squash::App {
        return Ok(by_history());
    }
    if let Some(reference) = annotated(image)
        && let Ok(base) = config_of(session, &reference, image).await
        && let Some(layers) = layers_of_base(&image.config, &base)
    {
        return Ok(Some(Base { layers, found_by: BaseFoundBy::Annotations(reference) }));
    }
    by_history().map(Some).ok_or_else(|| SlimError::NoBase { image: name() })
}

async fn config_of(session: &Session<'_>, reference: &Reference, image: &Image) -> Result<ImageConfig, SlimError> {
    let source = OpenSource::open(reference, session.access).await?;
    let choice = match image.config.platform() {
        Some(platform) => {
            PlatformChoice::One { os: platform.os, architecture: platform.architecture, variant: platform.variant }
        }
        None => PlatformChoice::All,
    };
    match select(&source, &choice).await? {
        Selection::One(image) => Ok(image.config),
        Selection::Index { .. } => Err(SlimError::NoBase { image: source.name.clone() }),
    }
}

/// Returns the base image that annotations name, by digest.
fn annotated(image: &Image) -> Option<Reference> {
    let mut name: ImageName = image.manifest.annotation(BASE_NAME)?.parse().ok()?;
    name.digest = Some(image.manifest.annotation(BASE_DIGEST)?.parse().ok()?);
    name.tag = None;
    Some(Reference::Registry(name))
}
