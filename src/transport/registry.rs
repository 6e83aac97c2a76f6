//! `docker://`: a registry, by oci-client. Spec: distribution-spec.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::{Client, Reference as OciReference};
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use super::error::TransportError;
use super::open::Access;
use super::slice::FileSlice;
use super::spool::Spool;
use super::{Blob, BlobReader, Sink, Source};
use crate::blob::VerifyingReader;
use crate::digest::Digest;
use crate::image::{Descriptor, media_type};
use crate::reference::ImageName;

/// How long a registry may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A repository of a registry, with a client that is logged in.
struct Repository {
    client: Client,
    name: ImageName,
}

impl Repository {
    async fn new(name: ImageName, access: &Access) -> Self {
        let plain = is_loopback(&name.registry) || access.insecure.contains(&name.registry);
        let client = Client::new(ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            read_timeout: Some(SILENCE),
            connect_timeout: Some(SILENCE),
            user_agent: concat!("pydock/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        client.store_auth_if_needed(reference(&name, None).resolve_registry(), &access.logins.of(&name.registry)).await;
        Self { client, name }
    }

    /// Returns the repository with its own tag or digest, or with another digest.
    fn at(&self, digest: Option<&Digest>) -> OciReference {
        reference(&self.name, digest)
    }

    async fn manifest(&self, digest: Option<&Digest>) -> Result<Vec<u8>, TransportError> {
        let at = self.at(digest);
        let pulled = self
            .client
            .pull_manifest_raw(&at, &oci_client::secrets::RegistryAuth::Anonymous, &media_type::MANIFESTS)
            .await;
        let (bytes, _) = pulled.map_err(|error| failed(format!("pull the manifest of `{at}`"), error))?;
        Ok(bytes.to_vec())
    }
}

/// Registries on this machine speak HTTP, as for every other tool.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

fn reference(name: &ImageName, digest: Option<&Digest>) -> OciReference {
    let (registry, repository) = (name.registry.clone(), name.repository.clone());
    match (digest.or(name.digest.as_ref()), &name.tag) {
        (Some(digest), _) => OciReference::with_digest(registry, repository, digest.to_string()),
        (None, tag) => OciReference::with_tag(registry, repository, tag.clone().unwrap_or_else(|| "latest".to_owned())),
    }
}

fn failed(action: String, source: OciDistributionError) -> TransportError {
    TransportError::Registry { action, source: source.into() }
}

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
    /// If there is no place for a spool.
    pub async fn new(name: ImageName, access: &Access) -> Result<Self, TransportError> {
        Ok(Self {
            repository: Repository::new(name, access).await,
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
        let bytes = self.repository.manifest(None).await?;
        if let Some(expected) = self.repository.name.digest {
            verify(&bytes, expected)?;
        }
        Ok((bytes, None))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
        let bytes = self.repository.manifest(Some(&descriptor.digest)).await?;
        verify(&bytes, descriptor.digest)?;
        Ok(bytes)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, TransportError> {
        if let Some(path) = self.spooled(&descriptor.digest) {
            let file = File::open(&path).map_err(TransportError::file("read", path))?;
            return Ok(Box::new(VerifyingReader::blob(file, descriptor.facts())));
        }
        let digest = descriptor.digest.to_string();
        let at = self.repository.at(None);
        let pulled = self.repository.client.pull_blob_stream(&at, digest.as_str()).await;
        let stream = pulled.map_err(|error| match is_missing(&error) {
            true => TransportError::MissingBlob { digest: descriptor.digest, place: format!("`{at}`") },
            false => failed(format!("pull blob {digest} of `{at}`"), error),
        })?;
        let (file, path) = self.spool.file()?;
        // The spool removes the file with its folder.
        let path = path.keep().map_err(|error| TransportError::file("write", &*error.path)(error.error))?;
        Ok(Box::new(TeeReader {
            inner: VerifyingReader::blob(SyncIoBridge::new(StreamReader::new(stream.stream)), descriptor.facts()),
            file,
            done: Some((descriptor.digest, path, self.pulled.clone())),
        }))
    }

    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError> {
        let Some(path) = self.spooled(&descriptor.digest) else { return Ok(None) };
        let slice = File::open(&path).and_then(FileSlice::whole);
        slice.map(Some).map_err(TransportError::file("read", path))
    }
}

fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| error.code == OciErrorCode::BlobUnknown)
        }
        _ => false,
    }
}

