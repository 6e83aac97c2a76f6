//! Scans the layers of an image in parallel and merges them.

use std::collections::HashMap;
use std::sync::Arc;

use super::images::Image;
use super::{Job, SlimError};
use crate::evidence::{Collector, Evidence, Facts, FileFacts, SeenSources};
use crate::hasher::Hasher;
use crate::layer::codec::{BlockMap, Compression};
use crate::layer::scan;
use crate::progress::Stage;
use crate::rootfs::{EntryId, Fate, NodeKind, Rootfs};
use crate::transport::Spool;

/// What one pass over all layers of an image learns.
pub struct Scanned {
    /// The rootfs that they make.
    pub rootfs: Rootfs,
    /// What its files say.
    pub evidence: Evidence,
    /// Where the blocks of each layer lie, if it is a gzip layer and may be rewritten.
    pub maps: Vec<Option<Arc<BlockMap>>>,
}

impl Job {
    /// Reads every layer of an image once, and returns the rootfs that they make and what its files say. If layers will be
    /// rewritten, there is a `spool`: then where their blocks lie is noted, too.
    ///
    /// # Errors
    /// If a layer cannot be read, or they cannot be merged.
    pub async fn scan(self: &Arc<Self>, image: &Image, spool: Option<&Spool>) -> Result<Scanned, SlimError> {
        let seen = SeenSources::default();
        let mut tasks = Vec::new();
        let hashes_aside = self.has_idle(image.stack.layers.len());
        for (index, layer) in image.stack.layers.iter().cloned().enumerate() {
            let (job, seen) = (self.clone(), seen.clone());
            let is_mapped = layer.compression == Compression::Gzip;
            let scratch = spool.filter(|_| is_mapped).map(Spool::scratch).transpose()?;
            let mut map = scratch.map(|scratch| BlockMap::new(Box::new(scratch)));
            let cost = layer.descriptor.size;
            tasks.push((cost, async move {
                let number = index + 1;
                let blob = job
                    .open(Stage::Scan, &format!("layer {number}"), &layer.descriptor)
                    .await
                    .map_err(|source| job.source_error(source))?;
                let scanned = super::blocking(move || {
                    let mut collector = Collector::sharing(seen);
                    let hasher = if hashes_aside { Hasher::aside() } else { Hasher::default() };
                    let index =
                        scan::scan(blob, layer.compression, layer.diff_id, hasher, &mut collector, map.as_mut())?;
                    Ok(((index, collector.found), map.map(Arc::new)))
                });
                scanned.await?.map_err(|source| SlimError::Scan {
                    number,
                    digest: layer.descriptor.digest,
                    image: job.image.clone(),
                    source,
                })
            }));
        }
        let (scanned, maps): (Vec<_>, Vec<_>) = self.in_parallel(tasks).await?.into_iter().unzip();
        let (layers, found): (Vec<_>, Vec<_>) = scanned.into_iter().unzip();
        let rootfs = Rootfs::merge(layers).map_err(|source| SlimError::Merge {
            number: source.layer() + 1,
            image: self.image.clone(),
            source,
        })?;
        let facts = visible(&rootfs, &found);
        let evidence = Evidence::new(&rootfs, &image.config, facts);
        Ok(Scanned { rootfs, evidence, maps })
    }
}

/// Returns what was found in the files that a container sees, by node; each name of a hard link has its file's.
fn visible(rootfs: &Rootfs, found: &[HashMap<u32, Arc<FileFacts>>]) -> Facts {
    let mut facts = Facts::new();
    for layer in 0..rootfs.layers().len() {
        for (id, _) in rootfs.entries(layer) {
            let Fate::Visible(node) = rootfs.fate(id) else { continue };
            let NodeKind::File { data: EntryId { layer, index } } = rootfs.node(node).kind else { continue };
            if let Some(found) = found[layer as usize].get(&index) {
                facts.insert(node, found.clone());
            }
        }
    }
    facts
}
