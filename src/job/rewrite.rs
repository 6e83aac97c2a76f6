//! Makes the new layers of an image in parallel.

use std::collections::HashMap;
use std::io::BufWriter;
use std::sync::Arc;

use super::images::Image;
use super::{Job, SlimError};
use crate::cache::{CachedLayer, RewriteKey};
use crate::digest::Digest;
use crate::image::rebuild::LayerChange;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{BlockMap, Compression, Workers};
use crate::layer::cut::CutList;
use crate::layer::rewrite::{LayerWriter, Packing, RewriteError, Rewritten};
use crate::layer::scan;
use crate::layering::{Change, OutputLayer};
use crate::progress::{MeteredReader, Stage};
use crate::transport::spool::ScratchFile;
use crate::transport::{BlobReader, FileSlice, Spool, SpooledBlob};

/// How new layers are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Their compression. `None` leaves layers that stay as they are, unless they are not compressed at all.
    pub compression: Option<Compression>,
    /// Whether what stays of a rewritten layer is compressed anew.
    pub recompress: bool,
    /// The level at which it is; `None` for the compression's usual one.
    pub level: Option<u32>,
}

/// What became of an image's layers.
#[derive(Debug)]
pub struct NewLayers {
    /// One item for each old layer.
    pub changes: Vec<LayerChange>,
    /// The blobs that were made, by digest.
    pub blobs: HashMap<Digest, MadeBlob>,
}

/// The blob of a layer that was made.
#[derive(Debug)]
pub enum MadeBlob {
    /// By this run.
    Spooled(SpooledBlob),
    /// By an earlier one.
    Cached(CachedLayer),
}

/// How one output layer is made.
enum Recipe {
    Keep,
    Drop,
    /// Of what cut lists keep of old layers.
    Cut(Vec<Part>),
    /// Of a whole old layer, compressed otherwise.
    Recompress(Box<StackedLayer>),
}

/// What an output layer takes from an old one.
struct Part {
    layer: StackedLayer,
    blocks: Blocks,
    cut: CutList,
}

/// Where the deflate blocks of an old layer lie.
enum Blocks {
    /// As the scan noted.
    Mapped(Arc<BlockMap>),
    /// The layer was not read, for the cache knew what is in it; its map may go here.
    Unread(ScratchFile),
    /// There are none.
    None,
}

impl Recipe {
    /// About how many bytes have to be decoded.
    fn cost(&self) -> u64 {
        match self {
            Self::Keep | Self::Drop => 0,
            Self::Cut(parts) => parts.iter().map(|part| part.cut.kept()).sum(),
            Self::Recompress(layer) => layer.descriptor.size,
        }
    }

