//! Where images come from and go to: one file for each medium, behind two small traits.
//!
//! A [`Source`] gives documents, which it has verified, and blobs, which [`RawBlob`] verifies as they are read. It gives a
//! blob as often as it is asked for.
//! A [`Sink`] takes blobs in any order, then manifests; nothing is visible at the destination until `finish`.

pub mod archive;
pub mod daemon;
pub mod docker_archive;
pub mod error;
pub mod layout;
pub mod open;
pub mod raw_blob;
pub mod registry;
pub mod slice;
pub mod spool;
pub mod staging;

use std::io::Read;

use async_trait::async_trait;
pub use pydock_registry::{Logins, Secret, Tls};

pub use error::TransportError;
pub use open::{Access, create, open};
pub use raw_blob::RawBlob;
pub use slice::FileSlice;
pub use spool::{Spool, SpooledBlob};

use crate::digest::Digest;
use crate::image::Descriptor;
use crate::image::artifact::Artifact;
use crate::layer::codec::Compression;

/// A reader that may block its thread.
pub type BlobReader = Box<dyn Read + Send>;

/// An image that can be read.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns the document to which the reference points, and its media type if the medium knows it.
    async fn root(&self) -> Result<(Vec<u8>, Option<String>), TransportError>;

    /// Returns a manifest or an index that an index lists.
    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError>;

    /// Opens a config, a layer or another blob.
    async fn blob(&self, descriptor: &Descriptor) -> Result<RawBlob, TransportError>;

    /// Returns whether the medium has a signature of an image.
    async fn is_signed(&self, _image: &Digest) -> Result<bool, TransportError> {
        Ok(false)
    }

    /// Opens a blob for random access, if that is possible without fetching the blob again. Its bytes are not verified.
    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError>;
}

/// A destination of an image.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Returns the spool in which new blobs are created.
    fn spool(&self) -> &Spool;

    /// Returns whether the destination already has a blob.
    async fn has(&self, descriptor: &Descriptor) -> Result<bool, TransportError>;

    /// Returns the best compression of layers for the destination, if it is not the general one.
    fn usual_compression(&self) -> Option<Compression> {
        None
    }

    /// Returns whether `put` may read a blob twice. A [`Blob::Slice`] saves a copy then.
    fn may_read_twice(&self) -> bool {
        false
    }

    /// Writes a blob.
    async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError>;

    /// Writes a manifest that the index in `finish` lists.
    async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError>;

    /// Returns whether artifacts can be attached to images at the destination.
    fn takes_attachments(&self) -> bool {
        false
    }

    /// Attaches an artifact to an image, which need not be visible yet.
    async fn attach(&self, _subject: &Descriptor, _artifact: &Artifact) -> Result<(), TransportError> {
        Ok(())
    }

    /// Writes the manifest or index of the image, which makes the image visible.
    async fn finish(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError>;
}

/// A blob for a sink.
pub enum Blob {
    /// A new blob in the spool of the sink.
    Spooled(SpooledBlob),
    /// A part of a file that is kept.
    Slice(FileSlice),
    /// A blob of a source.
    Stream(BlobReader),
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spooled(blob) => blob.fmt(f),
            Self::Slice(slice) => slice.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
