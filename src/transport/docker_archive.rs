//! `docker-archive:`: the output of `docker save`, in the old form (one folder per layer) and the new one (also an OCI
//! layout).
//!
//! Such an archive has no image manifest. A manifest is created from `manifest.json` and the config. The compression of
//! a layer is detected by its first bytes: `docker save` stores layers uncompressed, other tools also compressed.

use std::io::{self, Read};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::archive::Archive;
use super::error::TransportError;
use super::layout::{self, Files};
use super::{FileSlice, RawBlob, Source};
use crate::blob::{BlobFacts, HashingWriter};
use crate::digest::Digest;
use crate::image::{Descriptor, ImageConfig, media_type};
use crate::layer::codec::Compression;
use crate::reference::ImageName;

/// An image in a `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads an image from the output of `docker save`.
pub struct DockerArchiveSource {
    archive: Archive,
    manifest: Vec<u8>,
    /// The path in the archive of each blob.
    blobs: Vec<(Digest, String)>,
}

impl DockerArchiveSource {
    /// Reads the image that `tag` (`name:tag`) names, or the only one.
    ///
    /// # Errors
    /// If there is no such image, or the archive is damaged.
    pub fn new(archive: Archive, tag: Option<String>) -> Result<Self, TransportError> {
        let item = choose(&archive, tag)?;
        let damaged = |why: String| TransportError::DockerArchive { place: archive.place(), why };
        let missing = |path: &str| damaged(format!("`{path}` is missing"));
        let mut config = Vec::new();
        archive
            .open(&item.config)?
            .ok_or_else(|| missing(&item.config))?
            .take(crate::image::document::MAX_DOCUMENT)
            .read_to_end(&mut config)
            .map_err(|error| damaged(error.to_string()))?;
        let parsed = ImageConfig::parse(config.clone()).map_err(|error| damaged(error.to_string()))?;
        if parsed.diff_ids().len() != item.layers.len() {
            return Err(damaged(format!(
                "`manifest.json` lists {} layers, the config {} diff IDs",
                item.layers.len(),
                parsed.diff_ids().len()
            )));
        }
        let mut blobs = vec![(Digest::of(&config), item.config.clone())];
        let mut layers = Vec::new();
        for (path, &diff_id) in item.layers.iter().zip(parsed.diff_ids()) {
            let layer = describe(&archive, path, diff_id)?.ok_or_else(|| missing(path))?;
            blobs.push((layer.digest, path.clone()));
            layers.push(layer);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config),
            "layers": layers,
        });
        Ok(Self { archive, manifest: manifest.to_string().into_bytes(), blobs })
    }
}

/// Returns the image that `tag` names, or the only one.
fn choose(archive: &Archive, tag: Option<String>) -> Result<Item, TransportError> {
    let place = archive.place();
    let json = layout::read_json(archive, "manifest.json")?.unwrap_or_default();
    let items: Vec<Item> = serde_json::from_value(json).map_err(|source| TransportError::Json {
        place: place.clone(),
        file: "manifest.json".to_owned(),
        source,
    })?;
    let tags = items.iter().flat_map(|item| item.repo_tags.clone().unwrap_or_default()).collect();
    match tag {
        Some(tag) => {
            let named = |item: &&Item| item.repo_tags.iter().flatten().any(|name| is_same_name(name, &tag));
            let found = items.iter().find(named).cloned();
            found.ok_or(TransportError::NoTag { place, tag, tags })
        }
        None if items.len() > 1 => Err(TransportError::Ambiguous { place, tags }),
        None => items.into_iter().next().ok_or(TransportError::NoImage(place)),
    }
}

/// Returns whether two names mean the same image. Some tools write `docker.io/library/app:1`, others `app:1`.
fn is_same_name(one: &str, other: &str) -> bool {
    let name = |text: &str| text.parse::<ImageName>().ok();
    one == other || name(one).is_some() && name(one) == name(other)
}

/// Creates the descriptor of a layer. The digest of an uncompressed layer is its diff ID. That of a compressed layer is
/// computed.
fn describe(archive: &Archive, path: &str, diff_id: Digest) -> Result<Option<Descriptor>, TransportError> {
    let (Some(mut reader), Some(size)) = (archive.open(path)?, archive.size(path)) else {
        return Ok(None);
    };
    let read = |source| TransportError::Copy { digest: diff_id, source };
    let mut start = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut start).map_err(read)?;
    let compression = Compression::sniff(&start);
    let facts = if compression == Compression::None {
        BlobFacts { digest: diff_id, size }
    } else {
        let mut writer = HashingWriter::new(io::sink());
        io::copy(&mut start.chain(reader), &mut writer).map_err(read)?;
        writer.finish().1
    };
    Ok(Some(Descriptor::new(media_type::oci_layer(compression), facts)))
}

#[async_trait]
impl Source for DockerArchiveSource {
    async fn root(&self) -> Result<(Vec<u8>, Option<String>), TransportError> {
        Ok((self.manifest.clone(), Some(media_type::OCI_MANIFEST.to_owned())))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
        Err(TransportError::MissingBlob { digest: descriptor.digest, place: self.archive.place() })
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<RawBlob, TransportError> {
        let path = self.blobs.iter().find(|(digest, _)| *digest == descriptor.digest);
        let opened = path.map(|(_, path)| self.archive.open(path)).transpose()?.flatten();
        let reader = opened
            .ok_or_else(|| TransportError::MissingBlob { digest: descriptor.digest, place: self.archive.place() })?;
        Ok(RawBlob::new(reader))
    }

    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError> {
        let path = self.blobs.iter().find(|(digest, _)| *digest == descriptor.digest);
        Ok(path.map(|(_, path)| self.archive.slice(path)).transpose()?.flatten())
    }
}
