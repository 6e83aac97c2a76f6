//! Annotations that pydock adds to the manifest or index of a new image. Spec: image-spec `annotations.md`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::base::{BASE_DIGEST, BASE_NAME};
use crate::digest::Digest;

/// Annotation with the digest of the source image.
pub const SOURCE_DIGEST: &str = "dev.pydock.source.digest";
/// Annotation with the applied profiles, separated by commas.
pub const PROFILES: &str = "dev.pydock.profiles";
/// Annotation with the creation time of the image.
const CREATED: &str = "org.opencontainers.image.created";

/// The annotations of a new image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The full name of the source image, if it is in a registry.
    pub source_name: Option<String>,
    /// The applied profiles.
    pub profiles: BTreeSet<String>,
    /// The creation time of the image, as in RFC 3339. `None` keeps that of the source image.
    pub created: Option<String>,
}

impl Marks {
    /// Adds the annotations to a manifest or an index that was made from `source`.
    pub fn put_on(&self, document: &mut Value, source: Digest) {
        let mut marks = match document.get_mut("annotations").map(Value::take) {
            Some(Value::Object(old)) => old,
            _ => Map::new(),
        };
        // The old base does not apply: the layers of the new image can differ from its layers.
        marks.shift_remove(BASE_NAME);
        marks.insert(BASE_DIGEST.to_owned(), source.to_string().into());
        marks.insert(SOURCE_DIGEST.to_owned(), source.to_string().into());
        marks.insert(PROFILES.to_owned(), self.profiles.iter().cloned().collect::<Vec<_>>().join(",").into());
        marks.extend(self.source_name.as_ref().map(|name| (BASE_NAME.to_owned(), name.as_str().into())));
        marks.extend(self.created.as_ref().map(|created| (CREATED.to_owned(), created.as_str().into())));
        document["annotations"] = marks.into();
    }
}

/// Returns the digest of the source image. `None` if pydock did not make this manifest or index.
pub fn source_digest(document: &Value) -> Option<Digest> {
    document.get("annotations")?.get(SOURCE_DIGEST)?.as_str()?.parse().ok()
}
