//! A repository of a registry: its manifests and blobs by tag and digest. Spec: distribution-spec, "Endpoints".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use pydock_layer::blob::{BlobFacts, Mismatch, ReadAt, VerifyingReader};
use pydock_layer::digest::Digest;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use super::client::Options;
use super::error::RegistryError;
use super::host::{RegistryHost, RequestTarget, patience};
use super::name::{ImageName, ManifestRef};
use super::pull::{self, PullReader};
use super::push::Upload;
use super::retry::retrying;
use super::scopes::TokenScopes;

/// The largest manifest or index that is pulled, in bytes. Registries allow 4 MiB.
pub const MAX_MANIFEST: u64 = 8 << 20;

/// Media types of the manifests that are requested: images and indexes of OCI and Docker.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// The header of registries that support referrers. Spec: distribution-spec, "Pushing Manifests with Subject".
const SUBJECT: &str = "oci-subject";
/// The header in which registries report the digest that they stored.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A repository, with the login and the scopes for it. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) host: Arc<RegistryHost>,
    pub(crate) scopes: TokenScopes,
    pub(crate) name: ImageName,
    /// Uploads that the registry opened instead of mounting a blob.
    opened: Arc<Mutex<HashMap<Digest, RequestTarget>>>,
}

/// A manifest or an index, as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledManifest {
    /// The document.
    pub bytes: Vec<u8>,
    /// The media type in the header `Content-Type`. The one in the document takes precedence.
    pub media_type: Option<String>,
}

impl Repository {
    pub(crate) async fn open(name: &ImageName, scopes: TokenScopes, options: &Options) -> Result<Self, RegistryError> {
        let host = RegistryHost::new(&name.registry, &name.repository, options).await?;
        Ok(Self { host: host.into(), scopes, name: name.clone(), opened: Arc::default() })
    }

    /// Returns the name with which the repository was opened.
    pub fn name(&self) -> &ImageName {
        &self.name
    }

