//! Reads an image from a registry.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pydock_registry::{ImageName, ManifestRef, PullReader, RegistryError, Repository};

use super::{client, failed};
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::transport::error::TransportError;
use crate::transport::open::Access;
use crate::transport::slice::FileSlice;
use crate::transport::spool::Spool;
use crate::transport::{RawBlob, Source};

/// Reads an image from a registry. Blobs that were read to their end are kept in a spool.
pub struct RegistrySource {
    repository: Repository,
    spool: Spool,
    pulled: Pulled,
}

/// Verified blobs in the spool, by digest.
type Pulled = Arc<Mutex<HashMap<Digest, PathBuf>>>;

impl RegistrySource {
    /// Opens a repository.
    ///
    /// # Errors
    /// If a spool cannot be created, or the login cannot be looked up.
    pub async fn new(name: ImageName, access: &Access) -> Result<Self, TransportError> {
        let repository = client(access).repository(&name).await.map_err(failed(format!("open `{name}`")))?;
        Ok(Self { repository, spool: Spool::new(&access.work)?, pulled: Arc::default() })
    }

    fn spooled(&self, digest: &Digest) -> Option<PathBuf> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}

#[async_trait]
impl Source for RegistrySource {
    async fn root(&self) -> Result<(Vec<u8>, Option<String>), TransportError> {
        let name = self.repository.name();
        let pulled = self.repository.manifest(&name.manifest_ref()).await;
        let pulled = pulled.map_err(failed(format!("pull the manifest of `{name}`")))?;
        Ok((pulled.bytes, pulled.media_type))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
        let (digest, name) = (descriptor.digest, self.repository.name());
        let pulled = self.repository.manifest(&ManifestRef::Digest(digest)).await;
        Ok(pulled.map_err(failed(format!("pull manifest {digest} of `{name}`")))?.bytes)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<RawBlob, TransportError> {
        if let Some(path) = self.spooled(&descriptor.digest) {
            let file = File::open(&path).map_err(TransportError::file("read", path))?;
            return Ok(RawBlob::new(file));
        }
        let (digest, name) = (descriptor.digest, self.repository.name());
        let action = format!("pull blob {digest} of `{name}`");
        let reader = match self.repository.unverified_blob(&digest).await {
            Ok(inner) => NamedReader { inner, action },
            Err(error) if error.status() == Some(404) => {
                return Err(TransportError::MissingBlob { digest, place: format!("`{name}`") });
            }
            Err(error) => return Err(failed(action)(error)),
        };
        let (file, path) = self.spool.file()?;
        // The spool removes the file with its folder.
        let path = path.keep().map_err(|error| TransportError::file("write", &*error.path)(error.error))?;
        let pulled = self.pulled.clone();
        let blob = RawBlob::new(TeeReader { inner: reader, file, path: path.clone() });
        Ok(blob.at_end(move || {
            pulled.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, path);
        }))
    }

    async fn is_signed(&self, image: &Digest) -> Result<bool, TransportError> {
        let signed = self.repository.is_signed(image).await;
        signed.map_err(failed(format!("ask for signatures of `{}`", self.repository.name())))
    }

    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError> {
        let Some(path) = self.spooled(&descriptor.digest) else { return Ok(None) };
        let slice = File::open(&path).and_then(FileSlice::whole);
        slice.map(Some).map_err(TransportError::file("read", path))
    }
}

/// Adds what was attempted to the errors of a download.
struct NamedReader {
    inner: PullReader,
    action: String,
}

impl Read for NamedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.downcast::<RegistryError>() {
            Ok(error) => io::Error::other(failed(self.action.clone())(error)),
            Err(error) => error,
        })
    }
}

/// Copies the bytes that are read to a file.
struct TeeReader<R> {
    inner: R,
    file: File,
    path: PathBuf,
}

impl<R: Read> Read for TeeReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let write = |source| io::Error::other(TransportError::file("write", &self.path)(source));
        self.file.write_all(&buffer[..count]).map_err(write)?;
        Ok(count)
    }
}
