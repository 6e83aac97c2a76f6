//! The opened source: its documents and blobs. Errors name the image.

use crate::budget::{Budget, Resource};
use crate::digest::Digest;
use crate::image::{Descriptor, Document, ImageConfig, Manifest};
use crate::reference::Reference;
use crate::transport::layout::read_document;
use crate::transport::{self, Access, FileSlice, RawBlob, Source, TransportError};

use super::SlimError;
use super::threads::blocking;

/// A source that is open.
pub(super) struct OpenSource {
    source: Box<dyn Source>,
    /// Its reference, for messages.
    pub(super) name: String,
    /// What its documents may cost.
    documents: Budget,
}

impl OpenSource {
    /// Opens a source.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(super) async fn open(reference: &Reference, access: &Access) -> Result<Self, SlimError> {
        let name = reference.to_string();
        match transport::open(reference, access).await {
            Ok(source) => Ok(Self { source, name, documents: Budget::default() }),
            Err(source) => Err(SlimError::Source { image: name, source }),
        }
    }

    /// Returns the document that the reference points at.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn root(&self) -> Result<Document, SlimError> {
        let (bytes, media_type) = self.source.root().await.map_err(|source| self.error(source))?;
        self.parse(bytes, media_type.as_deref())
    }

    /// Returns the digest of what the reference points at now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn root_digest(&self) -> Result<Digest, SlimError> {
        let (bytes, _) = self.source.root().await.map_err(|source| self.error(source))?;
        Ok(Digest::of(&bytes))
    }

    /// Returns the manifest or index of an index entry.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn document(&self, entry: &Descriptor) -> Result<Document, SlimError> {
        let bytes = self.source.manifest(entry).await.map_err(|source| self.error(source))?;
        self.parse(bytes, Some(&entry.media_type))
    }

    /// Returns the manifest or index of an index entry that is copied, with its bytes. It is not kept, so it costs nothing.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn copied_document(&self, entry: &Descriptor) -> Result<(Document, Vec<u8>), SlimError> {
        let bytes = self.source.manifest(entry).await.map_err(|source| self.error(source))?;
        let document = Document::parse(bytes.clone(), Some(&entry.media_type));
        let document = document.map_err(|source| SlimError::Document { image: self.name.clone(), source })?;
        Ok((document, bytes))
    }

    /// Returns the config of an image.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn config(&self, manifest: &Manifest) -> Result<ImageConfig, SlimError> {
        let reader = self.blob(&manifest.config).await?;
        let descriptor = manifest.config.clone();
        let bytes = blocking(move || read_document("config", reader, &descriptor)).await?;
        let bytes = bytes.map_err(|source| self.error(source))?;
        self.count(&bytes)?;
        ImageConfig::parse(bytes).map_err(|source| SlimError::Document { image: self.name.clone(), source })
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn blob(&self, descriptor: &Descriptor) -> Result<RawBlob, SlimError> {
        self.source.blob(descriptor).await.map_err(|source| self.error(source))
    }

    /// Opens a blob for reads at any offset, if the source has it in a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, SlimError> {
        self.source.slice(descriptor).await.map_err(|source| self.error(source))
    }

    /// Returns whether an image is signed, as far as the source can report it.
    pub(super) async fn is_signed(&self, image: &Digest) -> bool {
        let asked = self.source.is_signed(image).await;
        asked.inspect_err(|error| tracing::info!(%error, "not known whether the image is signed")).unwrap_or(false)
    }

    fn parse(&self, bytes: Vec<u8>, media_type: Option<&str>) -> Result<Document, SlimError> {
        self.count(&bytes)?;
        Document::parse(bytes, media_type).map_err(|source| SlimError::Document { image: self.name.clone(), source })
    }

    fn count(&self, bytes: &[u8]) -> Result<(), SlimError> {
        let spent = self.documents.spend(Resource::Documents, bytes.len() as u64);
        spent.map_err(|source| SlimError::Budget { image: self.name.clone(), source })
    }

    pub(super) fn error(&self, source: TransportError) -> SlimError {
        SlimError::Source { image: self.name.clone(), source }
    }
}