    /// Returns what the layer depends on; `None` if nothing is made.
    fn key(&self, packing: Packing) -> Option<RewriteKey> {
        match self {
            Self::Keep | Self::Drop => None,
            Self::Cut(parts) => {
                let old = parts.iter().map(|part| (part.layer.descriptor.digest, part.layer.diff_id, &part.cut));
                Some(RewriteKey::of_cuts(packing, old))
            }
            Self::Recompress(layer) => Some(RewriteKey::of_whole(packing, layer.descriptor.digest)),
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
        let mut packing = Packing {
            compression: wanted.compression.unwrap_or(Compression::Gzip),
            copies_blocks: !wanted.recompress,
            level: wanted.level,
            hashes_aside: false,
        };
        let recipes = outputs.iter().map(|output| recipe(image, output, maps, wanted.compression, spool));
        let recipes = recipes.collect::<Result<Vec<_>, _>>()?;
        let is_made = |key: &RewriteKey| self.cache.as_ref().is_some_and(|cache| cache.has_layer(key));
        let keys = recipes.iter().map(|recipe| recipe.key(packing)).collect::<Vec<_>>();
        let to_make = keys.iter().flatten().filter(|key| !is_made(key)).count();
        packing.hashes_aside = self.has_idle(to_make);
        let workers = Workers::start(self.thread_count, to_make).filter(|_| to_make > 0);
        let mut tasks = Vec::new();
        for ((output, recipe), key) in outputs.iter().zip(recipes).zip(keys) {
            let (file, path) = spool.file()?;
            let (job, last, workers) = (self.clone(), output.old.end, workers.clone());
            tasks.push((recipe.cost(), async move {
                let Some(key) = key else { return Ok(None) };
                let asked = key.clone();
                if let Some(cached) = job.ask_cache(move |cache| cache.layer(&asked)).await?.flatten() {
                    return Ok(Some((cached.layer, MadeBlob::Cached(cached))));
                }
                let old = job.open_old(recipe, last).await?;
                let cache = job.cache.clone();
                let made = super::blocking(move || {
                    let layer = make(old, packing, workers, BufWriter::new(file))?;
                    if let Some(cache) = cache {
                        cache.keep_layer(&key, &layer, &path);
                    }
                    Ok((layer, MadeBlob::Spooled(SpooledBlob { path, facts: layer.blob })))
                });
                let failed = |source| SlimError::Rewrite { number: last, image: job.image.clone(), source };
                made.await?.map(Some).map_err(failed)
            }));
        }
        let made = self.in_parallel(tasks).await?;
        Ok(NewLayers::collect(&outputs, made, packing.compression))
    }

    /// Opens the old layers that a recipe reads.
    async fn open_old(&self, recipe: Recipe, number: usize) -> Result<Old, SlimError> {
        Ok(match recipe {
            Recipe::Keep | Recipe::Drop => Old::Cut(Vec::new()),
            Recipe::Recompress(layer) => Old::Whole(self.open_streamed(&layer, number).await?),
            Recipe::Cut(parts) => {
                let mut layers = Vec::new();
                for Part { layer, blocks, cut } in parts {
                    let map = match blocks {
                        Blocks::Mapped(map) => Some(map),
                        Blocks::Unread(scratch) => Some(self.map(&layer, scratch, number).await?),
                        Blocks::None => None,
                    };
                    let old = match self.open_mapped(&layer, map, number).await? {
                        Some(old) => old,
                        None => OldLayer::Streamed(self.open_streamed(&layer, number).await?),
                    };
                    layers.push((old, cut));
                }
                Old::Cut(layers)
            }
        })
    }

    async fn open_streamed(&self, layer: &StackedLayer, number: usize) -> Result<Streamed, SlimError> {
        let blob = self.open(Stage::Rewrite, &format!("layer {number}"), &layer.descriptor).await;
        blob.map(|blob| Streamed { blob, compression: layer.compression, diff_id: layer.diff_id })
            .map_err(|source| self.source_error(source))
    }

    /// Reads a layer that the cache knew, but not as it is to be now.
    async fn map(&self, layer: &StackedLayer, scratch: ScratchFile, number: usize) -> Result<Arc<BlockMap>, SlimError> {
        let Streamed { blob, diff_id, .. } = self.open_streamed(layer, number).await?;
        let mapped = super::blocking(move || {
            let mut map = BlockMap::new(Box::new(scratch));
            scan::map(blob, diff_id, &mut map).map(|()| Arc::new(map))
        });
        mapped.await?.map_err(|source| self.scan_error(number, &layer.descriptor, source))
    }

    /// Opens an old layer where its blocks are known and it can be read anywhere.
    async fn open_mapped(
        &self,
        layer: &StackedLayer,
        map: Option<Arc<BlockMap>>,
        number: usize,
    ) -> Result<Option<OldLayer>, SlimError> {
        let Some(map) = map else { return Ok(None) };
        let slice = self.source.slice(&layer.descriptor).await.map_err(|source| self.source_error(source))?;
        Ok(slice.map(|slice| {
            let what = format!("layer {number}");
            OldLayer::Mapped(self.meter(slice, Stage::Rewrite, &what, &layer.descriptor), map)
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

fn recipe(
    image: &Image,
    output: &OutputLayer,
    maps: &[Option<Arc<BlockMap>>],
    wanted: Option<Compression>,
    spool: &Spool,
) -> Result<Recipe, SlimError> {
    let layer = |index: usize| image.stack.layers[index].clone();
    Ok(match &output.change {
        Change::Drop => Recipe::Drop,
        Change::Rewrite(lists) => {
            let part = |(index, cut): &(usize, CutList)| {
                let layer = layer(*index);
                let blocks = match &maps[*index] {
                    Some(map) => Blocks::Mapped(map.clone()),
                    None if layer.compression == Compression::Gzip => Blocks::Unread(spool.scratch()?),
                    None => Blocks::None,
                };
                Ok::<_, SlimError>(Part { layer, blocks, cut: cut.clone() })
            };
            Recipe::Cut(lists.iter().map(part).collect::<Result<_, _>>()?)
        }
        Change::Keep => {
            let kept = layer(output.old.start);
            let fits = match wanted {
                Some(wanted) => kept.compression == wanted,
                None => kept.compression != Compression::None,
            };
            if fits { Recipe::Keep } else { Recipe::Recompress(kept.into()) }
        }
    })
}

fn make(
    old: Old,
    packing: Packing,
    workers: Option<Workers>,
    output: impl std::io::Write,
) -> Result<Rewritten, RewriteError> {
    let mut writer = LayerWriter::new(packing, workers, output)?;
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
    fn collect(outputs: &[OutputLayer], made: Vec<Option<(Rewritten, MadeBlob)>>, compression: Compression) -> Self {
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
