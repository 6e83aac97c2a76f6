//! Makes the new layers of an image in parallel.

use std::collections::HashMap;
use std::io::BufWriter;
use std::sync::Arc;

use super::images::Image;
use super::{Job, SlimError};
use crate::digest::Digest;
use crate::image::rebuild::LayerChange;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{BlockMap, Compression};
use crate::layer::cut::CutList;
use crate::layer::rewrite::{LayerWriter, Packing, RewriteError, Rewritten};
use crate::layering::{Change, OutputLayer};
use crate::progress::{MeteredReader, Stage};
use crate::transport::{BlobReader, FileSlice, Spool, SpooledBlob};

/// How new layers are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Their compression. `None` leaves layers that stay as they are, unless they are not compressed at all.
    pub compression: Option<Compression>,
    /// Whether what stays of a rewritten layer is compressed anew.
    pub recompress: bool,
}

/// What became of an image's layers.
#[derive(Debug)]
pub struct NewLayers {
    /// One item for each old layer.
    pub changes: Vec<LayerChange>,
    /// The blobs that were made, by digest.
    pub blobs: HashMap<Digest, SpooledBlob>,
}

/// How one output layer is made.
enum Recipe {
    Keep,
    Drop,
    /// Of what cut lists keep of old layers.
    Cut(Vec<(StackedLayer, Option<Arc<BlockMap>>, CutList)>),
    /// Of a whole old layer, compressed otherwise.
    Recompress(Box<StackedLayer>),
}

impl Recipe {
    /// About how many bytes have to be decoded.
    fn cost(&self) -> u64 {
        match self {
            Self::Keep | Self::Drop => 0,
            Self::Cut(lists) => lists.iter().map(|(_, _, cut)| cut.kept()).sum(),
            Self::Recompress(layer) => layer.descriptor.size,
        }
    }
}

impl Job {
    /// Makes new layers. Those that stay are compressed anew only if they are not compressed at all, or compressed otherwise
    /// than `wanted` says; rewritten ones are compressed as it says, with gzip by default.
    ///
    /// # Errors
    /// If an old layer cannot be read, or a new one not be written.
    pub async fn rewrite(
        self: &Arc<Self>,
        image: &Image,
        outputs: Vec<OutputLayer>,
        maps: &[Option<Arc<BlockMap>>],
        wanted: Wanted,
        spool: &Spool,
    ) -> Result<NewLayers, SlimError> {
        let rewritten = outputs.iter().filter(|output| matches!(output.change, Change::Rewrite(_))).count();
        let packing = Packing {
            compression: wanted.compression.unwrap_or(Compression::Gzip),
            copies_blocks: !wanted.recompress,
            hashes_aside: self.has_idle(rewritten),
        };
        let mut tasks = Vec::new();
        for output in &outputs {
            let recipe = recipe(image, output, maps, wanted.compression);
            let (file, path) = spool.file()?;
            let (job, last) = (self.clone(), output.old.end);
            let cost = recipe.cost();
            tasks.push((cost, async move {
                let Some(old) = job.open_old(&recipe, last).await? else {
                    return Ok(None);
                };
                let made = super::blocking(move || make(old, packing, BufWriter::new(file))).await?;
                let layer =
                    made.map_err(|source| SlimError::Rewrite { number: last, image: job.image.clone(), source })?;
                Ok(Some((layer, SpooledBlob { path, facts: layer.blob })))
            }));
        }
        let made = self.in_parallel(tasks).await?;
        Ok(NewLayers::collect(&outputs, made, packing.compression))
    }

