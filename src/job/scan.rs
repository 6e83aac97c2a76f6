//! Scans the layers of an image in parallel and merges them.

use std::sync::Arc;

use super::images::Image;
use super::{Job, SlimError};
use crate::layer::{LayerIndex, scan};
use crate::progress::Stage;
use crate::rootfs::Rootfs;

impl Job {
    /// Reads every layer of an image once, and returns the rootfs that they make.
    ///
    /// # Errors
    /// If a layer cannot be read, or they cannot be merged.
    pub async fn scan(self: &Arc<Self>, image: &Image) -> Result<Rootfs, SlimError> {
        let tasks = image.stack.layers.iter().cloned().enumerate().map(|(index, layer)| {
            let job = self.clone();
            async move {
                let number = index + 1;
                let blob = job
                    .open(Stage::Scan, &format!("layer {number}"), &layer.descriptor)
                    .await
                    .map_err(|source| job.source_error(source))?;
                let scanned = super::blocking(move || scan::scan(blob, layer.compression, layer.diff_id, &mut ()));
                scanned.await?.map_err(|source| SlimError::Scan {
                    number,
                    digest: layer.descriptor.digest,
                    image: job.image.clone(),
                    source,
                })
            }
        });
        let layers: Vec<LayerIndex> = self.in_parallel(tasks.collect()).await?;
        Rootfs::merge(layers).map_err(|source| SlimError::Merge {
            number: source.layer() + 1,
            image: self.image.clone(),
            source,
        })
    }
}
