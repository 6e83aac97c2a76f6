//! Images that become visible at once: blobs are collected in a spool next to their destination.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;

use super::error::TransportError;
use super::spool::{Spool, SpooledBlob};
use super::{Blob, BlobReader, Sink};
use crate::blob::{HashingWriter, VerifyingReader};
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::layer::codec::Compression;

/// The blobs and manifests of an image in a spool, until the image is complete.
pub struct Staging {
    spool: Spool,
    blobs: Mutex<HashMap<Digest, SpooledBlob>>,
}

impl Staging {
    /// Creates an empty staging area in `place`.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub fn new(place: &Path) -> Result<Self, TransportError> {
        Ok(Self { spool: Spool::new(place)?, blobs: Mutex::default() })
    }

    /// Returns the spool.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Returns whether a blob is staged.
    pub fn has(&self, digest: &Digest) -> bool {
        self.lock().contains_key(digest)
    }

    /// Stages a blob.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError> {
        let blob = match blob {
            Blob::Spooled(blob) => blob,
            Blob::Slice(slice) => {
                let copy = |source| TransportError::Copy { digest: descriptor.digest, source };
                let reader = VerifyingReader::new(slice.reader().map_err(copy)?, descriptor.facts());
                self.copy(Box::new(reader), descriptor.digest).await?
            }
            Blob::Stream(reader) => self.copy(reader, descriptor.digest).await?,
        };
        self.lock().insert(descriptor.digest, blob);
        Ok(())
    }

    /// Stages a document.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put_bytes(&self, digest: Digest, bytes: &[u8]) -> Result<(), TransportError> {
        let (mut file, path) = self.spool.file()?;
        file.write_all(bytes).map_err(TransportError::file("write", &*path))?;
        let size = bytes.len() as u64;
        let facts = crate::blob::BlobFacts { digest, size };
        self.lock().insert(digest, SpooledBlob { path, facts });
        Ok(())
    }

    /// Removes all blobs and returns them, in the order of their digests.
    pub fn take(&self) -> Vec<SpooledBlob> {
        let mut blobs = std::mem::take(&mut *self.lock()).into_values().collect::<Vec<_>>();
        blobs.sort_by_key(|blob| blob.facts.digest);
        blobs
    }

    async fn copy(&self, mut reader: BlobReader, digest: Digest) -> Result<SpooledBlob, TransportError> {
        let (file, path) = self.spool.file()?;
        let copy = move || {
            let mut writer = HashingWriter::new(file);
            io::copy(&mut reader, &mut writer).map_err(|source| TransportError::Copy { digest, source })?;
            let (_, facts) = writer.finish();
            Ok(SpooledBlob { path, facts })
        };
        tokio::task::spawn_blocking(copy).await.map_err(|_| TransportError::Stopped)?
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, SpooledBlob>> {
        self.blobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A destination of a staged image.
#[async_trait]
pub trait StagedPlace: Send + Sync {
    /// Returns whether the destination already has a blob.
    fn has(&self, _descriptor: &Descriptor) -> bool {
        false
    }

    /// Returns the best compression of layers for the destination, if it is not the general one.
    fn usual_compression(&self) -> Option<Compression> {
        None
    }

    /// Makes the image visible. All its blobs and manifests are staged.
    async fn publish(&self, staging: &Staging, root: &Descriptor) -> Result<(), TransportError>;
}

/// Writes an image that becomes visible at once.
pub struct StagedSink<P> {
    staging: Staging,
    place: P,
}

impl<P: StagedPlace> StagedSink<P> {
    /// Stages blobs in the folder `work`. If it is on the same file system as the destination, blobs are not copied
    /// again.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub fn new(work: &Path, place: P) -> Result<Self, TransportError> {
        Ok(Self { staging: Staging::new(work)?, place })
    }
}

#[async_trait]
impl<P: StagedPlace> Sink for StagedSink<P> {
    fn spool(&self) -> &Spool {
        self.staging.spool()
    }

    fn usual_compression(&self) -> Option<Compression> {
        self.place.usual_compression()
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool, TransportError> {
        Ok(self.staging.has(&descriptor.digest) || self.place.has(descriptor))
    }

    async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError> {
        self.staging.put(descriptor, blob).await
    }

    async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        self.staging.put_bytes(descriptor.digest, bytes)
    }

    async fn finish(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        self.staging.put_bytes(descriptor.digest, bytes)?;
        self.place.publish(&self.staging, descriptor).await
    }
}