    /// Opens the old layers that a recipe reads; `None` if it makes nothing.
    async fn open_old(&self, recipe: &Recipe, number: usize) -> Result<Option<Old>, SlimError> {
        let open = async |layer: &StackedLayer| {
            let blob = self.open(Stage::Rewrite, &format!("layer {number}"), &layer.descriptor).await;
            blob.map(|blob| Streamed { blob, compression: layer.compression, diff_id: layer.diff_id })
                .map_err(|source| self.source_error(source))
        };
        Ok(match recipe {
            Recipe::Keep | Recipe::Drop => None,
            Recipe::Recompress(layer) => Some(Old::Whole(open(layer).await?)),
            Recipe::Cut(lists) => {
                let mut layers = Vec::new();
                for (layer, map, cut) in lists {
                    let old = match self.open_mapped(layer, map.as_ref(), number).await? {
                        Some(old) => old,
                        None => OldLayer::Streamed(open(layer).await?),
                    };
                    layers.push((old, cut.clone()));
                }
                Some(Old::Cut(layers))
            }
        })
    }

    /// Opens an old layer where its blocks are known and it can be read anywhere.
    async fn open_mapped(
        &self,
        layer: &StackedLayer,
        map: Option<&Arc<BlockMap>>,
        number: usize,
    ) -> Result<Option<OldLayer>, SlimError> {
        let Some(map) = map else { return Ok(None) };
        let slice = self.source.slice(&layer.descriptor).await.map_err(|source| self.source_error(source))?;
        Ok(slice.map(|slice| {
            let what = format!("layer {number}");
            OldLayer::Mapped(self.meter(slice, Stage::Rewrite, &what, &layer.descriptor), map.clone())
        }))
    }
}

/// Opened old layers.
enum Old {
    Whole(Streamed),
    Cut(Vec<(OldLayer, CutList)>),
}

enum OldLayer {
    /// Read from its start.
    Streamed(Streamed),
    /// Read where it is needed.
    Mapped(MeteredReader<FileSlice>, Arc<BlockMap>),
}

struct Streamed {
    blob: BlobReader,
    compression: Compression,
    diff_id: Digest,
}

fn recipe(image: &Image, output: &OutputLayer, maps: &[Option<Arc<BlockMap>>], wanted: Option<Compression>) -> Recipe {
    let layer = |index: usize| image.stack.layers[index].clone();
    match &output.change {
        Change::Drop => Recipe::Drop,
        Change::Rewrite(lists) => {
            let list = |(index, cut): &(usize, CutList)| (layer(*index), maps[*index].clone(), cut.clone());
            Recipe::Cut(lists.iter().map(list).collect())
        }
        Change::Keep => {
            let kept = layer(output.old.start);
            let fits = match wanted {
                Some(wanted) => kept.compression == wanted,
                None => kept.compression != Compression::None,
            };
            if fits { Recipe::Keep } else { Recipe::Recompress(kept.into()) }
        }
    }
}

fn make(old: Old, packing: Packing, output: impl std::io::Write) -> Result<Rewritten, RewriteError> {
    let mut writer = LayerWriter::new(packing, output)?;
    let (_, rewritten) = match old {
        Old::Whole(layer) => writer.recompress(layer.blob, layer.compression, layer.diff_id)?,
        Old::Cut(layers) => {
            for (layer, cut) in layers {
                match layer {
                    OldLayer::Streamed(layer) => writer.add(layer.blob, layer.compression, layer.diff_id, &cut)?,
                    OldLayer::Mapped(blob, map) => writer.splice(&blob, &map, &cut)?,
                }
            }
            writer.finish()?
        }
    };
    Ok(rewritten)
}

impl NewLayers {
    fn collect(outputs: &[OutputLayer], made: Vec<Option<(Rewritten, SpooledBlob)>>, compression: Compression) -> Self {
        let mut new = Self { changes: Vec::new(), blobs: HashMap::new() };
        for (output, made) in outputs.iter().zip(made) {
            let squashed = output.old.len() - 1;
            new.changes.extend((0..squashed).map(|_| LayerChange::Drop));
            new.changes.push(match (made, &output.change) {
                (Some((layer, blob)), _) => {
                    new.blobs.insert(layer.blob.digest, blob);
                    LayerChange::Replace { layer, compression, squashed }
                }
                (None, Change::Keep) => LayerChange::Keep,
                (None, _) => LayerChange::Drop,
            });
        }
        new
    }
}
