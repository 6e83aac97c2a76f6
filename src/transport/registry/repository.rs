//! A repository of a registry: its manifests and blobs by their addresses.

use std::sync::Arc;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};

use super::client::{Client, Target, patience};
use super::error::RegistryError;
use super::retry::retrying;
use super::scopes::Scopes;
use crate::digest::Digest;
use crate::image::document::MAX_DOCUMENT;
use crate::image::{Descriptor, media_type};
use crate::reference::ImageName;
use crate::transport::error::TransportError;
use crate::transport::open::Access;

/// Set by registries that know referrers. Spec: distribution-spec, "Pushing Manifests with Subject".
const SUBJECT: &str = "oci-subject";
/// Set by registries that tell what they stored.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A repository, with a client of its registry and the rights to be asked for.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) client: Arc<Client>,
    pub(super) scopes: Scopes,
    pub(super) name: ImageName,
}

impl Repository {
    /// Opens a repository to read.
    pub(super) async fn to_pull(name: ImageName, access: &Access) -> Result<Self, TransportError> {
        let scopes = Scopes::pull(&name);
        Self::open(name, scopes, access).await
    }

    /// Opens a repository to write; blobs may be mounted from `from`, a repository of the same registry.
    pub(super) async fn to_push(
        name: ImageName,
        from: Option<&ImageName>,
        access: &Access,
    ) -> Result<Self, TransportError> {
        let scopes = Scopes::push(&name, from);
        Self::open(name, scopes, access).await
    }

    async fn open(name: ImageName, scopes: Scopes, access: &Access) -> Result<Self, TransportError> {
        let client = Client::new(&name.registry, &name.repository, access).await;
        let client = client.map_err(failed(format!("open `{name}`")))?;
        Ok(Self { client: client.into(), scopes, name })
    }

    /// Returns the address of something of this repository.
    pub(super) fn path(&self, what: &str) -> Target {
        Target::Path(format!("{}/{what}", self.name.repository))
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> Target {
        self.path(&format!("blobs/{digest}"))
    }

    /// Returns the tag or digest that the reference names.
    pub(super) fn tag(&self) -> String {
        match (&self.name.digest, &self.name.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Gets a manifest, by tag or digest, and what the registry says it is.
    pub(super) async fn manifest(&self, at: &str) -> Result<(Vec<u8>, Option<String>), RegistryError> {
        let accept = media_type::MANIFESTS.join(", ");
        let target = self.path(&format!("manifests/{at}"));
        retrying(|| async {
            let request =
                self.client.send_once(Method::GET, &target, &self.scopes, |request| request.header(ACCEPT, &accept));
            let response = request.await?;
            let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
            Ok((self.read(response).await?, kind))
        })
        .await
    }

    pub(super) async fn read(&self, mut response: Response) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(RegistryError::connection(self.client.host()))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_DOCUMENT {
                return Err(self.client.answer(format!("a manifest of more than {MAX_DOCUMENT} bytes")));
            }
        }
        Ok(bytes)
    }

    /// Puts a manifest under a tag or digest. Tells whether the registry keeps track of what it refers to.
    pub(super) async fn put_manifest(
        &self,
        at: &str,
        manifest: &Descriptor,
        bytes: &[u8],
    ) -> Result<bool, RegistryError> {
        let body = bytes::Bytes::copy_from_slice(bytes);
        let target = self.path(&format!("manifests/{at}"));
        let with_body = |request: reqwest::RequestBuilder| {
            request.header(CONTENT_TYPE, &manifest.media_type).timeout(patience(manifest.size)).body(body.clone())
        };
        let response = self.client.send(Method::PUT, &target, &self.scopes, with_body).await?;
        if let Some(stored) = response.headers().get(CONTENT_DIGEST).and_then(|stored| stored.to_str().ok())
            && stored != manifest.digest.to_string()
        {
            return Err(RegistryError::Stored {
                host: self.client.host().to_owned(),
                expected: manifest.digest,
                actual: stored.to_owned(),
            });
        }
        Ok(response.headers().contains_key(SUBJECT))
    }

    /// Tells whether a blob is there.
    pub(super) async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        retrying(|| self.has_blob_now(digest)).await
    }

    /// Tells whether a blob is there, without trying again.
    pub(super) async fn has_blob_now(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let asked = self.client.send_once(Method::HEAD, &self.blob_path(digest), &self.scopes, |request| request).await;
        match asked {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Words what was attempted; for `map_err`.
pub(super) fn failed(action: String) -> impl FnOnce(RegistryError) -> TransportError {
    move |source| TransportError::Registry { action, source: source.into() }
}
