//! How each output layer is made, before anything is read.

use std::sync::Arc;

use super::SlimError;
use super::images::Image;
use super::scan::key_of;
use crate::cache::RewriteKey;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{Compression, SeekMap};
use crate::layer::cut::CutList;
use crate::layer::rewrite::Packing;
use crate::layering::{Change, OutputLayer};
use crate::transport::Spool;
use crate::transport::spool::ScratchFile;

/// How one output layer is made.
pub(super) enum Recipe {
    Keep,
    Drop,
    /// Of what cut lists keep of old layers.
    Cut(Vec<Part>),
    /// Of a whole old layer, compressed otherwise.
    Recompress(Box<StackedLayer>),
}

/// What an output layer takes from an old one.
pub(super) struct Part {
    pub(super) layer: StackedLayer,
    pub(super) points: Points,
    pub(super) cut: Arc<CutList>,
}

/// Points from which an old layer can be decoded.
pub(super) enum Points {
    /// As the scan noted.
    Mapped(Arc<SeekMap>),
    /// The layer was not read, for the cache knew what is in it; its map may go here.
    Unread(ScratchFile),
    /// There are none.
    None,
}

impl Recipe {
    /// Tells how an output layer is made. `maps` has points to seek to in old layers that were read; layers that stay are compressed
    /// otherwise if `wanted` says so, or they are not compressed at all.
    pub(super) fn new(
        image: &Image,
        output: &OutputLayer,
        maps: &[Option<Arc<SeekMap>>],
        wanted: Option<Compression>,
        spool: &Spool,
    ) -> Result<Self, SlimError> {
        let layer = |index: usize| image.stack.layers[index].clone();
        Ok(match &output.change {
            Change::Drop => Self::Drop,
            Change::Rewrite(lists) => {
                let part = |(index, cut): &(usize, Arc<CutList>)| {
                    let layer = layer(*index);
                    let points = match &maps[*index] {
                        Some(map) => Points::Mapped(map.clone()),
                        None if layer.compression == Compression::Gzip => Points::Unread(spool.scratch()?),
                        None => Points::None,
                    };
                    Ok::<_, SlimError>(Part { layer, points, cut: cut.clone() })
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

    /// About how many bytes have to be decoded.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Keep | Self::Drop => 0,
            Self::Cut(parts) => parts.iter().map(|part| part.cut.kept()).sum(),
            Self::Recompress(layer) => layer.descriptor.size,
        }
    }

    /// Returns what the layer depends on; `None` if nothing is made.
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
