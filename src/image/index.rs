//! Image indexes and Docker manifest lists. Spec: image-spec `image-index.md`.

use serde_json::Value;

use super::descriptor::Descriptor;
use super::document::DocumentError;
use super::marks::Marks;
use super::media_type;
use crate::digest::Digest;

/// BuildKit's annotation of attestations (SBOM, provenance) that it adds next to images.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// An index: its bytes and the parsed parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// The original bytes.
    pub bytes: Vec<u8>,
    /// The same as JSON.
    pub json: Value,
    /// `application/vnd.oci…` or `application/vnd.docker…`.
    pub media_type: String,
    /// The descriptors in the index.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    pub(super) fn parse(bytes: Vec<u8>, json: Value, media_type: String) -> Result<Self, DocumentError> {
        let manifests =
            json.get("manifests").cloned().ok_or(DocumentError::Missing { what: "index", key: "manifests" })?;
        Ok(Self {
            manifests: serde_json::from_value(manifests).map_err(|source| DocumentError::Key {
                what: "index",
                key: "manifests",
                source,
            })?,
            bytes,
            json,
            media_type,
        })
    }

    /// Returns the bytes of an equivalent OCI index with other `manifests`, or the original bytes if nothing differs.
    pub fn with_manifests(&self, manifests: &[Descriptor], marks: &Marks) -> Vec<u8> {
        if self.media_type == media_type::OCI_INDEX && self.manifests == manifests {
            return self.bytes.clone();
        }
        let mut json = self.json.clone();
        json["mediaType"] = media_type::OCI_INDEX.into();
        json["manifests"] = serde_json::json!(manifests);
        marks.put_on(&mut json, Digest::of(&self.bytes));
        json.to_string().into_bytes()
    }
}

/// Returns whether an index entry is an attestation of BuildKit. It describes an image that slimming replaces.
pub fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotation(REFERENCE_TYPE) == Some("attestation-manifest")
}