fn verify(bytes: &[u8], expected: Digest) -> Result<(), TransportError> {
    let actual = Digest::of(bytes);
    if actual == expected {
        return Ok(());
    }
    let mismatch = crate::blob::Mismatch::Digest { what: "digest", expected, actual };
    Err(TransportError::Document { what: "manifest", digest: expected, source: mismatch.into() })
}

/// Writes what passes to a file, and announces the file once all of it has been verified.
struct TeeReader<R> {
    inner: R,
    file: File,
    done: Option<(Digest, PathBuf, Pulled)>,
}

impl<R: Read> Read for TeeReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.file.write_all(&buffer[..count])?;
        if count == 0
            && !buffer.is_empty()
            && let Some((digest, path, pulled)) = self.done.take()
        {
            pulled.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, path);
        }
        Ok(count)
    }
}

/// Writes an image to a registry.
pub struct RegistrySink {
    repository: Repository,
    /// The repository that the image came from, if it is one of the same registry: blobs can be mounted from it.
    from: Option<OciReference>,
    spool: Spool,
}

impl RegistrySink {
    /// Opens a repository. `source` is where the image came from.
    ///
    /// # Errors
    /// If there is no place for a spool, or the name has a digest.
    pub async fn new(name: ImageName, source: Option<&ImageName>, access: &Access) -> Result<Self, TransportError> {
        if name.digest.is_some() {
            return Err(TransportError::DigestDestination(name.to_string()));
        }
        let mountable = |source: &&ImageName| source.registry == name.registry && source.repository != name.repository;
        Ok(Self {
            from: source.filter(mountable).map(|source| reference(source, None)),
            repository: Repository::new(name, access).await,
            spool: Spool::new(&access.work)?,
        })
    }

    async fn push(
        &self,
        descriptor: &Descriptor,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), TransportError> {
        let at = self.repository.at(None);
        let digest = descriptor.digest.to_string();
        let stream = stream.map(|chunk| chunk.map_err(OciDistributionError::from));
        self.repository
            .client
            .push_blob_stream(&at, stream, &digest, Some(descriptor.size))
            .await
            .map(|_| ())
            .map_err(|error| failed(format!("push blob {digest} to `{at}`"), error))
    }

    async fn push_document(&self, at: &OciReference, media_type: &str, bytes: &[u8]) -> Result<(), TransportError> {
        let invalid = |_| OciDistributionError::UnsupportedMediaTypeError(media_type.to_owned());
        let action = || format!("push the manifest of `{at}`");
        let content_type = media_type.parse().map_err(invalid).map_err(|error| failed(action(), error))?;
        self.repository
            .client
            .push_manifest_raw(at, bytes.to_vec(), content_type)
            .await
            .map(|_| ())
            .map_err(|error| failed(action(), error))
    }
}

#[async_trait]
impl Sink for RegistrySink {
    fn spool(&self) -> &Spool {
        &self.spool
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool, TransportError> {
        let at = self.repository.at(None);
        let digest = descriptor.digest.to_string();
        let there = self.repository.client.blob_exists(&at, &digest).await;
        if there.map_err(|error| failed(format!("ask for blob {digest} of `{at}`"), error))? {
            return Ok(true);
        }
        let Some(from) = &self.from else { return Ok(false) };
        // A registry may refuse to mount; then the blob is pushed.
        Ok(self.repository.client.mount_blob(&at, from, &digest).await.is_ok())
    }

    async fn put(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), TransportError> {
        match blob {
            Blob::Stream(reader) => self.push(descriptor, stream_of(reader)).await,
            Blob::Spooled(blob) => {
                let file =
                    tokio::fs::File::open(&blob.path).await.map_err(TransportError::file("read", &*blob.path))?;
                self.push(descriptor, ReaderStream::with_capacity(file, 1 << 20)).await
            }
        }
    }

    async fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        self.push_document(&self.repository.at(Some(&descriptor.digest)), &descriptor.media_type, bytes).await
    }

    async fn finish(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), TransportError> {
        self.push_document(&self.repository.at(None), &descriptor.media_type, bytes).await
    }
}

/// Reads a blocking reader on a thread of its own.
fn stream_of(mut reader: BlobReader) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; 256 << 10];
            let item = match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            let failed = item.is_err();
            if sender.blocking_send(item).is_err() || failed {
                return;
            }
        }
    });
    futures_util::stream::unfold(receiver, |mut receiver| async {
        let item = receiver.recv().await?;
        Some((item, receiver))
    })
}
