//! The opened destination. Errors name it.

use std::fs::File;

use tempfile::TempPath;

use super::SlimError;
use crate::image::Descriptor;
use crate::image::artifact::Artifact;
use crate::layer::codec::Compression;
use crate::options::SlimOptions;
use crate::transport::spool::ScratchFile;
use crate::transport::{self, Access, Blob, Sink, TransportError};

/// A destination that is open.
pub(super) struct Destination {
    sink: Box<dyn Sink>,
    name: String,
}

impl Destination {
    /// Opens the destination of a run; returns `None` for a dry run.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub(super) async fn open(options: &SlimOptions, access: &Access) -> Result<Option<Self>, SlimError> {
        let Some(reference) = &options.destination else { return Ok(None) };
        let name = reference.to_string();
        match transport::create(reference, &options.tags, &options.source, access).await {
            Ok(sink) => Ok(Some(Self { sink, name })),
            Err(source) => Err(SlimError::Destination { destination: name, source }),
        }
    }

    /// Creates a temporary file for restart points.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn scratch(&self) -> Result<ScratchFile, SlimError> {
        self.sink.spool().scratch().map_err(|source| self.error(source))
    }

    /// Creates a temporary file for a new blob.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn file(&self) -> Result<(File, TempPath), SlimError> {
        self.sink.spool().file().map_err(|source| self.error(source))
    }

    /// Returns the compression that the destination prefers.
    pub(super) fn usual_compression(&self) -> Option<Compression> {
        self.sink.usual_compression()
    }

    /// Returns whether a blob may have to be read twice.
    pub(super) fn may_read_twice(&self) -> bool {
        self.sink.may_read_twice()
    }

    /// Returns whether documents can be attached to images there.
    pub(super) fn takes_attachments(&self) -> bool {
        self.sink.takes_attachments()
    }

    /// Returns whether the destination has a blob already.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub(super) async fn has(&self, descriptor: &Descriptor) -> Result<bool, SlimError> {
        self.sink.has(descriptor).await.map_err(|source| self.error(source))
    }

    /// Writes a blob.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), SlimError> {
        self.sink.put(descriptor, blob).await.map_err(|source| self.error(source))
    }

    /// Writes a blob that is in memory, unless the destination has it already.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) async fn put_bytes(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), SlimError> {
        match self.has(descriptor).await? {
            true => Ok(()),
            false => self.put(descriptor, Blob::Stream(Box::new(std::io::Cursor::new(bytes.to_vec())))).await,
        }
    }

    /// Writes a manifest that an index lists.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), SlimError> {
        self.sink.put_manifest(descriptor, bytes).await.map_err(|source| self.error(source))
    }

    /// Attaches a document to an image that is about to become visible.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) async fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<(), SlimError> {
        let attached = self.sink.attach(subject, artifact).await;
        attached.map_err(|source| SlimError::Attach { destination: self.name.clone(), source })
    }

    /// Makes the new image visible.
    ///
    /// # Errors
    /// If its manifest or index cannot be written.
    pub(super) async fn finish(&self, root: &Descriptor, bytes: &[u8]) -> Result<(), SlimError> {
        self.sink.finish(root, bytes).await.map_err(|source| self.error(source))
    }

    fn error(&self, source: TransportError) -> SlimError {
        SlimError::Destination { destination: self.name.clone(), source }
    }
}
