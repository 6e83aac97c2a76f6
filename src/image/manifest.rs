//! Image manifests of OCI and Docker schema 2. Spec: image-spec `manifest.md`.

use serde_json::Value;

use super::descriptor::Descriptor;
use super::document::DocumentError;
use super::media_type;

/// An image manifest: its bytes and the parsed parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The original bytes. Their digest is that of the manifest.
    pub bytes: Vec<u8>,
    /// The same as JSON.
    pub json: Value,
    /// `application/vnd.oci…` or `application/vnd.docker…`.
    pub media_type: String,
    /// Descriptor of the config.
    pub config: Descriptor,
    /// Descriptors of the layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    pub(super) fn parse(bytes: Vec<u8>, json: Value, media_type: String) -> Result<Self, DocumentError> {
        let part = |key: &'static str| json.get(key).cloned().ok_or(DocumentError::Missing { what: "manifest", key });
        let bad = |key: &'static str| move |source| DocumentError::Key { what: "manifest", key, source };
        Ok(Self {
            config: serde_json::from_value(part("config")?).map_err(bad("config"))?,
            layers: serde_json::from_value(part("layers")?).map_err(bad("layers"))?,
            bytes,
            json,
            media_type,
        })
    }

    /// Returns whether this is a container image, and not another artifact with an image manifest.
    pub fn is_image(&self) -> bool {
        media_type::is_image_config(&self.config.media_type) && self.json.get("artifactType").is_none()
    }

    /// Returns the value of an annotation, if it is a string.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.json.get("annotations")?.get(key)?.as_str()
    }
}
