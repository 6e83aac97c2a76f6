//! Descriptors: the media type, digest and size of a blob. Spec: image-spec `descriptor.md`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::platform::Platform;
use crate::blob::BlobFacts;
use crate::digest::Digest;

/// A reference to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// The platform, if this is an index entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String, Value>,
    /// `urls`, `data`, `artifactType` and all other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Descriptor {
    /// Creates a descriptor without optional fields.
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

    /// Creates the descriptor of `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, BlobFacts { digest: Digest::of(bytes), size: bytes.len() as u64 })
    }

    /// Returns the expected digest and size of the blob.
    pub fn facts(&self) -> BlobFacts {
        BlobFacts { digest: self.digest, size: self.size }
    }

    /// Returns the value of an annotation, if it is a string.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).and_then(Value::as_str)
    }
}
