//! The layers of an image, each with its diff ID and history line.

use super::config::ImageConfig;
use super::descriptor::Descriptor;
use super::manifest::Manifest;
use super::media_type::{self, LayerTypeError};
use crate::digest::Digest;
use crate::layer::codec::Compression;

/// The layers of an image, lowest first.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStack {
    /// The layers.
    pub layers: Vec<StackedLayer>,
    /// Whether the history has as many layers as the image. If not, no layer has a history line.
    pub history_fits: bool,
}

/// A layer with its data from the manifest and the config.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedLayer {
    /// Descriptor of the blob.
    pub descriptor: Descriptor,
    /// Compression of the blob.
    pub compression: Compression,
    /// Digest of the decompressed layer.
    pub diff_id: Digest,
    /// Index of the layer's line in the history of the config.
    pub history: Option<usize>,
}

/// Why a manifest and a config do not match.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StackError {
    /// They have different numbers of layers.
    #[error("the manifest has {layers} layers, the config {diff_ids} diff IDs")]
    Count {
        /// Number of layers in the manifest.
        layers: usize,
        /// Number of diff IDs in the config.
        diff_ids: usize,
    },
    /// A layer has an unsupported media type.
    #[error("layer {number} ({digest}) cannot be read: {source}")]
    Layer {
        /// The layer, counted from 1.
        number: usize,
        /// Its digest.
        digest: Digest,
        /// The cause.
        source: LayerTypeError,
    },
}

impl LayerStack {
    /// Joins a manifest and a config.
    ///
    /// # Errors
    /// If they do not match, or a layer has an unsupported media type.
    pub fn new(manifest: &Manifest, config: &ImageConfig) -> Result<Self, StackError> {
        let diff_ids = config.diff_ids();
        if manifest.layers.len() != diff_ids.len() {
            return Err(StackError::Count { layers: manifest.layers.len(), diff_ids: diff_ids.len() });
        }
        let lines = (0..)
            .zip(config.history())
            .filter(|(_, line)| line.get("empty_layer") != Some(&true.into()))
            .map(|(index, _)| index)
            .collect::<Vec<_>>();
        let history_fits = lines.len() == diff_ids.len();
        let layers = manifest
            .layers
            .iter()
            .zip(diff_ids)
            .enumerate()
            .map(|(index, (descriptor, &diff_id))| {
                let compression = media_type::layer_compression(&descriptor.media_type)
                    .map_err(|source| StackError::Layer { number: index + 1, digest: descriptor.digest, source })?;
                Ok(StackedLayer {
                    descriptor: descriptor.clone(),
                    compression,
                    diff_id,
                    history: history_fits.then(|| lines[index]),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { layers, history_fits })
    }
}
