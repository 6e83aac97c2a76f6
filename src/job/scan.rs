//! Scans the layers of an image in parallel and merges them.

use std::collections::HashMap;
use std::sync::Arc;

use super::images::Image;
use super::pile::Pile;
use super::{Job, SlimError};
use crate::budget::Budget;
use crate::cache::{ScanKey, ScannedLayer};
use crate::evidence::{Collector, Evidence, Facts, FileFacts, LayerDatabase, SeenSources};
use crate::image::Descriptor;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{Compression, SeekMap};
use crate::layer::scan;
use crate::layer::tar::TarError;
use crate::packages::{self, Texts};
use crate::progress::Stage;
use crate::rootfs::{EntryId, Fate, NodeKind, Rootfs};
use crate::transport::Spool;

/// What one pass over all layers of an image learns.
pub struct Scanned {
    /// The rootfs that they make.
    pub rootfs: Rootfs,
    /// What its files say.
    pub evidence: Evidence,
    /// Points to seek to in each layer, if it is a gzip layer, may be rewritten, and was read.
    pub maps: Vec<Option<Arc<SeekMap>>>,
}

impl Job {
    /// Reads every layer of an image once, and returns the rootfs that they make and what its files say: of
    /// Python sources only if that takes evidence. If layers will be rewritten, there is a `spool`: then points to seek to are noted, too.
    ///
    /// # Errors
    /// If a layer cannot be read, or they cannot be merged.
    pub async fn scan(
        self: &Arc<Self>,
        image: &Image,
        takes_evidence: bool,
        spool: Option<&Spool>,
    ) -> Result<Scanned, SlimError> {
        // Sources are read if they are asked, or if the next run may ask them.
        let seen = (takes_evidence || self.cache.is_some()).then(SeenSources::default);
        let is_known = |layer: &StackedLayer| self.cache.as_ref().is_some_and(|cache| cache.has_scan(&key_of(layer)));
        let known = image.stack.layers.iter().map(is_known).collect::<Vec<_>>();
        let pile = Arc::new(Pile::new());
        let budget = Budget::default();
        let mut tasks = Vec::new();
        for (index, layer) in image.stack.layers.iter().enumerate() {
            let scratch = spool.filter(|_| layer.compression == Compression::Gzip).map(Spool::scratch).transpose()?;
            let pass = Pass {
                number: index + 1,
                layer: layer.clone(),
                seen: seen.clone(),
                map: scratch.map(|scratch| SeekMap::new(Box::new(scratch))),
                budget: budget.clone(),
            };
            let (job, pile) = (self.clone(), pile.clone());
            let cost = if known[index] { 0 } else { layer.descriptor.size };
            tasks.push((cost, async move {
                let (scanned, map) = job.scan_layer(pass).await?;
                let add = move || {
                    pile.add(index, scanned.index);
                    Ok::<_, SlimError>(())
                };
                super::blocking(add).await??;
                Ok((scanned.found, map))
            }));
        }
        let (found, maps): (Vec<_>, Vec<_>) = self.in_parallel(tasks).await?.into_iter().unzip();
        let rootfs = pile.finish().map_err(|source| SlimError::Merge {
            number: source.layer() + 1,
            image: self.image.clone(),
            source,
        })?;
        let facts = visible(&rootfs, &found);
        let databases = databases(&rootfs, &found);
        let evidence = Evidence::new(&rootfs, &image.config, facts, databases);
        Ok(Scanned { rootfs, evidence, maps })
    }

    /// Scans one layer, unless the cache knows what is in it: then there is no map of it.
    async fn scan_layer(self: Arc<Self>, pass: Pass) -> Result<(ScannedLayer, Option<Arc<SeekMap>>), SlimError> {
        let Pass { number, layer, seen, mut map, budget } = pass;
        let key = key_of(&layer);
        let StackedLayer { descriptor, diff_id, compression, .. } = layer;
        if let Some(shared) = self.shared.scan(&key) {
            return Ok(shared);
        }
        let asked = key.clone();
        if let Some(scanned) = self.ask_cache(move |cache| cache.scan(&asked)).await?.flatten() {
            let scanned = (scanned, None);
            self.shared.keep_scan(&key, &scanned);
            return Ok(scanned);
        }
        let (idle, what) = (self.idle_threads(), format!("layer {number}"));
        let is_its_own_diff_id = compression == Compression::None && descriptor.digest == diff_id;
        let diff_id = (!is_its_own_diff_id).then_some(diff_id);
        let blob = self.open(Stage::Scan, &what, &descriptor).await;
        let blob = blob.map_err(|source| self.source_error(source))?;
        let scanned = super::blocking(move || {
            let idle = Some(idle);
            let collector = match seen {
                Some(seen) => Collector::sharing(seen, idle.clone()),
                None => Collector::without_sources(),
            };
            let mut collector = collector.within(budget.clone());
            let index = scan::scan(blob, compression, diff_id, idle, &mut collector, map.as_mut(), &budget)?;
            let scanned = ScannedLayer { index, found: collector.finish() };
            Ok((scanned, map.map(Arc::new)))
        });
        let scanned = scanned.await?.map_err(|source| self.scan_error(number, &descriptor, source))?;
        self.shared.keep_scan(&key, &scanned);
        if self.cache.is_some() {
            let scanned = scanned.0.clone();
            self.keep(move |cache| cache.keep_scan(&key, &scanned));
        }
        Ok(scanned)
    }

    pub(super) fn scan_error(&self, number: usize, layer: &Descriptor, source: TarError) -> SlimError {
        SlimError::Scan { number, digest: layer.digest, image: self.image.clone(), source }
    }
}

pub(super) fn key_of(layer: &StackedLayer) -> ScanKey {
    ScanKey { blob: layer.descriptor.digest, diff_id: layer.diff_id, compression: layer.compression }
}

/// What it takes to scan one layer.
struct Pass {
    /// The layer, counted from 1.
    number: usize,
    layer: StackedLayer,
    /// Sources that were read, if they are to be.
    seen: Option<SeenSources>,
    map: Option<SeekMap>,
    /// What the image may cost.
    budget: Budget,
}

/// Returns what each layer says of installed packages, the lowest first.
fn databases(rootfs: &Rootfs, found: &[HashMap<u32, Arc<FileFacts>>]) -> Vec<LayerDatabase> {
    let of_layer = |(layer, found): (usize, &HashMap<u32, Arc<FileFacts>>)| {
        let texts = found.iter().filter_map(|(&index, facts)| {
            let node = rootfs.owner(EntryId { layer: layer as u32, index })?;
            let path = rootfs.path(node);
            packages::says_what_is_installed(&path.to_string()).then_some((path, facts.text.clone()?))
        });
        let texts = texts.collect::<Texts>();
        (!texts.is_empty()).then_some(LayerDatabase { layer, texts })
    };
    found.iter().enumerate().filter_map(of_layer).collect()
}

/// Returns what was found in the files that a container sees, by node; each name of a hard link has its file's.
fn visible(rootfs: &Rootfs, found: &[HashMap<u32, Arc<FileFacts>>]) -> Facts {
    let mut facts = Facts::default();
    for layer in 0..rootfs.layers().len() {
        for id in rootfs.ids(layer) {
            let Fate::Visible(node) = rootfs.fate(id) else { continue };
            let NodeKind::File { data: EntryId { layer, index } } = rootfs.node(node).kind else { continue };
            if let Some(found) = found[layer as usize].get(&index) {
                facts.insert(node, found.clone());
            }
        }
    }
    facts
}
