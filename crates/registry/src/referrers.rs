//! Adds and lists referrers. Spec: distribution-spec, "Pushing Manifests with Subject", "Listing Referrers" and
//! "Referrers Tag Schema".

use pydock_layer::digest::Digest;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::RegistryError;
use super::repository::{Repository, found};

/// The media type of an index.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Prefixes of the types of artifacts that are signatures: sigstore's bundles, and cosign's and notation's signatures.
const SIGNATURES: [&str; 3] =
    ["application/vnd.dev.sigstore.", "application/vnd.dev.cosign.", "application/vnd.cncf.notary.signature"];

/// A manifest that refers to another one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The media type of the manifest.
    pub media_type: String,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The size of the manifest in bytes.
    pub size: u64,
    /// The type of the artifact. Empty if the registry does not report it.
    #[serde(default)]
    pub artifact_type: String,
}

/// What the list of referrers needs of a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferringManifest {
    artifact_type: Option<String>,
    config: Option<ArtifactConfig>,
    #[serde(default)]
    annotations: Map<String, Value>,
    subject: SubjectDescriptor,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactConfig {
    media_type: String,
}

#[derive(Deserialize)]
struct SubjectDescriptor {
    digest: Digest,
}

impl Repository {
    /// Pushes a manifest with a `subject`. Its blobs must be in the repository. In a registry that does not support
    /// referrers, the manifest is also added to the index under the tag for the referrers of its subject.
    ///
    /// # Errors
    /// If the manifest has no `subject`, the registry cannot be reached or responds with an error, or the index of
    /// referrers is malformed. A malformed index is not replaced, because it may list what others added.
    pub async fn put_referrer(&self, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let manifest = serde_json::from_slice::<ReferringManifest>(bytes).map_err(|_| RegistryError::Subject)?;
        let digest = Digest::of(bytes);
        if self.put_manifest_at(&digest.to_string(), media_type, bytes).await? {
            return Ok(());
        }
        let tag = tag(&manifest.subject.digest);
        let index = match found(self.unverified_manifest(&tag).await)? {
            Some(pulled) => serde_json::from_slice::<Value>(&pulled.bytes)
                .ok()
                .filter(|index| index.get("manifests").is_some_and(Value::is_array))
                .ok_or_else(|| self.host.invalid(format!("an index of referrers, `{tag}`, that cannot be read")))?,
            None => Value::Null,
        };
        let index = with(index, listed(manifest, media_type, digest, bytes.len())).to_string();
        self.put_manifest_at(&tag, INDEX, index.as_bytes()).await.map(|_| ())
    }

    /// Returns the manifests that refer to `subject`. Malformed entries are skipped. Only the first page of a list with
    /// several pages is read.
    ///
    /// # Errors
    /// If the registry cannot be reached or responds with an error.
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, RegistryError> {
        let entries = self.referrer_entries(subject).await?;
        Ok(entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect())
    }

    /// Returns whether the registry has a signature of an image by sigstore, cosign or notation. The signature is not
    /// verified.
    ///
    /// # Errors
    /// If the registry cannot be reached or responds with an error.
    pub async fn is_signed(&self, image: &Digest) -> Result<bool, RegistryError> {
        let is_signature = |entry: &Value| {
            let kind = entry.get("artifactType").and_then(Value::as_str).unwrap_or_default();
            SIGNATURES.iter().any(|signature| kind.starts_with(signature))
        };
        if self.referrer_entries(image).await?.iter().any(is_signature) {
            return Ok(true);
        }
        // The tag for signatures of cosign in registries without referrers.
        Ok(found(self.unverified_manifest(&format!("{}.sig", tag(image))).await)?.is_some())
    }

    /// Returns the descriptors of the manifests that refer to `subject`.
    async fn referrer_entries(&self, subject: &Digest) -> Result<Vec<Value>, RegistryError> {
        let target = self.path(&format!("referrers/{subject}"));
        let listed = self.host.send(Method::GET, &target, &self.scopes, |request| request).await;
        let bytes = match found(listed)? {
            Some(response) => self.read(response).await?,
            None => match found(self.unverified_manifest(&tag(subject)).await)? {
                Some(pulled) => pulled.bytes,
                None => return Ok(Vec::new()),
            },
        };
        let index = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        Ok(index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
    }
}

/// Returns the tag for the referrers of a manifest. Spec: distribution-spec, "Referrers Tag Schema".
fn tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Returns the descriptor of a manifest for the list of referrers. Without an artifact type, the media type of the
/// config is listed. Spec: distribution-spec, "Pushing Manifests with Subject".
fn listed(manifest: ReferringManifest, media_type: &str, digest: Digest, size: usize) -> Value {
    let mut entry = json!({ "mediaType": media_type, "digest": digest, "size": size });
    if !manifest.annotations.is_empty() {
        entry["annotations"] = manifest.annotations.into();
    }
    if let Some(kind) = manifest.artifact_type.or(manifest.config.map(|config| config.media_type)) {
        entry["artifactType"] = kind.into();
    }
    entry
}

/// Adds an entry to an index of referrers, unless it has the entry.
fn with(mut index: Value, entry: Value) -> Value {
    if !index.get("manifests").is_some_and(Value::is_array) {
        index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    }
    if let Some(entries) = index["manifests"].as_array_mut()
        && !entries.iter().any(|other| other.get("digest") == entry.get("digest"))
    {
        entries.push(entry);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &Value) -> Value {
        let bytes = json.to_string().into_bytes();
        listed(serde_json::from_slice(&bytes).unwrap(), "a/b", Digest::of(&bytes), bytes.len())
    }

    #[test]
    fn an_index_of_referrers_lists_each_once_and_keeps_those_of_others() {
        let subject = json!({ "digest": Digest::of(b"") });
        let one = entry(&json!({ "subject": subject, "artifactType": "one/x", "annotations": { "k": "v" } }));
        let two = entry(&json!({ "subject": subject, "config": { "mediaType": "two/x" } }));
        assert_eq!((&one["artifactType"], &one["annotations"]["k"]), (&json!("one/x"), &json!("v")));
        assert_eq!((&two["artifactType"], two.get("annotations")), (&json!("two/x"), None));
        let index = with(with(with(Value::Null, one.clone()), two.clone()), one.clone());
        assert_eq!(index["manifests"], json!([one, two]));
    }
}
