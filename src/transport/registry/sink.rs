//! Writes an image to a registry.

use std::fs::File;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use pydock_registry::{ImageName, ManifestRef, Repository};

use super::{client, failed};
use crate::image::Descriptor;
use crate::image::artifact::{Artifact, EMPTY_CONFIG};
use crate::transport::error::TransportError;
use crate::transport::open::Access;
use crate::transport::slice::FileSlice;
use crate::transport::spool::Spool;
use crate::transport::{Blob, BlobReader, Sink};

/// Writes an image to a registry.
pub struct RegistrySink {
    repository: Repository,
    tags: Vec<String>,
    /// The repository of the source, if it is another one of the same registry. Blobs can be mounted from it.
    from: Option<ImageName>,
    spool: Spool,
}

impl RegistrySink {
    /// Opens a repository. `source` is where the image came from. `tags` are given to the image besides the name's own.
    ///
    /// # Errors
    /// If a spool cannot be created, the name has a digest, or the login cannot be looked up.
    pub async fn new(
        name: ImageName,
        tags: &[String],
        source: Option<&ImageName>,
        access: &Access,
    ) -> Result<Self, TransportError> {
        if name.digest.is_some() {
            return Err(TransportError::DigestDestination(name.to_string()));
        }
        let mountable = |source: &&ImageName| source.registry == name.registry && source.repository != name.repository;
        let from = source.filter(mountable).cloned();
        let repository = client(access).writable_repository(&name, from.as_ref()).await;
        let repository = repository.map_err(failed(format!("open `{name}`")))?;
        let tags = [name.manifest_ref().to_string()].into_iter().chain(tags.iter().cloned()).collect();
        Ok(Self { repository, tags, from, spool: Spool::new(&access.work)? })
    }

    /// Copies a stream to a file, so that it can be sent again.
    async fn copy(&self, descriptor: &Descriptor, mut reader: BlobReader) -> Result<FileSlice, TransportError> {
        let copy = |source| TransportError::Copy { digest: descriptor.digest, source };
        let scratch = tempfile::tempfile_in(self.spool.path()).map_err(copy)?;
        let copied = tokio::task::spawn_blocking(move || {
            let mut scratch = scratch;
            io::copy(&mut reader, &mut scratch)?;
            FileSlice::whole(scratch)
        });
        copied.await.map_err(|_| TransportError::Stopped)?.map_err(copy)
    }
}

#[async_trait]
impl Sink for RegistrySink {
    fn spool(&self) -> &Spool {
        &self.spool
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool, TransportError> {
        let (digest, name) = (descriptor.digest, self.repository.name());
        let exists = self.repository.has_blob(&digest).await;
        if exists.map_err(failed(format!("ask for blob {digest} of `{name}`")))? {
            return Ok(true);
        }
        let Some(from) = &self.from else { return Ok(false) };
        // A registry may refuse to mount a blob. The blob is uploaded then.
        let mounted = self.repository.mount(&digest, from).await;
        Ok(mounted.inspect_err(|error| tracing::info!(%digest, %error, "not mounted")).unwrap_or(false))
    }

    /// A blob is read again after a broken connection.
    fn may_read_twice(&self) -> bool {
        true
    }

    async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError> {
        // A spooled blob removes its file when it is dropped, so it is held until the upload ends.
        let (content, _file) = match blob {
            Blob::Spooled(blob) => {
                let content = File::open(&blob.path).and_then(FileSlice::whole);
                (content.map_err(TransportError::file("read", &*blob.path))?, Some(blob))
            }
            Blob::Slice(slice) => (slice, None),
            Blob::Stream(reader) => (self.copy(descriptor, reader).await?, None),
        };
        let action = format!("push blob {} to `{}`", descriptor.digest, self.repository.name());
        self.repository.upload(descriptor.facts(), Arc::new(content)).await.map_err(failed(action))
    }

    fn takes_attachments(&self) -> bool {
        true
    }

    async fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<(), TransportError> {
        let action = || format!("push a manifest that refers to `{}`", self.repository.name());
        for (blob, bytes) in [(Artifact::config(), EMPTY_CONFIG), (artifact.layer(), &artifact.content[..])] {
            // Unlike `has`, this does not try to mount: no other repository has an artifact about this image.
            if !self.repository.has_blob(&blob.digest).await.map_err(failed(action()))? {
                self.put(&blob, Blob::Stream(Box::new(io::Cursor::new(bytes.to_vec())))).await?;
            }
        }
        let (manifest, listed) = artifact.manifest(subject);
        self.repository.put_referrer(&listed.media_type, &manifest).await.map_err(failed(action()))
    }

    async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        let at = ManifestRef::Digest(descriptor.digest);
        let put = self.repository.put_manifest(&at, &descriptor.media_type, bytes).await;
        put.map_err(failed(format!("push the manifest of `{}`", self.repository.name())))
    }

    async fn finish(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        for (number, tag) in self.tags.iter().enumerate() {
            let at = ManifestRef::Tag(tag.clone());
            let put = self.repository.put_manifest(&at, &descriptor.media_type, bytes).await;
            // Tags are moved one by one, so an error names those that were moved before.
            let moved = match &self.tags[..number] {
                [] => String::new(),
                moved => format!(" (already moved: `{}`)", moved.join("`, `")),
            };
            let name = self.repository.name();
            put.map_err(failed(format!("push tag `{tag}` of `{}/{}`{moved}", name.registry, name.repository)))?;
        }
        Ok(())
    }
}
