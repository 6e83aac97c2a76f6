//! Artifacts that refer to an image. Spec: image-spec `manifest.md`, "Guidelines for Artifact Usage".

use serde_json::{Map, Value, json};

use super::descriptor::Descriptor;
use super::media_type;

/// The config of an artifact without a config.
pub const EMPTY_CONFIG: &[u8] = b"{}";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A document that refers to an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Media type of the document, and type of the artifact.
    pub media_type: String,
    /// The document.
    pub content: Vec<u8>,
    /// Annotations of the manifest.
    pub annotations: Map<String, Value>,
}

impl Artifact {
    /// Creates an artifact with one document.
    pub fn new(media_type: &str, content: Vec<u8>) -> Self {
        Self { media_type: media_type.to_owned(), content, annotations: Map::new() }
    }

    /// Returns the descriptor of the document.
    pub fn layer(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.content)
    }

    /// Returns the descriptor of the config.
    pub fn config() -> Descriptor {
        Descriptor::of(EMPTY, EMPTY_CONFIG)
    }

    /// Returns the manifest, and its descriptor for a referrers list.
    pub fn manifest(&self, subject: &Descriptor) -> (Vec<u8>, Descriptor) {
        let subject = Descriptor::new(&subject.media_type, subject.facts());
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": self.media_type,
            "config": Self::config(),
            "layers": [self.layer()],
            "subject": subject,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = self.annotations.clone().into();
        }
        let bytes = manifest.to_string().into_bytes();
        let mut listed = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
        listed.annotations = self.annotations.clone();
        listed.rest.insert("artifactType".to_owned(), self.media_type.as_str().into());
        (bytes, listed)
    }
}
