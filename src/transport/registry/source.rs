//! Reads an image from a registry.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use reqwest::StatusCode;

use super::pull;
use super::referrers;
use super::repository::{Repository, failed};
use crate::blob::Mismatch;
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::reference::ImageName;
use crate::transport::error::TransportError;
use crate::transport::open::Access;
use crate::transport::slice::FileSlice;
use crate::transport::spool::Spool;
use crate::transport::{RawBlob, Source};

/// Reads an image from a registry. Blobs that have been read once are kept in a spool.
pub struct RegistrySource {
    repository: Repository,
    spool: Spool,
    pulled: Pulled,
}

/// Blobs in the spool, by digest.
type Pulled = Arc<Mutex<HashMap<Digest, PathBuf>>>;

impl RegistrySource {
    /// Opens a repository.
    ///
    /// # Errors
    /// If there is no place for a spool, or the login cannot be found out.
    pub async fn new(name: ImageName, access: &Access) -> Result<Self, TransportError> {
        Ok(Self {
            repository: Repository::to_pull(name, access).await?,
            spool: Spool::new(&access.work)?,
            pulled: Arc::default(),
        })
    }

    fn spooled(&self, digest: &Digest) -> Option<PathBuf> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}

#[async_trait]
impl Source for RegistrySource {
    async fn root(&self) -> Result<(Vec<u8>, Option<String>), TransportError> {
        let name = &self.repository.name;
        let pulled = self.repository.manifest(&self.repository.tag()).await;
        let (bytes, kind) = pulled.map_err(failed(format!("pull the manifest of `{name}`")))?;
        if let Some(expected) = name.digest {
            verify(&bytes, expected)?;
        }
        Ok((bytes, kind))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
        let pulled = self.repository.manifest(&descriptor.digest.to_string()).await;
        let action = || format!("pull manifest {} of `{}`", descriptor.digest, self.repository.name);
        let (bytes, _) = pulled.map_err(|error| failed(action())(error))?;
        verify(&bytes, descriptor.digest)?;
        Ok(bytes)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<RawBlob, TransportError> {
        if let Some(path) = self.spooled(&descriptor.digest) {
            let file = File::open(&path).map_err(TransportError::file("read", path))?;
            return Ok(RawBlob::new(file));
        }
        let (digest, name) = (descriptor.digest, &self.repository.name);
        let pulled = pull::pull(&self.repository, digest).await;
        let reader = pulled.map_err(|error| match error.status() {
            Some(StatusCode::NOT_FOUND) => TransportError::MissingBlob { digest, place: format!("`{name}`") },
            _ => failed(format!("pull blob {digest} of `{name}`"))(error),
        })?;
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
        let asked = referrers::is_signed(&self.repository, image).await;
        asked.map_err(failed(format!("ask for signatures of `{}`", self.repository.name)))
    }

    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError> {
        let Some(path) = self.spooled(&descriptor.digest) else { return Ok(None) };
        let slice = File::open(&path).and_then(FileSlice::whole);
        slice.map(Some).map_err(TransportError::file("read", path))
    }
}

fn verify(bytes: &[u8], expected: Digest) -> Result<(), TransportError> {
    let actual = Digest::of(bytes);
    if actual == expected {
        return Ok(());
    }
    let mismatch = Mismatch::Digest { what: "digest", expected, actual };
    Err(TransportError::Document { what: "manifest", digest: expected, source: mismatch.into() })
}

/// Writes what passes to a file.
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
