//! Which images a reference means: one, or those of an index.

use super::{Job, SlimError};
use crate::digest::Digest;
use crate::hasher::Hasher;
use crate::image::index::{Index, is_attestation};
use crate::image::{Descriptor, Document, ImageConfig, LayerStack, Manifest, Platform, PlatformChoice};
use crate::transport::layout::read_document;

/// An image with its config and layers.
#[derive(Debug)]
pub struct Image {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers.
    pub stack: LayerStack,
    /// Its entry in the index, if it has one.
    pub entry: Option<Descriptor>,
}

/// What a reference means.
#[derive(Debug)]
pub enum Selection {
    /// One image.
    One(Box<Image>),
    /// An index that is to stay one.
    Index {
        /// The index.
        index: Index,
        /// What becomes of its entries, in order.
        members: Vec<Member>,
    },
}

impl Selection {
    /// Returns the images that are to be slimmed.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        let (one, members) = match self {
            Self::One(image) => (Some(&**image), &[][..]),
            Self::Index { members, .. } => (None, &members[..]),
        };
        let members = members.iter().filter_map(|member| match member {
            Member::Image(image) => Some(&**image),
            _ => None,
        });
        one.into_iter().chain(members)
    }
}

/// An entry of an index.
#[derive(Debug)]
pub enum Member {
    /// An image to be slimmed.
    Image(Box<Image>),
    /// An attestation, which is dropped.
    Attestation(Descriptor),
    /// Something else, which is passed on.
    Other(Descriptor),
}

impl Image {
    /// Returns `os/arch[/variant]`.
    pub fn platform(&self) -> String {
        let listed = self.entry.as_ref().and_then(|entry| entry.platform.clone());
        let platform: Option<Platform> = listed.or_else(|| self.config.platform());
        platform.map_or_else(|| "unknown".to_owned(), |platform| platform.to_string())
    }
}

impl Job {
    /// Reads what the reference points at.
    ///
    /// # Errors
    /// If it cannot be read, or has no image for the platform.
    pub async fn select(&self, choice: &PlatformChoice) -> Result<Selection, SlimError> {
        let (bytes, media_type) = self.source.root().await.map_err(|source| self.source_error(source))?;
        match self.document(bytes, media_type.as_deref())? {
            Document::Manifest(manifest) => {
                let image = self.image(*manifest, None).await?;
                if let (PlatformChoice::One { .. }, Some(platform)) = (choice, image.config.platform())
                    && !choice.takes(&platform)
                {
                    return Err(self.no_platform(choice, vec![platform.to_string()]));
                }
                Ok(Selection::One(image.into()))
            }
            Document::Index(index) if *choice == PlatformChoice::All => self.members(index).await,
            Document::Index(index) => self.one_of(index, choice).await,
        }
    }

    /// Returns the digest of what the reference points at now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn root_digest(&self) -> Result<Digest, SlimError> {
        let (bytes, _) = self.source.root().await.map_err(|source| self.source_error(source))?;
        Ok(Digest::of(&bytes))
    }

    /// Tells whether an image at the source is signed; one that cannot be asked about is not known to be.
    pub async fn is_signed(&self, image: &Digest) -> bool {
        let asked = self.source.is_signed(image).await;
        asked.inspect_err(|error| tracing::info!(%error, "not known whether the image is signed")).unwrap_or(false)
    }

    async fn members(&self, index: Index) -> Result<Selection, SlimError> {
        let mut members = Vec::new();
        for entry in &index.manifests {
            if is_attestation(entry) {
                members.push(Member::Attestation(entry.clone()));
                continue;
            }
            let bytes = self.source.manifest(entry).await.map_err(|source| self.source_error(source))?;
            members.push(match self.document(bytes, Some(&entry.media_type))? {
                Document::Manifest(manifest) if manifest.is_image() => {
                    Member::Image(self.image(*manifest, Some(entry.clone())).await?.into())
                }
                _ => Member::Other(entry.clone()),
            });
        }
        if !members.iter().any(|member| matches!(member, Member::Image(_))) {
            return Err(self.no_platform(&PlatformChoice::All, Vec::new()));
        }
        Ok(Selection::Index { index, members })
    }

    async fn one_of(&self, index: Index, choice: &PlatformChoice) -> Result<Selection, SlimError> {
        let wanted = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|platform| choice.takes(platform));
        let Some(entry) = index.manifests.iter().find(wanted) else {
            let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
            return Err(self.no_platform(choice, platforms.map(ToString::to_string).collect()));
        };
        let bytes = self.source.manifest(entry).await.map_err(|source| self.source_error(source))?;
        match self.document(bytes, Some(&entry.media_type))? {
            Document::Manifest(manifest) => Ok(Selection::One(self.image(*manifest, None).await?.into())),
            Document::Index(_) => Err(self.no_platform(choice, Vec::new())),
        }
    }

    /// Reads the config of an image.
    async fn image(&self, manifest: Manifest, entry: Option<Descriptor>) -> Result<Image, SlimError> {
        if !manifest.is_image() {
            return Err(SlimError::NotAnImage { image: self.image.clone(), media_type: manifest.config.media_type });
        }
        let reader =
            self.source.blob(&manifest.config, Hasher::default()).await.map_err(|source| self.source_error(source))?;
        let descriptor = manifest.config.clone();
        let bytes = super::blocking(move || read_document("config", reader, &descriptor))
            .await?
            .map_err(|source| self.source_error(source))?;
        let config =
            ImageConfig::parse(bytes).map_err(|source| SlimError::Document { image: self.image.clone(), source })?;
        if let Some(platform) = config.platform().filter(|platform| platform.os != "linux") {
            return Err(SlimError::NotLinux { image: self.image.clone(), os: platform.os });
        }
        let stack = LayerStack::new(&manifest, &config)
            .map_err(|source| SlimError::Layers { image: self.image.clone(), source })?;
        Ok(Image { manifest, config, stack, entry })
    }

    fn document(&self, bytes: Vec<u8>, media_type: Option<&str>) -> Result<Document, SlimError> {
        Document::parse(bytes, media_type).map_err(|source| SlimError::Document { image: self.image.clone(), source })
    }

    fn no_platform(&self, wanted: &PlatformChoice, there: Vec<String>) -> SlimError {
        SlimError::NoPlatform { image: self.image.clone(), wanted: wanted.clone(), there }
    }

    pub(super) fn source_error(&self, source: crate::transport::TransportError) -> SlimError {
        SlimError::Source { image: self.image.clone(), source }
    }
}
