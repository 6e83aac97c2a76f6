//! Makes the new layers of an image in parallel.

use std::collections::HashMap;
use std::io::BufWriter;
use std::sync::Arc;

use super::images::Image;
use super::{Job, SlimError};
use crate::digest::Digest;
use crate::image::rebuild::LayerChange;
use crate::image::stack::StackedLayer;
use crate::layer::codec::Compression;
use crate::layer::cut::CutList;
use crate::layer::rewrite::{LayerWriter, RewriteError, Rewritten};
use crate::layering::{Change, OutputLayer};
use crate::progress::Stage;
use crate::transport::{BlobReader, Spool, SpooledBlob};

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
    Cut(Vec<(StackedLayer, CutList)>),
    /// Of a whole old layer, compressed otherwise.
    Recompress(Box<StackedLayer>),
}

impl Job {
    /// Makes new layers. Those that stay are compressed anew only if they are not compressed at all, or `wanted` says
    /// otherwise; rewritten ones are compressed as `wanted` says, with gzip by default.
    ///
    /// # Errors
    /// If an old layer cannot be read, or a new one not be written.
    pub async fn rewrite(
        self: &Arc<Self>,
        image: &Image,
        outputs: Vec<OutputLayer>,
        wanted: Option<Compression>,
        spool: &Spool,
    ) -> Result<NewLayers, SlimError> {
        let compression = wanted.unwrap_or(Compression::Gzip);
        let mut tasks = Vec::new();
        for output in &outputs {
            let recipe = recipe(image, output, wanted);
            let (file, path) = spool.file()?;
            let (job, last) = (self.clone(), output.old.end);
            tasks.push(async move {
                let Some(old) = job.open_old(&recipe, last).await? else {
                    return Ok(None);
                };
                let made = super::blocking(move || make(old, compression, BufWriter::new(file))).await?;
                let layer =
                    made.map_err(|source| SlimError::Rewrite { number: last, image: job.image.clone(), source })?;
                Ok(Some((layer, SpooledBlob { path, facts: layer.blob })))
            });
        }
        let made = self.in_parallel(tasks).await?;
        Ok(NewLayers::collect(&outputs, made, compression))
    }

    /// Opens the old layers that a recipe reads; `None` if it makes nothing.
    async fn open_old(&self, recipe: &Recipe, number: usize) -> Result<Option<Old>, SlimError> {
        let open = async |layer: &StackedLayer| {
            let blob = self.open(Stage::Rewrite, &format!("layer {number}"), &layer.descriptor).await;
            blob.map(|blob| OldLayer { blob, compression: layer.compression, diff_id: layer.diff_id })
                .map_err(|source| self.source_error(source))
        };
        Ok(match recipe {
            Recipe::Keep | Recipe::Drop => None,
            Recipe::Recompress(layer) => Some(Old::Whole(open(layer).await?)),
            Recipe::Cut(lists) => {
                let mut layers = Vec::new();
                for (layer, cut) in lists {
                    layers.push((open(layer).await?, cut.clone()));
                }
                Some(Old::Cut(layers))
            }
        })
    }
}

/// Opened old layers.
enum Old {
    Whole(OldLayer),
    Cut(Vec<(OldLayer, CutList)>),
}

struct OldLayer {
    blob: BlobReader,
    compression: Compression,
    diff_id: Digest,
}

fn recipe(image: &Image, output: &OutputLayer, wanted: Option<Compression>) -> Recipe {
    let layer = |index: usize| image.stack.layers[index].clone();
    match &output.change {
        Change::Drop => Recipe::Drop,
        Change::Rewrite(lists) => Recipe::Cut(lists.iter().map(|(index, cut)| (layer(*index), cut.clone())).collect()),
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

fn make(old: Old, compression: Compression, output: impl std::io::Write) -> Result<Rewritten, RewriteError> {
    let mut writer = LayerWriter::new(compression, output)?;
    let (_, rewritten) = match old {
        Old::Whole(layer) => writer.recompress(layer.blob, layer.compression, layer.diff_id)?,
        Old::Cut(layers) => {
            for (layer, cut) in layers {
                writer.add(layer.blob, layer.compression, layer.diff_id, &cut)?;
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
