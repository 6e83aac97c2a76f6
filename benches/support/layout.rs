//! The layers of an image in an OCI layout.

use std::path::{Path, PathBuf};

use pydock::blob::BlobFacts;
use pydock::digest::Digest;
use serde_json::Value;

/// Returns the layout from the arguments, or that of the large web image, and a number if one is given.
pub(crate) fn arguments() -> (PathBuf, Option<usize>) {
    // Cargo adds options of its own.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let layout = args.next().unwrap_or_else(|| "target/lab/oci/fat-web".to_owned());
    (layout.into(), args.next().map(|number| number.parse().unwrap()))
}

/// One layer.
pub(crate) struct Layer {
    /// Its blob.
    pub(crate) path: PathBuf,
    /// The blob's digest and size.
    pub(crate) facts: BlobFacts,
    /// What it decompresses to.
    pub(crate) diff_id: Digest,
}

/// Returns the layers of the first image of a layout, the lowest first.
pub(crate) fn layers(layout: &Path) -> Vec<Layer> {
    let blob = |digest: &Value| layout.join("blobs/sha256").join(digest.as_str().unwrap().replace("sha256:", ""));
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let index = read(layout.join("index.json"));
    let manifest = read(blob(&index["manifests"][0]["digest"]));
    let config = read(blob(&manifest["config"]["digest"]));
    let diff_ids =
        config["rootfs"]["diff_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().parse().unwrap());
    let layers = manifest["layers"].as_array().unwrap().iter().zip(diff_ids);
    let layer = |(layer, diff_id): (&Value, _)| {
        let facts = BlobFacts {
            digest: layer["digest"].as_str().unwrap().parse().unwrap(),
            size: layer["size"].as_u64().unwrap(),
        };
        Layer { path: blob(&layer["digest"]), facts, diff_id }
    };
    layers.map(layer).collect()
}
