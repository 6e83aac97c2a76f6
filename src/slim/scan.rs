//! Reads each layer of an image once, in parallel.

use std::sync::Arc;

use super::SlimError;
use super::results::{LayerScan, key_of};
use super::select::Image;
use super::session::Session;
use super::threads::blocking;
use crate::budget::Budget;
use crate::cache::ScannedLayer;
use crate::evidence::{Collector, SeenSources};
use crate::image::Descriptor;
use crate::image::stack::StackedLayer;
use crate::layer::codec::{Compression, SeekMap};
use crate::layer::scan;
use crate::layer::tar::TarError;
use crate::progress::Stage;

/// Scans the layers of an image, the lowest first. Collects evidence if the rules need it, or if the cache may give it
/// to a later run.
///
/// # Errors
/// If a layer cannot be read.
pub(super) async fn scan(session: &Session<'_>, image: &Image) -> Result<Vec<LayerScan>, SlimError> {
    let takes_evidence = session.options.plan.takes_evidence() || session.results.are_cached();
    let seen = takes_evidence.then(SeenSources::default);
    let budget = Budget::default();
    let mut tasks = Vec::new();
    for (index, layer) in image.stack.layers.iter().enumerate() {
        let is_known = session.results.has_scan(&key_of(layer));
        let cost = if is_known { 0 } else { layer.descriptor.size };
        let pass = Pass { number: index + 1, layer: layer.clone(), seen: seen.clone(), budget: budget.clone() };
        let task: super::threads::Task<'_, _> = (cost, Box::pin(scan_layer(session, pass)));
        tasks.push(task);
    }
    session.threads.run(tasks).await
}

/// The input of one layer's scan.
struct Pass {
    /// The layer, counted from 1.
    number: usize,
    layer: StackedLayer,
    /// Sources that were read already, if evidence is collected.
    seen: Option<SeenSources>,
    /// What the image may cost.
    budget: Budget,
}

/// Scans one layer, unless that was done before.
async fn scan_layer(session: &Session<'_>, pass: Pass) -> Result<LayerScan, SlimError> {
    let Pass { number, layer, seen, budget } = pass;
    let key = key_of(&layer);
    if let Some(scan) = session.results.scan(&key).await? {
        return Ok(scan);
    }
    let StackedLayer { descriptor, diff_id, compression, .. } = layer;
    // Layers that may be rewritten get restart points.
    let destination = session.destination.as_ref().filter(|_| compression == Compression::Gzip);
    let scratch = destination.map(|destination| destination.scratch()).transpose()?;
    let mut map = scratch.map(|scratch| SeekMap::new(Box::new(scratch)));
    let idle = session.threads.idle();
    // The blob of an uncompressed layer is verified already.
    let diff_id = Some(diff_id).filter(|diff_id| compression != Compression::None || descriptor.digest != *diff_id);
    let mut blob = session.blob(Stage::Scan, &format!("layer {number}"), &descriptor).await?;
    let scan = blocking(move || {
        let collector = match seen {
            Some(seen) => Collector::sharing(seen, Some(idle.clone())),
            None => Collector::without_sources(),
        };
        let mut collector = collector.within(budget.clone());
        let index = scan::scan(&mut blob, compression, diff_id, Some(idle), &mut collector, map.as_mut(), &budget)?;
        let scanned = ScannedLayer { index, found: collector.finish() };
        Ok(LayerScan { scanned, map: map.map(Arc::new) })
    });
    let scan = scan.await?.map_err(|source| scan_error(session, number, &descriptor, source))?;
    session.results.keep_scan(key, &scan);
    Ok(scan)
}

/// Returns the error for a layer that cannot be read.
pub(super) fn scan_error(session: &Session<'_>, number: usize, layer: &Descriptor, source: TarError) -> SlimError {
    SlimError::Scan { number, digest: layer.digest, image: session.source.name.clone(), source }
}
