//! Makes the new layers of an image in parallel.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use tempfile::TempPath;

use super::images::Image;
use super::recipe::{Part, Points, Recipe};
use super::{Job, SlimError};
use crate::cache::{CachedLayer, RewriteKey};
use crate::digest::Digest;
use crate::image::rebuild::LayerChange;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{Compression, Reuse, SeekMap, Workers};
use crate::layer::cut::CutList;
use crate::layer::rewrite::{LayerWriter, Packing, RewriteError, Rewritten};
use crate::layer::scan;
use crate::layering::{Change, OutputLayer};
use crate::progress::{MeteredReader, Stage};
use crate::transport::spool::ScratchFile;
use crate::transport::{BlobReader, FileSlice, Spool, SpooledBlob};

/// How new layers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A layer that was made, and its blob, unless it goes with an image that is pushed before.
type Made = (Rewritten, Option<MadeBlob>);

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
        maps: &[Option<Arc<SeekMap>>],
        wanted: Wanted,
        spool: &Spool,
    ) -> Result<NewLayers, SlimError> {
        let compression = wanted.compression.unwrap_or(Compression::Gzip);
        let packings = outputs.iter().map(|output| Packing {
            compression,
            // All of a squashed layer is written again anyway, and squashing asks for a small image.
            reuse: (!wanted.recompress).then(|| if output.old.len() > 1 { Reuse::Refit } else { Reuse::Copy }),
            level: wanted.level,
        });
        let recipes = outputs.iter().map(|output| Recipe::new(image, output, maps, wanted.compression, spool));
        let recipes = recipes.collect::<Result<Vec<_>, _>>()?;
        let is_made = |key: &RewriteKey| self.cache.as_ref().is_some_and(|cache| cache.has_layer(key));
        let plans = recipes.into_iter().zip(packings).map(|(recipe, packing)| (recipe.key(packing), recipe, packing));
        let plans = plans.collect::<Vec<_>>();
        let to_make = plans.iter().filter_map(|(key, ..)| key.as_ref()).filter(|key| !is_made(key)).count();
        let workers = Workers::start(self.thread_count, to_make).filter(|_| to_make > 0);
        let mut tasks = Vec::new();
        for (output, (key, recipe, packing)) in outputs.iter().zip(plans) {
            let place = spool.file()?;
            let (job, last, workers) = (self.clone(), output.old.end, workers.clone());
            tasks.push((recipe.cost(), async move {
                match key {
                    Some(key) => job.make_layer(recipe, key, last, packing, workers, place).await.map(Some),
                    None => Ok(None),
                }
            }));
        }
        let made = self.in_parallel(tasks).await?;
        Ok(NewLayers::collect(&outputs, made, compression))
    }

    /// Makes one layer, unless an earlier run, or this one for an earlier image, has made the very same. `number` is for messages; the blob goes to `place`.
    async fn make_layer(
        &self,
        recipe: Recipe,
        key: RewriteKey,
        number: usize,
        packing: Packing,
        workers: Option<Workers>,
        (file, path): (File, TempPath),
    ) -> Result<Made, SlimError> {
        if let Some(layer) = self.shared.layer(&key) {
            return Ok((layer, None));
        }
        let asked = key.clone();
        if let Some(cached) = self.ask_cache(move |cache| cache.layer(&asked)).await?.flatten() {
            self.shared.keep_layer(key, cached.layer);
            return Ok((cached.layer, Some(MadeBlob::Cached(cached))));
        }
        let old = self.open_old(recipe, number).await?;
        // Where all threads pack, none is idle.
        let is_light = packing.reuse == Some(Reuse::Copy);
        let idle = is_light.then(|| self.idle_threads());
        let made = super::blocking(move || {
            let writer = LayerWriter::new(packing, workers, idle, BufWriter::new(file))?;
            make(old, writer)
        });
        let layer = made.await?;
        let layer = layer.map_err(|source| SlimError::Rewrite { number, image: self.image.clone(), source })?;
        self.shared.keep_layer(key.clone(), layer);
        if self.cache.is_some() {
            // Opened here: the blob may be moved to where it goes before it is copied.
            let blob = File::open(&path);
            self.keep(move |cache| cache.keep_layer(&key, &layer, blob));
        }
        Ok((layer, Some(MadeBlob::Spooled(SpooledBlob { path, facts: layer.blob }))))
    }

    /// Opens the old layers that a recipe reads.
    async fn open_old(&self, recipe: Recipe, number: usize) -> Result<Old, SlimError> {
        Ok(match recipe {
            Recipe::Keep | Recipe::Drop => Old::Cut(Vec::new()),
            Recipe::Recompress(layer) => Old::Whole(self.open_streamed(&layer, number).await?),
            Recipe::Cut(parts) => {
                let mut layers = Vec::new();
                for Part { layer, points, cut } in parts {
                    let map = match points {
                        Points::Mapped(map) => Some(map),
                        Points::Unread(scratch) => Some(self.map(&layer, scratch, number).await?),
                        Points::None => None,
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
    async fn map(&self, layer: &StackedLayer, scratch: ScratchFile, number: usize) -> Result<Arc<SeekMap>, SlimError> {
        let Streamed { blob, diff_id, .. } = self.open_streamed(layer, number).await?;
        let mapped = super::blocking(move || {
            let mut map = SeekMap::new(Box::new(scratch));
            scan::map(blob, diff_id, &mut map).map(|()| Arc::new(map))
        });
        mapped.await?.map_err(|source| self.scan_error(number, &layer.descriptor, source))
    }

    /// Opens an old layer that is mapped and can be read anywhere.
    async fn open_mapped(
        &self,
        layer: &StackedLayer,
        map: Option<Arc<SeekMap>>,
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
    Cut(Vec<(OldLayer, Arc<CutList>)>),
}

enum OldLayer {
    /// Read from its start.
    Streamed(Streamed),
    /// Read where it is needed.
    Mapped(MeteredReader<FileSlice>, Arc<SeekMap>),
}

struct Streamed {
    blob: BlobReader,
    compression: Compression,
    /// What the decompressed bytes are.
    diff_id: Digest,
}

fn make(old: Old, mut writer: LayerWriter<impl Write>) -> Result<Rewritten, RewriteError> {
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
    fn collect(outputs: &[OutputLayer], made: Vec<Option<Made>>, compression: Compression) -> Self {
        let mut new = Self { changes: Vec::new(), blobs: HashMap::new() };
        for (output, made) in outputs.iter().zip(made) {
            let squashed = output.old.len() - 1;
            new.changes.extend((0..squashed).map(|_| LayerChange::Drop));
            new.changes.push(match (made, &output.change) {
                (Some((layer, blob)), _) => {
                    // Of two equal layers of one image, the one that was made second has no blob.
                    new.blobs.extend(blob.map(|blob| (layer.blob.digest, blob)));
                    LayerChange::Replace { layer, compression, squashed }
                }
                (None, Change::Keep) => LayerChange::Keep,
                (None, _) => LayerChange::Drop,
            });
        }
        new
    }
}
