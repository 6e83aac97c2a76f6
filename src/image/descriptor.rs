//! Descriptors: what a blob is, how long, and its digest. Spec: image-spec `descriptor.md`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::platform::Platform;
use crate::blob::BlobFacts;
use crate::digest::Digest;

/// Points at a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Number of its bytes.
    pub size: u64,
    /// For which platform it is, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String, Value>,
    /// `urls`, `data`, `artifactType` and whatever else was there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Descriptor {
    /// Makes a plain descriptor.
    pub fn new(media_type: impl Into<String>, facts: BlobFacts) -> Self {
        Self {
            media_type: media_type.into(),
            digest: facts.digest,
            size: facts.size,
            platform: None,
            annotations: Map::new(),
            rest: Map::new(),
        }
    }

    /// Describes `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, BlobFacts { digest: Digest::of(bytes), size: bytes.len() as u64 })
    }

    /// Returns the digest and size that the blob must have.
    pub fn facts(&self) -> BlobFacts {
        BlobFacts { digest: self.digest, size: self.size }
    }

    /// Returns an annotation that is a string.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).and_then(Value::as_str)
    }
}