    /// Returns the target of a path below the repository.
    pub(crate) fn path(&self, path: &str) -> RequestTarget {
        RequestTarget::Path(format!("{}/{path}", self.name.repository))
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> RequestTarget {
        self.path(&format!("blobs/{digest}"))
    }

    /// Pulls a manifest or an index. The bytes of one that is requested by digest are verified.
    ///
    /// # Errors
    /// If the registry cannot be reached or responds with an error (404 if the manifest does not exist), the manifest
    /// is larger than [`MAX_MANIFEST`], or its digest is not the requested one.
    pub async fn manifest(&self, at: &ManifestRef) -> Result<PulledManifest, RegistryError> {
        let pulled = self.unverified_manifest(&at.to_string()).await?;
        if let ManifestRef::Digest(expected) = *at {
            let actual = Digest::of(&pulled.bytes);
            if actual != expected {
                let source = Mismatch::Digest { what: "digest", expected, actual };
                return Err(RegistryError::Manifest { digest: expected, source });
            }
        }
        Ok(pulled)
    }

    /// Pulls a manifest by tag or digest.
    pub(crate) async fn unverified_manifest(&self, at: &str) -> Result<PulledManifest, RegistryError> {
        let target = self.path(&format!("manifests/{at}"));
        retrying(|| async {
            let with_accept = |request: RequestBuilder| request.header(ACCEPT, MANIFESTS);
            let response = self.host.send_once(Method::GET, &target, &self.scopes, with_accept).await?;
            let media_type = response.headers().get(CONTENT_TYPE).and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
            Ok(PulledManifest { bytes: self.read(response).await?, media_type })
        })
        .await
    }

    /// Reads the body of a response, within [`MAX_MANIFEST`].
    pub(crate) async fn read(&self, mut response: Response) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(RegistryError::connection(self.host.name()))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_MANIFEST {
                return Err(self.host.invalid(format!("a manifest of more than {MAX_MANIFEST} bytes")));
            }
        }
        Ok(bytes)
    }

    /// Pushes a manifest or an index under a tag or its digest. All that it refers to must be in the repository.
    ///
    /// # Errors
    /// If the registry cannot be reached, responds with an error, or stores the manifest under another digest.
    pub async fn put_manifest(&self, at: &ManifestRef, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        self.put_manifest_at(&at.to_string(), media_type, bytes).await.map(|_| ())
    }

    /// Pushes a manifest. Returns whether the registry adds it to the referrers of its subject.
    pub(crate) async fn put_manifest_at(
        &self,
        at: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<bool, RegistryError> {
        let expected = Digest::of(bytes);
        let body = bytes::Bytes::copy_from_slice(bytes);
        let target = self.path(&format!("manifests/{at}"));
        let with_body = |request: RequestBuilder| {
            request.header(CONTENT_TYPE, media_type).timeout(patience(body.len() as u64)).body(body.clone())
        };
        let response = self.host.send(Method::PUT, &target, &self.scopes, with_body).await?;
        if let Some(stored) = response.headers().get(CONTENT_DIGEST).and_then(|stored| stored.to_str().ok())
            && stored != expected.to_string()
        {
            let (host, actual) = (self.host.name().to_owned(), stored.to_owned());
            return Err(RegistryError::Stored { host, expected, actual });
        }
        Ok(response.headers().contains_key(SUBJECT))
    }

    /// Returns whether the repository has a blob.
    ///
    /// # Errors
    /// If the registry cannot be reached or responds with another error than 404.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        retrying(|| self.has_blob_now(digest)).await
    }

    /// Returns whether the repository has a blob. The request is not repeated.
    pub(crate) async fn has_blob_now(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let target = self.blob_path(digest);
        let response = self.host.send_once(Method::HEAD, &target, &self.scopes, |request| request).await;
        Ok(found(response)?.is_some())
    }

    /// Starts to download a blob. The reader resumes the download if the connection breaks, and verifies digest and
    /// size. It blocks, so it must be read outside of async code.
    ///
    /// # Errors
    /// If the registry cannot be reached or responds with an error (404 if the blob does not exist). Reading fails if
    /// the download cannot be resumed, or the bytes are not the blob's.
    pub async fn blob(&self, blob: BlobFacts) -> Result<VerifyingReader<PullReader>, RegistryError> {
        Ok(VerifyingReader::new(self.unverified_blob(&blob.digest).await?, blob))
    }

    /// Starts to download a blob like [`Repository::blob`], but does not verify its bytes: the caller does.
    ///
    /// # Errors
    /// As [`Repository::blob`].
    pub async fn unverified_blob(&self, digest: &Digest) -> Result<PullReader, RegistryError> {
        pull::pull(self, *digest).await
    }

    /// Mounts a blob from `from`, a repository of the same registry. Returns whether the blob was mounted. If it was
    /// not, it must be uploaded. Spec: distribution-spec, "Mounting a blob from another repository".
    ///
    /// # Errors
    /// If the registry cannot be reached or responds with an error.
    pub async fn mount(&self, digest: &Digest, from: &ImageName) -> Result<bool, RegistryError> {
        let target = self.path(&format!("blobs/uploads/?mount={digest}&from={}", from.repository));
        let request = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let response = self.host.send(Method::POST, &target, &self.scopes, request).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(true);
        }
        // The registry opened an upload instead. The next upload of the blob continues it.
        if let Some(location) = RequestTarget::location(&response) {
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, location);
        }
        Ok(false)
    }

    /// Uploads a blob. Bytes are read from `content`, and some are read again if the upload breaks. The blob is sent in
    /// one request, or in chunks if the registry refuses that. Spec: distribution-spec, "Pushing blobs".
    ///
    /// # Errors
    /// If `content` is shorter than the blob or cannot be read, the upload makes no progress for minutes, or the
    /// registry cannot be reached or responds with an error.
    pub async fn upload(&self, blob: BlobFacts, content: Arc<dyn ReadAt>) -> Result<(), RegistryError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob.digest);
        Upload { repository: self, blob, content }.push(opened).await
    }
}

/// Returns `None` for the status 404.
pub(crate) fn found<T>(response: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match response {
        Ok(response) => Ok(Some(response)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
