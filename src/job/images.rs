//! Which images a reference means: one, or those of an index.

use super::{Job, SlimError};
use crate::budget::Resource;
use crate::digest::Digest;
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
    /// Something else, which is copied unchanged.
    Other {
        /// Its entry.
        entry: Descriptor,
        /// Why it is not slimmed.
        why: String,
    },
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
        let (mut members, mut first_error) = (Vec::new(), None);
        for entry in &index.manifests {
            if is_attestation(entry) {
                members.push(Member::Attestation(entry.clone()));
                continue;
            }
            let bytes = self.source.manifest(entry).await.map_err(|source| self.source_error(source))?;
            let other = |why: String| Member::Other { entry: entry.clone(), why };
            members.push(match self.document(bytes, Some(&entry.media_type))? {
                Document::Manifest(manifest) if manifest.is_image() => {
                    match self.image(*manifest, Some(entry.clone())).await {
                        Ok(image) => Member::Image(image.into()),
                        Err(error) if error.is_of_one_image() => {
                            let why = error.reason();
                            first_error.get_or_insert(error);
                            other(why)
                        }
                        Err(error) => return Err(error),
                    }
                }
                Document::Manifest(manifest) => other(format!("its config is `{}`", manifest.config.media_type)),
                Document::Index(_) => other("it is an index in an index".to_owned()),
            });
        }
        if !members.iter().any(|member| matches!(member, Member::Image(_))) {
            return Err(match first_error {
                Some(error) => error,
                None => self.no_platform(&PlatformChoice::All, Vec::new()),
            });
        }
        Ok(Selection::Index { index, members })
    }

    async fn one_of(&self, index: Index, choice: &PlatformChoice) -> Result<Selection, SlimError> {
        let images = index.manifests.iter().filter(|entry| !is_attestation(entry)).collect::<Vec<_>>();
        let wanted = |entry: &Descriptor| entry.platform.as_ref().is_some_and(|platform| choice.takes(platform));
        if let Some(entry) = images.iter().find(|entry| wanted(entry)) {
            let bytes = self.source.manifest(entry).await.map_err(|source| self.source_error(source))?;
            return match self.document(bytes, Some(&entry.media_type))? {
                Document::Manifest(manifest) => Ok(Selection::One(self.image(*manifest, None).await?.into())),
                Document::Index(_) => Err(self.no_platform(choice, Vec::new())),
            };
        }
        // An index need not say what its entries are for; their configs do.
        let mut there =
            images.iter().filter_map(|entry| Some(entry.platform.as_ref()?.to_string())).collect::<Vec<_>>();
        for entry in images.iter().filter(|entry| entry.platform.is_none()) {
            let bytes = self.source.manifest(entry).await.map_err(|source| self.source_error(source))?;
            let Document::Manifest(manifest) = self.document(bytes, Some(&entry.media_type))? else { continue };
            if !manifest.is_image() {
                continue;
            }
            let config = self.config(&manifest).await?;
            match config.platform() {
                Some(platform) if choice.takes(&platform) => {
                    return Ok(Selection::One(self.image(*manifest, None).await?.into()));
                }
                platform => there.extend(platform.map(|platform| platform.to_string())),
            }
        }
        Err(self.no_platform(choice, there))
    }

    /// Reads the config of an image.
    async fn image(&self, manifest: Manifest, entry: Option<Descriptor>) -> Result<Image, SlimError> {
        if !manifest.is_image() {
            return Err(SlimError::NotAnImage { image: self.image.clone(), media_type: manifest.config.media_type });
        }
        let config = self.config(&manifest).await?;
        if let Some(platform) = config.platform().filter(|platform| platform.os != "linux") {
            return Err(SlimError::NotLinux { image: self.image.clone(), os: platform.os });
        }
        let stack = LayerStack::new(&manifest, &config)
            .map_err(|source| SlimError::Layers { image: self.image.clone(), source })?;
        Ok(Image { manifest, config, stack, entry })
    }

    async fn config(&self, manifest: &Manifest) -> Result<ImageConfig, SlimError> {
        let blob = self.source.blob(&manifest.config).await.map_err(|source| self.source_error(source))?;
        let descriptor = manifest.config.clone();
        let bytes = super::blocking(move || read_document("config", blob, &descriptor))
            .await?
            .map_err(|source| self.source_error(source))?;
        self.count_document(&bytes)?;
        ImageConfig::parse(bytes).map_err(|source| SlimError::Document { image: self.image.clone(), source })
    }

    fn count_document(&self, bytes: &[u8]) -> Result<(), SlimError> {
        let spent = self.documents.spend(Resource::Documents, bytes.len() as u64);
        spent.map_err(|source| SlimError::Budget { image: self.image.clone(), source })
    }

    fn document(&self, bytes: Vec<u8>, media_type: Option<&str>) -> Result<Document, SlimError> {
        self.count_document(&bytes)?;
        Document::parse(bytes, media_type).map_err(|source| SlimError::Document { image: self.image.clone(), source })
    }

    fn no_platform(&self, wanted: &PlatformChoice, there: Vec<String>) -> SlimError {
        SlimError::NoPlatform { image: self.image.clone(), wanted: wanted.clone(), there }
    }

    pub(super) fn source_error(&self, source: crate::transport::TransportError) -> SlimError {
        SlimError::Source { image: self.image.clone(), source }
    }
}
