//! Writes the new layers of an image in parallel, and builds its documents.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use tempfile::TempPath;

use super::SlimError;
use super::layering::Layered;
use super::recipe::{CutLayer, Recipe, RestartPoints};
use super::scan::scan_error;
use super::select::Image;
use super::session::Session;
use super::slimmed::{NewBlob, NewImage, SlimmedImage, marks};
use super::threads::{Task, blocking};
use crate::cache::RewriteKey;
use crate::digest::Digest;
use crate::image::rebuild::{LayerChange, rebuild};
use crate::image::stack::StackedLayer;
use crate::layer::codec::{Compression, Reuse, SeekMap, Workers};
use crate::layer::cut::CutList;
use crate::layer::rewrite::{LayerWriter, Packing, RewriteError, Rewritten};
use crate::layer::scan;
use crate::layering::{Change, OutputLayer};
use crate::progress::{MeteredReader, Stage};
use crate::transport::spool::ScratchFile;
use crate::transport::{BlobReader, FileSlice, SpooledBlob};

/// Writes the new layers of an image; in a dry run, none.
///
/// # Errors
/// If an old layer cannot be read, or a new one cannot be written.
pub(super) async fn rewrite(session: &Session<'_>, image: &Image, layered: Layered) -> Result<SlimmedImage, SlimError> {
    let Some(destination) = &session.destination else { return Ok(SlimmedImage::new(session, image, layered, None)) };
    // Without a preference, new layers use gzip, and kept layers change only if they are uncompressed.
    let wanted = session.options.compression.or(destination.usual_compression());
    let compression = wanted.unwrap_or(Compression::Gzip);
    let mut layers = Vec::new();
    for output in &layered.outputs {
        let recipe = Recipe::new(image, output, &layered.planned.maps, wanted, destination)?;
        let packing = packing(session, output, compression);
        layers.push((output, recipe.key(packing), recipe, packing));
    }
    let unwritten = layers.iter().filter_map(|(_, key, ..)| key.as_ref()).filter(|key| !session.results.has_layer(key));
    let unwritten = unwritten.count();
    let workers = Workers::start(session.threads.count(), unwritten).filter(|_| unwritten > 0);
    let mut tasks = Vec::new();
    for (output, key, recipe, packing) in layers {
        let number = output.old.end;
        let (cost, workers, file) = (recipe.cost(), workers.clone(), destination.file()?);
        let task: Task<'_, _> = (
            cost,
            Box::pin(async move {
                let Some(key) = key else { return Ok(None) };
                let (file, path) = file;
                write_layer(session, recipe, key, LayerFile { number, packing, workers, file, path }).await.map(Some)
            }),
        );
        tasks.push(task);
    }
    let written = session.threads.run(tasks).await?;
    let (changes, blobs) = changes(&layered.outputs, written, compression);
    let marks = marks(session.options, [&layered.planned.plan]);
    let documents = rebuild(&image.manifest, &image.config, &image.stack, &changes, &marks);
    Ok(SlimmedImage::new(session, image, layered, Some((NewImage { documents, blobs }, changes))))
}

fn packing(session: &Session<'_>, output: &OutputLayer, compression: Compression) -> Packing {
    // All of a squashed layer is written again anyway, and squashing asks for a small image.
    let reuse = if output.old.len() > 1 { Reuse::Refit } else { Reuse::Copy };
    Packing {
        compression,
        reuse: (!session.options.recompress).then_some(reuse),
        level: session.options.compression_level,
    }
}

/// A written layer, and its blob, unless an earlier image of the run brings that.
type WrittenLayer = (Rewritten, Option<NewBlob>);

/// Where and how a layer is written.
struct LayerFile {
    /// The highest old layer, counted from 1, for messages.
    number: usize,
    packing: Packing,
    workers: Option<Workers>,
    file: File,
    path: TempPath,
}

/// Writes one layer, unless this run or an earlier one wrote the same layer.
async fn write_layer(
    session: &Session<'_>,
    recipe: Recipe,
    key: RewriteKey,
    to: LayerFile,
) -> Result<WrittenLayer, SlimError> {
    if let Some((layer, cached)) = session.results.layer(&key).await? {
        return Ok((layer, cached.map(NewBlob::Cached)));
    }
    let LayerFile { number, packing, workers, file, path } = to;
    let old = open_old(session, recipe, number).await?;
    // If all threads compress, none is idle.
    let is_light = packing.reuse == Some(Reuse::Copy);
    let idle = is_light.then(|| session.threads.idle());
    let written = blocking(move || {
        let mut output = BufWriter::new(file);
        write(old, LayerWriter::new(packing, workers, idle, &mut output)?)
    });
    let image = || session.source.name.clone();
    let layer = written.await?.map_err(|source| SlimError::Rewrite { number, image: image(), source })?;
    session.results.keep_layer(key, layer, &path);
    Ok((layer, Some(NewBlob::Spooled(SpooledBlob { path, facts: layer.blob }))))
}

