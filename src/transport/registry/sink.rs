//! Writes an image to a registry.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::client::Target;
use super::push::{self, Mount, Upload};
use super::referrers;
use super::repository::{Repository, failed};
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::image::artifact::{Artifact, EMPTY_CONFIG};
use crate::reference::ImageName;
use crate::transport::error::TransportError;
use crate::transport::open::Access;
use crate::transport::slice::FileSlice;
use crate::transport::spool::Spool;
use crate::transport::{Blob, BlobReader, Sink};

/// Writes an image to a registry.
pub struct RegistrySink {
    repository: Repository,
    tags: Vec<String>,
    /// The repository that the image came from, if it is one of the same registry: blobs can be mounted from it.
    from: Option<ImageName>,
    spool: Spool,
    /// Where the registry wants blobs that it would not mount.
    sessions: Mutex<HashMap<Digest, Target>>,
}

impl RegistrySink {
    /// Opens a repository. `source` is where the image came from; `tags` are given beside the name's own.
    ///
    /// # Errors
    /// If there is no place for a spool, the name has a digest, or the login cannot be found out.
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
        let repository = Repository::to_push(name, from.as_ref(), access).await?;
        let tags = [repository.tag()].into_iter().chain(tags.iter().cloned()).collect();
        Ok(Self { repository, tags, from, spool: Spool::new(&access.work)?, sessions: Mutex::default() })
    }

    /// Copies what can be read only once, so that it can be sent again.
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

    async fn put_document(&self, at: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        let put = self.repository.put_manifest(at, descriptor, bytes).await;
        put.map(|_| ()).map_err(failed(format!("push the manifest of `{}`", self.repository.name)))
    }
}

#[async_trait]
impl Sink for RegistrySink {
    fn spool(&self) -> &Spool {
        &self.spool
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool, TransportError> {
        let (digest, name) = (descriptor.digest, &self.repository.name);
        let there = self.repository.has_blob(&digest).await;
        if there.map_err(failed(format!("ask for blob {digest} of `{name}`")))? {
            return Ok(true);
        }
        let Some(from) = &self.from else { return Ok(false) };
        match push::mount(&self.repository, &descriptor.facts(), &from.repository).await {
            Ok(Mount::Done) => Ok(true),
            Ok(Mount::Refused(session)) => {
                let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.extend(session.map(|session| (digest, session)));
                Ok(false)
            }
            // A registry may refuse to mount; then the blob is pushed.
            Err(error) => {
                tracing::info!(%digest, %error, "not mounted");
                Ok(false)
            }
        }
    }

    /// After a broken connection.
    fn may_read_twice(&self) -> bool {
        true
    }

    async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError> {
        // A blob of our own goes with its file, which so has to live until it is pushed.
        let (content, _file) = match blob {
            Blob::Spooled(blob) => {
                let content = File::open(&blob.path).and_then(FileSlice::whole);
                (content.map_err(TransportError::file("read", &*blob.path))?, Some(blob))
            }
            Blob::Slice(slice) => (slice, None),
            Blob::Stream(reader) => (self.copy(descriptor, reader).await?, None),
        };
        let session = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&descriptor.digest);
        let upload = Upload { repository: &self.repository, blob: descriptor.facts(), content: &content };
        let action = format!("push blob {} to `{}`", descriptor.digest, self.repository.name);
        upload.push(session).await.map_err(failed(action))
    }

    fn takes_attachments(&self) -> bool {
        true
    }

    async fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<(), TransportError> {
        let action = || format!("push a manifest that refers to `{}`", self.repository.name);
        for (blob, bytes) in [(Artifact::config(), EMPTY_CONFIG), (artifact.layer(), &artifact.content[..])] {
            // No other repository has what speaks of this image, so it is not asked to give it.
            if !self.repository.has_blob(&blob.digest).await.map_err(failed(action()))? {
                self.put(&blob, Blob::Stream(Box::new(io::Cursor::new(bytes.to_vec())))).await?;
            }
        }
        referrers::attach(&self.repository, subject, artifact).await.map_err(failed(action()))
    }

    async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        self.put_document(&descriptor.digest.to_string(), descriptor, bytes).await
    }

    async fn finish(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        for (number, tag) in self.tags.iter().enumerate() {
            let put = self.repository.put_manifest(tag, descriptor, bytes).await;
            // A registry moves one tag at a time.
            let moved = match &self.tags[..number] {
                [] => String::new(),
                moved => format!(" (already moved: `{}`)", moved.join("`, `")),
            };
            let name = &self.repository.name;
            put.map_err(failed(format!("push tag `{tag}` of `{}/{}`{moved}", name.registry, name.repository)))?;
        }
        Ok(())
    }
}
