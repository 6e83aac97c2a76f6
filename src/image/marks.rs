//! What pydock notes on the images that it makes, as annotations of manifest or index. Spec: image-spec `annotations.md`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::base::{BASE_DIGEST, BASE_NAME};
use crate::digest::Digest;

/// Annotation that holds the digest of the image that was slimmed.
pub const SOURCE_DIGEST: &str = "dev.pydock.source.digest";
/// Annotation that holds the profiles that decided, separated by commas.
pub const PROFILES: &str = "dev.pydock.profiles";
/// Annotation that tells when an image was made.
const CREATED: &str = "org.opencontainers.image.created";

/// What is noted on a new image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The full name of the image that was slimmed, if it is in a registry.
    pub source_name: Option<String>,
    /// The profiles that decided.
    pub profiles: BTreeSet<String>,
    /// When the image is said to have been made, as RFC 3339 has it; `None` leaves what the old one says.
    pub created: Option<String>,
}

impl Marks {
    /// Notes on a manifest or an index that it was made of `source`.
    pub fn put_on(&self, document: &mut Value, source: Digest) {
        let mut marks = match document.get_mut("annotations").map(Value::take) {
            Some(Value::Object(old)) => old,
            _ => Map::new(),
        };
        // What the old image stood on, the new one does not: its base's layers may be others now.
        marks.shift_remove(BASE_NAME);
        marks.insert(BASE_DIGEST.to_owned(), source.to_string().into());
        marks.insert(SOURCE_DIGEST.to_owned(), source.to_string().into());
        marks.insert(PROFILES.to_owned(), self.profiles.iter().cloned().collect::<Vec<_>>().join(",").into());
        marks.extend(self.source_name.as_ref().map(|name| (BASE_NAME.to_owned(), name.as_str().into())));
        marks.extend(self.created.as_ref().map(|created| (CREATED.to_owned(), created.as_str().into())));
        document["annotations"] = marks.into();
    }
}

/// Returns the digest of the image that a manifest or index was made of; `None` if it is none of ours.
pub fn source_digest(document: &Value) -> Option<Digest> {
    document.get("annotations")?.get(SOURCE_DIGEST)?.as_str()?.parse().ok()
}
