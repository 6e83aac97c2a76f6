//! How each output layer is written, before any layer is read.

use std::sync::Arc;

use super::SlimError;
use super::destination::Destination;
use super::results::key_of;
use super::select::Image;
use crate::cache::RewriteKey;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{Compression, SeekMap};
use crate::layer::cut::CutList;
use crate::layer::rewrite::Packing;
use crate::layering::{Change, OutputLayer};
use crate::transport::spool::ScratchFile;

/// How one output layer is written.
pub(super) enum Recipe {
    /// Not at all: the old blob is kept.
    Keep,
    /// Not at all: nothing is left.
    Drop,
    /// From what cut lists keep of old layers.
    Cut(Vec<CutLayer>),
    /// From a whole old layer, with another compression.
    Recompress(Box<StackedLayer>),
}

/// An old layer, and what is kept of it.
pub(super) struct CutLayer {
    pub(super) layer: StackedLayer,
    pub(super) points: RestartPoints,
    pub(super) cut: Arc<CutList>,
}

/// The points from which an old layer can be decoded.
pub(super) enum RestartPoints {
    /// The scan recorded them.
    Mapped(Arc<SeekMap>),
    /// The scan came from the cache. They are recorded in this file when the layer is read.
    Unread(ScratchFile),
    /// The layer is not a gzip layer.
    None,
}

impl Recipe {
    /// Returns how an output layer is written. `maps` has the restart points of old layers that were read. A kept layer
    /// is compressed again if it is uncompressed, or if its compression is not `wanted`.
    ///
    /// # Errors
    /// If no temporary file can be created.
    pub(super) fn new(
        image: &Image,
        output: &OutputLayer,
        maps: &[Option<Arc<SeekMap>>],
        wanted: Option<Compression>,
        destination: &Destination,
    ) -> Result<Self, SlimError> {
        let layer = |index: usize| image.stack.layers[index].clone();
        Ok(match &output.change {
            Change::Drop => Self::Drop,
            Change::Rewrite(lists) => {
                let part = |(index, cut): &(usize, Arc<CutList>)| {
                    let layer = layer(*index);
                    let points = match &maps[*index] {
                        Some(map) => RestartPoints::Mapped(map.clone()),
                        None if layer.compression == Compression::Gzip => RestartPoints::Unread(destination.scratch()?),
                        None => RestartPoints::None,
                    };
                    Ok::<_, SlimError>(CutLayer { layer, points, cut: cut.clone() })
                };
                Self::Cut(lists.iter().map(part).collect::<Result<_, _>>()?)
            }
            Change::Keep => {
                let kept = layer(output.old.start);
                let fits = match wanted {
                    Some(wanted) => kept.compression == wanted,
                    None => kept.compression != Compression::None,
                };
                if fits { Self::Keep } else { Self::Recompress(kept.into()) }
            }
        })
    }

    /// Returns about how many bytes have to be decoded.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Keep | Self::Drop => 0,
            Self::Cut(parts) => parts.iter().map(|part| part.cut.kept()).sum(),
            Self::Recompress(layer) => layer.descriptor.size,
        }
    }

    /// Returns the name of the layer in the cache; `None` if no layer is written.
    pub(super) fn key(&self, packing: Packing) -> Option<RewriteKey> {
        match self {
            Self::Keep | Self::Drop => None,
            Self::Cut(parts) => {
                let old = parts.iter().map(|part| (key_of(&part.layer), &*part.cut));
                Some(RewriteKey::of_cuts(packing, old))
            }
            Self::Recompress(layer) => Some(RewriteKey::of_whole(packing, &key_of(layer))),
        }
    }
}
