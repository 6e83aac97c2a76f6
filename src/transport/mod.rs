//! Where images come from and go to: one file for each medium, behind two small traits.
//!
//! A [`Source`] gives documents and blobs, every byte verified as it passes, and gives a blob as often as it is asked for.
//! A [`Sink`] takes blobs in any order, then manifests; nothing is visible at the destination until `finish`.

pub mod archive;
pub mod daemon;
pub mod docker_archive;
pub mod error;
pub mod layout;
pub mod open;
pub mod registry;
pub mod slice;
pub mod spool;
pub mod staging;

use std::io::Read;

use async_trait::async_trait;

pub use error::TransportError;
pub use open::{Access, create, open};
pub use pydock_registry::{Logins, Secret, Tls};
pub use slice::FileSlice;
pub use spool::{Spool, SpooledBlob};

use crate::digest::Digest;
use crate::hasher::Hasher;
use crate::image::Descriptor;
use crate::image::artifact::Artifact;
use crate::layer::codec::Compression;

/// A reader to be used on a thread that may block.
pub type BlobReader = Box<dyn Read + Send>;

/// An image that can be read.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns the document that the reference points at, and its media type if the medium knows it.
    async fn root(&self) -> Result<(Vec<u8>, Option<String>), TransportError>;

    /// Returns a manifest or an index that an index lists.
    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError>;

    /// Opens a config, a layer or another blob. The reader fails at its end if the bytes are not the descriptor's; `hasher`, which
    /// is new, helps with that.
    async fn blob(&self, descriptor: &Descriptor, hasher: Hasher) -> Result<BlobReader, TransportError>;

    /// Tells whether an image is signed, as far as the medium knows.
    async fn is_signed(&self, _image: &Digest) -> Result<bool, TransportError> {
        Ok(false)
    }

    /// Opens a blob to be read anywhere, if that can be had without fetching it again. Its bytes are not verified.
    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError>;
}

/// A place where an image can be written.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Returns where new blobs are made before they are put.
    fn spool(&self) -> &Spool;

    /// Tells whether the destination has a blob already.
    async fn has(&self, descriptor: &Descriptor) -> Result<bool, TransportError>;

    /// Returns how layers are best compressed there, if not as everywhere.
    fn usual_compression(&self) -> Option<Compression> {
        None
    }

    /// Tells whether a blob may have to be read twice to be put: then a [`Blob::Slice`] saves a copy.
    fn may_read_twice(&self) -> bool {
        false
    }

    /// Puts a blob.
    async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError>;

    /// Puts a manifest that the index to come lists.
    async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError>;

    /// Tells whether something can be attached to images there.
    fn takes_attachments(&self) -> bool {
        false
    }

    /// Attaches a document to an image, which need not be visible yet.
    async fn attach(&self, _subject: &Descriptor, _artifact: &Artifact) -> Result<(), TransportError> {
        Ok(())
    }

    /// Makes the image visible: its manifest or index, last of all.
    async fn finish(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError>;
}

/// A blob on its way to a sink.
pub enum Blob {
    /// Made by us, in the sink's spool.
    Spooled(SpooledBlob),
    /// In a file that stays.
    Slice(FileSlice),
    /// Passed on from a source.
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
