//! A JSON document that a reference can point to: a manifest or an index.

use serde_json::Value;

use super::index::Index;
use super::manifest::Manifest;
use super::media_type;

/// The largest manifest, index or config, in bytes. Registries allow 4 MiB.
pub const MAX_DOCUMENT: u64 = 8 << 20;

/// How deep indexes can be nested.
pub const MAX_NESTED_INDEXES: usize = 8;

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A single image.
    Manifest(Box<Manifest>),
    /// An index of images by platform.
    Index(Index),
}

/// Why bytes are not a [`Document`] or a config.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The document is not JSON.
    #[error("the {what} is not JSON")]
    Json {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// The cause.
        source: serde_json::Error,
    },
    /// A required key is missing.
    #[error("the {what} has no `{key}`")]
    Missing {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A key has an invalid value.
    #[error("the {what}'s `{key}` cannot be read")]
    Key {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// The key.
        key: &'static str,
        /// The cause.
        source: serde_json::Error,
    },
    /// A line of the history is not an object.
    #[error("line {line} of the config's history is not an object")]
    History {
        /// The line, counted from 1.
        line: usize,
    },
    /// Indexes are nested too deep.
    #[error("indexes are nested more than {MAX_NESTED_INDEXES} deep")]
    Nested,
    /// The document is a Docker schema 1 manifest.
    #[error("the manifest has Docker's schema 1, which is obsolete since 2019")]
    SchemaOne,
    /// The document has an unknown media type.
    #[error("the manifest has an unknown media type: `{0}`")]
    Unknown(String),
    /// The document is larger than [`MAX_DOCUMENT`].
    #[error("the {what} claims {size} bytes; at most {MAX_DOCUMENT} are allowed")]
    TooLarge {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// The size in its descriptor.
        size: u64,
    },
}

impl Document {
    /// Parses a manifest or an index. `media_type` is from the descriptor or the registry, if known. The media type in
    /// the document takes precedence.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn parse(bytes: Vec<u8>, media_type: Option<&str>) -> Result<Self, DocumentError> {
        let json: Value =
            serde_json::from_slice(&bytes).map_err(|source| DocumentError::Json { what: "manifest", source })?;
        let own = json.get("mediaType").and_then(Value::as_str);
        let kind = own
            .or(media_type.filter(|kind| kind.starts_with("application/vnd.")))
            .or_else(|| json.get("manifests").map(|_| media_type::OCI_INDEX))
            .or_else(|| json.get("layers").map(|_| media_type::OCI_MANIFEST))
            .unwrap_or_default()
            .to_owned();
        if json.get("schemaVersion") == Some(&Value::from(1)) {
            return Err(DocumentError::SchemaOne);
        }
        match kind.as_str() {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => {
                Manifest::parse(bytes, json, kind).map(|manifest| Self::Manifest(manifest.into()))
            }
            media_type::OCI_INDEX | media_type::DOCKER_INDEX => Index::parse(bytes, json, kind).map(Self::Index),
            _ => Err(DocumentError::Unknown(kind)),
        }
    }
}