/// The opened old layers of a recipe.
enum OpenedRecipe {
    Whole(Streamed),
    Cut(Vec<(OpenedLayer, Arc<CutList>)>),
}

enum OpenedLayer {
    /// Read from its start.
    Streamed(Streamed),
    /// Read where it is needed.
    Mapped(MeteredReader<FileSlice>, Arc<SeekMap>),
}

struct Streamed {
    blob: BlobReader,
    compression: Compression,
    /// The digest of the uncompressed bytes.
    diff_id: Digest,
}

async fn open_old(session: &Session<'_>, recipe: Recipe, number: usize) -> Result<OpenedRecipe, SlimError> {
    Ok(match recipe {
        Recipe::Keep | Recipe::Drop => OpenedRecipe::Cut(Vec::new()),
        Recipe::Recompress(layer) => OpenedRecipe::Whole(open_streamed(session, &layer, number).await?),
        Recipe::Cut(parts) => {
            let mut layers = Vec::new();
            for CutLayer { layer, points, cut } in parts {
                let map = match points {
                    RestartPoints::Mapped(map) => Some(map),
                    RestartPoints::Unread(scratch) => Some(read_map(session, &layer, scratch, number).await?),
                    RestartPoints::None => None,
                };
                let slice = match &map {
                    Some(_) => session.slice(Stage::Rewrite, &name_of(number), &layer.descriptor).await?,
                    None => None,
                };
                let opened = match (slice, map) {
                    (Some(slice), Some(map)) => OpenedLayer::Mapped(slice, map),
                    _ => OpenedLayer::Streamed(open_streamed(session, &layer, number).await?),
                };
                layers.push((opened, cut));
            }
            OpenedRecipe::Cut(layers)
        }
    })
}

async fn open_streamed(session: &Session<'_>, layer: &StackedLayer, number: usize) -> Result<Streamed, SlimError> {
    let blob = session.blob(Stage::Rewrite, &name_of(number), &layer.descriptor).await?;
    Ok(Streamed { blob, compression: layer.compression, diff_id: layer.diff_id })
}

/// Reads a layer whose scan came from the cache, and records its restart points.
async fn read_map(
    session: &Session<'_>,
    layer: &StackedLayer,
    scratch: ScratchFile,
    number: usize,
) -> Result<Arc<SeekMap>, SlimError> {
    let Streamed { mut blob, diff_id, .. } = open_streamed(session, layer, number).await?;
    let mapped = blocking(move || {
        let mut map = SeekMap::new(Box::new(scratch));
        scan::map(&mut blob, diff_id, &mut map).map(|()| Arc::new(map))
    });
    mapped.await?.map_err(|source| scan_error(session, number, &layer.descriptor, source))
}

/// Returns the name of a layer, for the progress.
fn name_of(number: usize) -> String {
    format!("layer {number}")
}

fn write(old: OpenedRecipe, mut writer: LayerWriter<'_>) -> Result<Rewritten, RewriteError> {
    match old {
        OpenedRecipe::Whole(mut layer) => writer.recompress(&mut layer.blob, layer.compression, layer.diff_id),
        OpenedRecipe::Cut(layers) => {
            for (layer, cut) in layers {
                match layer {
                    OpenedLayer::Streamed(mut layer) => {
                        writer.add(&mut layer.blob, layer.compression, layer.diff_id, &cut)?;
                    }
                    OpenedLayer::Mapped(blob, map) => writer.splice(&blob, &map, &cut)?,
                }
            }
            writer.finish()
        }
    }
}

/// Returns the change of each old layer, and the new blobs by digest.
fn changes(
    outputs: &[OutputLayer],
    written: Vec<Option<WrittenLayer>>,
    compression: Compression,
) -> (Vec<LayerChange>, HashMap<Digest, NewBlob>) {
    let (mut changes, mut blobs) = (Vec::new(), HashMap::new());
    for (output, written) in outputs.iter().zip(written) {
        let squashed = output.old.len() - 1;
        changes.extend((0..squashed).map(|_| LayerChange::Drop));
        changes.push(match (written, &output.change) {
            (Some((layer, blob)), _) => {
                // Of two equal layers of one image, the second has no blob.
                blobs.extend(blob.map(|blob| (layer.blob.digest, blob)));
                LayerChange::Replace { layer, compression, squashed }
            }
            (None, Change::Keep) => LayerChange::Keep,
            (None, _) => LayerChange::Drop,
        });
    }
    (changes, blobs)
}
