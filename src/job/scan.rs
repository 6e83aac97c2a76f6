//! Scans the layers of an image in parallel and merges them.

use std::collections::HashMap;
use std::sync::Arc;

use super::images::Image;
use super::{Job, SlimError};
use crate::evidence::{Collector, Evidence, Facts, FileFacts};
use crate::layer::scan;
use crate::progress::Stage;
use crate::rootfs::{EntryId, Fate, NodeKind, Rootfs};

impl Job {
    /// Reads every layer of an image once, and returns the rootfs that they make and what its files say.
    ///
    /// # Errors
    /// If a layer cannot be read, or they cannot be merged.
    pub async fn scan(self: &Arc<Self>, image: &Image) -> Result<(Rootfs, Evidence), SlimError> {
        let tasks = image.stack.layers.iter().cloned().enumerate().map(|(index, layer)| {
            let job = self.clone();
            async move {
                let number = index + 1;
                let blob = job
                    .open(Stage::Scan, &format!("layer {number}"), &layer.descriptor)
                    .await
                    .map_err(|source| job.source_error(source))?;
                let scanned = super::blocking(move || {
                    let mut collector = Collector::default();
                    let index = scan::scan(blob, layer.compression, layer.diff_id, &mut collector)?;
                    Ok((index, collector.found))
                });
                scanned.await?.map_err(|source| SlimError::Scan {
                    number,
                    digest: layer.descriptor.digest,
                    image: job.image.clone(),
                    source,
                })
            }
        });
        let (layers, found): (Vec<_>, Vec<_>) = self.in_parallel(tasks.collect()).await?.into_iter().unzip();
        let rootfs = Rootfs::merge(layers).map_err(|source| SlimError::Merge {
            number: source.layer() + 1,
            image: self.image.clone(),
            source,
        })?;
        let facts = visible(&rootfs, &found);
        let evidence = Evidence::new(&rootfs, &image.config, facts);
        Ok((rootfs, evidence))
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
