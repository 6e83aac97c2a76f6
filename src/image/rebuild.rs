//! Builds the documents of a new image from the old image and the change of each layer. Pure.

use serde_json::Value;

use super::config::ImageConfig;
use super::descriptor::Descriptor;
use super::manifest::Manifest;
use super::marks::Marks;
use super::media_type;
use super::stack::{LayerStack, StackedLayer};
use crate::digest::Digest;
use crate::layer::codec::Compression;
use crate::layer::rewrite::Rewritten;

/// The change of one old layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerChange {
    /// The same blob is kept.
    Keep,
    /// A new layer replaces it.
    Replace {
        /// The new layer.
        layer: Rewritten,
        /// Compression of the new layer.
        compression: Compression,
        /// Number of lower layers that were squashed into it.
        squashed: usize,
    },
    /// It is removed. Its history line is marked as an empty layer.
    Drop,
}

/// The documents of a new image.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuilt {
    /// Bytes of the new config.
    pub config: Vec<u8>,
    /// Bytes of the new manifest.
    pub manifest: Vec<u8>,
    /// Descriptor of the new manifest.
    pub descriptor: Descriptor,
    /// Descriptor of the new config.
    pub config_descriptor: Descriptor,
    /// Descriptors of the new layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// Builds the documents of the new image. `changes` has one item per layer of `stack`.
///
/// The result is always OCI. If nothing changes, the documents of an OCI image are unchanged, byte for byte.
pub fn rebuild(
    manifest: &Manifest,
    config: &ImageConfig,
    stack: &LayerStack,
    changes: &[LayerChange],
    marks: &Marks,
) -> Rebuilt {
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    let mut history = config.history().to_vec();
    for (old, change) in stack.layers.iter().zip(changes) {
        match change {
            LayerChange::Keep => {
                layers.push(kept(old));
                diff_ids.push(old.diff_id);
            }
            LayerChange::Replace { layer, compression, squashed } => {
                layers.push(replaced(old, *layer, *compression));
                diff_ids.push(layer.tar.digest);
                if let (Some(line), 1..) = (old.history, *squashed) {
                    history[line]["comment"] = format!("pydock: squashed with the {squashed} layers below").into();
                }
            }
            LayerChange::Drop => {
                if let Some(line) = old.history {
                    history[line]["empty_layer"] = true.into();
                }
            }
        }
    }
    // A history with another number of layers would mislead readers, so it is dropped.
    if !stack.history_fits && changes.contains(&LayerChange::Drop) {
        history.clear();
    }
    documents(manifest, config, layers, &diff_ids, &history, marks)
}

fn documents(
    manifest: &Manifest,
    config: &ImageConfig,
    layers: Vec<Descriptor>,
    diff_ids: &[Digest],
    history: &[Value],
    marks: &Marks,
) -> Rebuilt {
    let config_bytes = config.with_layers(diff_ids, history);
    let mut config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &config_bytes);
    config_descriptor.annotations = manifest.config.annotations.clone();
    let unchanged = manifest.media_type == media_type::OCI_MANIFEST
        && layers == manifest.layers
        && config_bytes == config.bytes()
        && manifest.config.media_type == media_type::OCI_CONFIG;
    let manifest_bytes = if unchanged {
        manifest.bytes.clone()
    } else {
        let mut json = manifest.json.clone();
        json["mediaType"] = media_type::OCI_MANIFEST.into();
        json["config"] = serde_json::json!(config_descriptor);
        json["layers"] = serde_json::json!(layers);
        marks.put_on(&mut json, Digest::of(&manifest.bytes));
        json.to_string().into_bytes()
    };
    Rebuilt {
        descriptor: Descriptor::of(media_type::OCI_MANIFEST, &manifest_bytes),
        config_descriptor,
        config: config_bytes,
        manifest: manifest_bytes,
        layers,
    }
}

fn kept(old: &StackedLayer) -> Descriptor {
    let mut descriptor = old.descriptor.clone();
    descriptor.media_type = media_type::oci_layer(old.compression);
    descriptor
}

/// Builds the descriptor of a new layer. Annotations are dropped: they describe the old bytes (a table of contents, an
/// uncompressed size).
fn replaced(old: &StackedLayer, layer: Rewritten, compression: Compression) -> Descriptor {
    let mut descriptor = Descriptor::new(media_type::oci_layer(compression), layer.blob);
    descriptor.platform = old.descriptor.platform.clone();
    descriptor
}
