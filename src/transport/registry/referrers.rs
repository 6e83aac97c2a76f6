//! Attaches artifacts to images, and tells what is attached. Spec: distribution-spec, "Pushing Manifests with Subject",
//! "Listing Referrers" and "Referrers Tag Schema".

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::error::RegistryError;
use super::repository::Repository;
use crate::digest::Digest;
use crate::image::artifact::Artifact;
use crate::image::{Descriptor, media_type};

/// Types of artifacts that are signatures: sigstore's bundles, and cosign's and notation's signatures.
const SIGNATURES: [&str; 3] =
    ["application/vnd.dev.sigstore.", "application/vnd.dev.cosign.", "application/vnd.cncf.notary.signature"];

/// Puts the manifest of an artifact, whose blobs are there. A registry that keeps no account of what refers to what gets an index
/// under a tag that is made of the subject's digest.
pub(super) async fn attach(
    repository: &Repository,
    subject: &Descriptor,
    artifact: &Artifact,
) -> Result<(), RegistryError> {
    let (manifest, listed) = artifact.manifest(subject);
    let keeps_account = repository.put_manifest(&listed.digest.to_string(), &listed, &manifest).await?;
    if keeps_account {
        return Ok(());
    }
    let tag = tag(&subject.digest);
    let index = match found(repository.manifest(&tag).await)? {
        // What cannot be read is not replaced: it may list what others attached.
        Some((bytes, _)) => serde_json::from_slice::<Value>(&bytes)
            .ok()
            .filter(|index| index.get("manifests").is_some_and(Value::is_array))
            .ok_or_else(|| repository.client.answer(format!("an index of referrers, `{tag}`, that cannot be read")))?,
        None => Value::Null,
    };
    let bytes = with(index, &listed).to_string().into_bytes();
    repository.put_manifest(&tag, &Descriptor::of(media_type::OCI_INDEX, &bytes), &bytes).await.map(|_| ())
}

/// Tells whether an image is signed, as far as its registry knows.
pub(super) async fn is_signed(repository: &Repository, image: &Digest) -> Result<bool, RegistryError> {
    let is_signature = |entry: &Value| {
        let kind = entry.get("artifactType").and_then(Value::as_str).unwrap_or_default();
        SIGNATURES.iter().any(|signature| kind.starts_with(signature))
    };
    let listed = repository.referrers(image).await?;
    let entries = listed.get("manifests").and_then(Value::as_array);
    if entries.is_some_and(|entries| entries.iter().any(is_signature)) {
        return Ok(true);
    }
    // Where cosign has put signatures since before there were referrers.
    Ok(found(repository.manifest(&format!("{}.sig", tag(image))).await)?.is_some())
}

impl Repository {
    /// Returns the index of what refers to an image, empty if there is none.
    async fn referrers(&self, image: &Digest) -> Result<Value, RegistryError> {
        let target = self.path(&format!("referrers/{image}"));
        let listed = self.client.send(Method::GET, &target, &self.scopes, |request| request).await;
        if let Some(response) = found(listed)? {
            let bytes = self.read(response).await?;
            return Ok(serde_json::from_slice(&bytes).unwrap_or_default());
        }
        let tagged = found(self.manifest(&tag(image)).await)?;
        Ok(tagged.and_then(|(bytes, _)| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }
}

/// What is not there is no error.
fn found<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Adds an entry to an index of referrers, unless it is there.
fn with(mut index: Value, entry: &Descriptor) -> Value {
    if !index.get("manifests").is_some_and(Value::is_array) {
        index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    }
    if let Some(entries) = index["manifests"].as_array_mut() {
        let same = |other: &Value| other.get("digest") == Some(&json!(entry.digest));
        if !entries.iter().any(same) {
            entries.push(json!(entry));
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_referrers_lists_each_once_and_keeps_those_of_others() {
        let one = Descriptor::of("a/b", b"1");
        let two = Descriptor::of("a/b", b"2");
        let index = with(with(with(Value::Null, &one), &two), &one);
        assert_eq!(index["manifests"], json!([one, two]));
    }
}
