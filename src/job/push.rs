//! Writes a new image to its destination: blobs first.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::rewrite::MadeBlob;
use super::{Job, SlimError};
use crate::digest::Digest;
use crate::image::artifact::Artifact;
use crate::image::document::{DocumentError, MAX_NESTED_INDEXES};
use crate::image::rebuild::Rebuilt;
use crate::image::{Descriptor, Document, Manifest, media_type};
use crate::progress::Stage;
use crate::transport::{Blob, Sink};

/// How many blobs are pushed at once.
const AT_ONCE: usize = 3;

/// A place to write to, and its name for messages.
pub struct Destination {
    /// The place.
    pub sink: Box<dyn Sink>,
    /// Its name.
    pub name: String,
}

impl Destination {
    pub(super) fn error(&self, source: crate::transport::TransportError) -> SlimError {
        SlimError::Destination { destination: self.name.clone(), source }
    }

    async fn put_bytes(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), SlimError> {
        if self.sink.has(descriptor).await.map_err(|error| self.error(error))? {
            return Ok(());
        }
        let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
        let put = self.sink.put(descriptor, Blob::Stream(reader)).await;
        put.map_err(|error| self.error(error))
    }
}

impl Job {
    /// Puts the config and layers of a new image; those that were not made by us come from the source.
    ///
    /// # Errors
    /// If the source cannot be read or the destination not be written.
    pub async fn push_blobs(
        &self,
        image: &Rebuilt,
        mut made: HashMap<Digest, MadeBlob>,
        to: &Destination,
    ) -> Result<(), SlimError> {
        let mut seen = HashSet::new();
        let layers = image.layers.iter().filter(|layer| seen.insert(layer.digest));
        let layers = layers.map(|layer| (layer.clone(), made.remove(&layer.digest))).collect::<Vec<_>>();
        stream::iter(layers)
            .map(|(layer, blob)| async move { self.push_blob(&layer, blob, to).await })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        to.put_bytes(&image.config_descriptor, &image.config).await
    }

    async fn push_blob(
        &self,
        descriptor: &Descriptor,
        made: Option<MadeBlob>,
        to: &Destination,
    ) -> Result<(), SlimError> {
        if to.sink.has(descriptor).await.map_err(|error| to.error(error))? {
            return Ok(());
        }
        let what = descriptor.digest.short();
        let put = match made {
            Some(made) => {
                let meter = self.progress.begin(Stage::Push, &what, descriptor.size);
                let blob = match made {
                    MadeBlob::Spooled(blob) => Blob::Spooled(blob),
                    MadeBlob::Cached(layer) => Blob::Stream(layer.reader()),
                };
                let put = to.sink.put(descriptor, blob).await;
                meter.advance(descriptor.size);
                put
            }
            None if to.sink.may_read_twice()
                && let Some(slice) =
                    self.source.slice(descriptor).await.map_err(|error| self.source_error(error))? =>
            {
                let meter = self.progress.begin(Stage::Push, &what, descriptor.size);
                let put = to.sink.put(descriptor, Blob::Slice(slice)).await;
                meter.advance(descriptor.size);
                put
            }
            None => {
                let opened = self.open(Stage::Push, &what, descriptor).await;
                let reader = opened.map_err(|error| self.source_error(error))?;
                to.sink.put(descriptor, Blob::Stream(reader)).await
            }
        };
        put.map_err(|error| to.error(error))
    }

    /// Passes on the blobs of an image as it is.
    ///
    /// # Errors
    /// As [`Job::push_blobs`].
    pub async fn pass_on_blobs(&self, manifest: &Manifest, to: &Destination) -> Result<(), SlimError> {
        // Layers of Windows are at URLs that the manifest names, not in the registry.
        let is_here = |layer: &&Descriptor| !media_type::is_foreign(&layer.media_type);
        for blob in manifest.layers.iter().filter(is_here).chain([&manifest.config]) {
            self.push_blob(blob, None, to).await?;
        }
        Ok(())
    }

    /// Copies entries of an index unchanged, with all that they point at; each document once, however often it is listed.
    ///
    /// # Errors
    /// As [`Job::push_blobs`], or if indexes are nested too deep.
    pub async fn pass_on(&self, entries: &[Descriptor], to: &Destination) -> Result<(), SlimError> {
        let mut seen = HashSet::new();
        self.pass_on_unseen(entries, to, &mut seen, 0).await
    }

    async fn pass_on_unseen(
        &self,
        entries: &[Descriptor],
        to: &Destination,
        seen: &mut HashSet<Digest>,
        depth: usize,
    ) -> Result<(), SlimError> {
        let document_error = |source| SlimError::Document { image: self.image.clone(), source };
        if depth > MAX_NESTED_INDEXES {
            return Err(document_error(DocumentError::Nested));
        }
        for entry in entries {
            if !seen.insert(entry.digest) {
                continue;
            }
            let bytes = self.source.manifest(entry).await.map_err(|error| self.source_error(error))?;
            match Document::parse(bytes.clone(), Some(&entry.media_type)).map_err(document_error)? {
                Document::Manifest(manifest) => self.pass_on_blobs(&manifest, to).await?,
                Document::Index(index) => {
                    Box::pin(self.pass_on_unseen(&index.manifests, to, seen, depth + 1)).await?;
                }
            }
            to.sink.put_manifest(entry, &bytes).await.map_err(|error| to.error(error))?;
        }
        Ok(())
    }

    /// Puts the manifest of an image that an index lists.
    ///
    /// # Errors
    /// If the destination cannot be written.
    pub async fn push_manifest(&self, image: &Rebuilt, to: &Destination) -> Result<(), SlimError> {
        let put = to.sink.put_manifest(&image.descriptor, &image.manifest).await;
        put.map_err(|error| to.error(error))
    }

    /// Attaches a document to an image that is about to become visible.
    ///
    /// # Errors
    /// If the destination cannot be written.
    pub async fn attach(&self, subject: &Descriptor, artifact: &Artifact, to: &Destination) -> Result<(), SlimError> {
        to.sink
            .attach(subject, artifact)
            .await
            .map_err(|source| SlimError::Attach { destination: to.name.clone(), source })
    }

    /// Makes the new image visible.
    ///
    /// # Errors
    /// If the destination cannot be written.
    pub async fn publish(&self, root: &Descriptor, bytes: &[u8], to: &Destination) -> Result<(), SlimError> {
        to.sink.finish(root, bytes).await.map_err(|error| to.error(error))
    }
}
