//! The layers of an image, each joined once with its diff ID and its line of history.

use super::config::ImageConfig;
use super::descriptor::Descriptor;
use super::manifest::Manifest;
use super::media_type::{self, LayerTypeError};
use crate::digest::Digest;
use crate::layer::codec::Compression;

/// The layers of an image, the lowest first.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStack {
    /// The layers.
    pub layers: Vec<StackedLayer>,
    /// Whether history tells as many layers as there are; if not, no layer has a line.
    pub history_fits: bool,
}

/// One layer with all that manifest and config say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Digest of the decompressed layer.
    pub diff_id: Digest,
    /// Index of the layer's line in the config's history.
    pub history: Option<usize>,
}

/// Why manifest and config do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StackError {
    /// They disagree about the number of layers.
    #[error("the manifest has {layers} layers, the config {diff_ids} diff IDs")]
    Count {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// A layer is of a kind that cannot be read.
    #[error("layer {number} ({digest}) cannot be read: {source}")]
    Layer {
        /// The layer, counted from 1.
        number: usize,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: LayerTypeError,
    },
}

impl LayerStack {
    /// Joins manifest and config.
    ///
    /// # Errors
    /// If they disagree, or a layer is of a kind that cannot be read.
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
