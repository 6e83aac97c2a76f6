//! Selects the images that a reference means: one, or those of an index.

use super::SlimError;
use super::source::OpenSource;
use crate::digest::Digest;
use crate::image::index::{Index, is_attestation};
use crate::image::{Descriptor, Document, ImageConfig, LayerStack, Manifest, Platform, PlatformChoice, marks};

/// An image with its config and layers.
#[derive(Debug)]
pub(super) struct Image {
    /// Its manifest.
    pub(super) manifest: Manifest,
    /// Its config.
    pub(super) config: ImageConfig,
    /// Its layers.
    pub(super) stack: LayerStack,
    /// Its entry in the index, if it has one.
    pub(super) entry: Option<Descriptor>,
}

/// What a reference means.
#[derive(Debug)]
pub(super) enum Selection {
    /// One image.
    One(Box<Image>),
    /// An index. The new image is an index, too.
    Index {
        /// The index.
        index: Index,
        /// Its entries, in order.
        members: Vec<Member>,
    },
}

impl Selection {
    /// Returns the digest of the image or index.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::One(image) => Digest::of(&image.manifest.bytes),
            Self::Index { index, .. } => Digest::of(&index.bytes),
        }
    }

    /// Returns whether pydock made the image or index.
    pub(super) fn is_slim(&self) -> bool {
        let document = match self {
            Self::One(image) => &image.manifest.json,
            Self::Index { index, .. } => &index.json,
        };
        marks::source_digest(document).is_some()
    }

    /// Returns the images to slim.
    pub(super) fn images(&self) -> impl Iterator<Item = &Image> {
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
pub(super) enum Member {
    /// An image to slim.
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
    pub(super) fn platform(&self) -> String {
        let listed = self.entry.as_ref().and_then(|entry| entry.platform.clone());
        let platform: Option<Platform> = listed.or_else(|| self.config.platform());
        platform.map_or_else(|| "unknown".to_owned(), |platform| platform.to_string())
    }
}

/// Reads what the reference points at.
///
/// # Errors
/// If it cannot be read, or has no image for the platform.
pub(super) async fn select(source: &OpenSource, choice: &PlatformChoice) -> Result<Selection, SlimError> {
    match source.root().await? {
        Document::Manifest(manifest) => {
            let image = read_image(source, *manifest, None).await?;
            if let (PlatformChoice::One { .. }, Some(platform)) = (choice, image.config.platform())
                && !choice.takes(&platform)
            {
                return Err(no_platform(source, choice, vec![platform.to_string()]));
            }
            Ok(Selection::One(image.into()))
        }
        Document::Index(index) if *choice == PlatformChoice::All => all_of(source, index).await,
        Document::Index(index) => one_of(source, index, choice).await,
    }
}

/// Selects all images of an index.
async fn all_of(source: &OpenSource, index: Index) -> Result<Selection, SlimError> {
    let (mut members, mut first_error) = (Vec::new(), None);
    for entry in &index.manifests {
        if is_attestation(entry) {
            members.push(Member::Attestation(entry.clone()));
            continue;
        }
        let other = |why: String| Member::Other { entry: entry.clone(), why };
        members.push(match source.document(entry).await? {
            Document::Manifest(manifest) if manifest.is_image() => {
                match read_image(source, *manifest, Some(entry.clone())).await {
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
        return Err(first_error.unwrap_or_else(|| no_platform(source, &PlatformChoice::All, Vec::new())));
    }
    Ok(Selection::Index { index, members })
}

/// Selects the image of an index that is for a platform.
async fn one_of(source: &OpenSource, index: Index, choice: &PlatformChoice) -> Result<Selection, SlimError> {
    let images = index.manifests.iter().filter(|entry| !is_attestation(entry)).collect::<Vec<_>>();
    let wanted = |entry: &Descriptor| entry.platform.as_ref().is_some_and(|platform| choice.takes(platform));
    if let Some(entry) = images.iter().find(|entry| wanted(entry)) {
        return match source.document(entry).await? {
            Document::Manifest(manifest) => Ok(Selection::One(read_image(source, *manifest, None).await?.into())),
            Document::Index(_) => Err(no_platform(source, choice, Vec::new())),
        };
    }
    // An index need not name the platforms of its entries. Their configs do.
    let listed = images.iter().filter_map(|entry| Some(entry.platform.as_ref()?.to_string()));
    let mut found = listed.collect::<Vec<_>>();
    for entry in images.iter().filter(|entry| entry.platform.is_none()) {
        let Document::Manifest(manifest) = source.document(entry).await? else { continue };
        if !manifest.is_image() {
            continue;
        }
        match source.config(&manifest).await?.platform() {
            Some(platform) if choice.takes(&platform) => {
                return Ok(Selection::One(read_image(source, *manifest, None).await?.into()));
            }
            platform => found.extend(platform.map(|platform| platform.to_string())),
        }
    }
    Err(no_platform(source, choice, found))
}

/// Reads the config of an image.
async fn read_image(source: &OpenSource, manifest: Manifest, entry: Option<Descriptor>) -> Result<Image, SlimError> {
    let image = || source.name.clone();
    if !manifest.is_image() {
        return Err(SlimError::NotAnImage { image: image(), media_type: manifest.config.media_type });
    }
    let config = source.config(&manifest).await?;
    if let Some(platform) = config.platform().filter(|platform| platform.os != "linux") {
        return Err(SlimError::NotLinux { image: image(), os: platform.os });
    }
    let stack = LayerStack::new(&manifest, &config).map_err(|source| SlimError::Layers { image: image(), source })?;
    Ok(Image { manifest, config, stack, entry })
}

fn no_platform(source: &OpenSource, wanted: &PlatformChoice, found: Vec<String>) -> SlimError {
    SlimError::NoPlatform { image: source.name.clone(), wanted: wanted.clone(), there: found }
}
