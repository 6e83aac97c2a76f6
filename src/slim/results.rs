//! Results that need not be computed again: of earlier images of this run, and, in the cache, of earlier runs.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

use super::SlimError;
use super::select::{Image, Selection};
use super::threads::blocking;
use crate::cache::{Cache, CacheLocation, CachedLayer, RewriteKey, ScanKey, ScannedLayer};
use crate::image::stack::StackedLayer;
use crate::layer::codec::SeekMap;
use crate::layer::rewrite::Rewritten;

/// The scan of one layer.
#[derive(Clone)]
pub(super) struct LayerScan {
    /// Its entries, and what its files say.
    pub(super) scanned: ScannedLayer,
    /// Restart points, if this run read the layer, it is a gzip layer, and it may be rewritten.
    pub(super) map: Option<Arc<SeekMap>>,
}

/// Results of earlier images and runs.
pub(super) struct Results {
    cache: Option<Arc<Cache>>,
    /// Writes to the cache that are not complete.
    writes: Mutex<JoinSet<()>>,
    /// The layers of more than one image. Scans of others are not kept in memory.
    shared: HashSet<ScanKey>,
    scans: Mutex<HashMap<ScanKey, LayerScan>>,
    layers: Mutex<HashMap<RewriteKey, Rewritten>>,
}

impl Results {
    /// Opens the cache, if there is one.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(super) fn open(place: Option<&CacheLocation>, selection: &Selection) -> Result<Self, SlimError> {
        let cache_error =
            |place: &CacheLocation, source| SlimError::Cache { folder: place.folder.display().to_string(), source };
        let cache = place.map(|place| Cache::open(place).map_err(|source| cache_error(place, source))).transpose()?;
        Ok(Self {
            cache: cache.map(Arc::new),
            writes: Mutex::default(),
            shared: shared_layers(selection),
            scans: Mutex::default(),
            layers: Mutex::default(),
        })
    }

    /// Returns whether later runs see the results of this one.
    pub(super) fn are_cached(&self) -> bool {
        self.cache.is_some()
    }

    /// Returns whether the cache has the scan of a layer.
    pub(super) fn has_scan(&self, key: &ScanKey) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has_scan(key))
    }

    /// Returns whether the cache has a rewritten layer.
    pub(super) fn has_layer(&self, key: &RewriteKey) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has_layer(key))
    }

    /// Returns the scan of a layer, if it was scanned before.
    ///
    /// # Errors
    /// If the run was stopped.
    pub(super) async fn scan(&self, key: &ScanKey) -> Result<Option<LayerScan>, SlimError> {
        if let Some(scan) = lock(&self.scans).get(key) {
            return Ok(Some(scan.clone()));
        }
        let asked = key.clone();
        let Some(scanned) = self.cached(move |cache| cache.scan(&asked)).await?.flatten() else { return Ok(None) };
        let scan = LayerScan { scanned, map: None };
        self.share(key, &scan);
        Ok(Some(scan))
    }

    /// Stores the scan of a layer.
    pub(super) fn keep_scan(&self, key: ScanKey, scan: &LayerScan) {
        self.share(&key, scan);
        if self.cache.is_some() {
            let scanned = scan.scanned.clone();
            self.write(move |cache| cache.keep_scan(&key, &scanned));
        }
    }

    fn share(&self, key: &ScanKey, scan: &LayerScan) {
        if self.shared.contains(key) {
            lock(&self.scans).insert(key.clone(), scan.clone());
        }
    }

    /// Returns a rewritten layer, if it was written before. An earlier image of the run brings its blob itself.
    ///
    /// # Errors
    /// If the run was stopped.
    pub(super) async fn layer(&self, key: &RewriteKey) -> Result<Option<(Rewritten, Option<CachedLayer>)>, SlimError> {
        if let Some(layer) = lock(&self.layers).get(key) {
            return Ok(Some((*layer, None)));
        }
        let asked = key.clone();
        let Some(cached) = self.cached(move |cache| cache.layer(&asked)).await?.flatten() else { return Ok(None) };
        lock(&self.layers).insert(key.clone(), cached.layer);
        Ok(Some((cached.layer, Some(cached))))
    }

    /// Stores a rewritten layer, whose blob is at `path`.
    pub(super) fn keep_layer(&self, key: RewriteKey, layer: Rewritten, path: &Path) {
        lock(&self.layers).insert(key.clone(), layer);
        if self.cache.is_some() {
            // Opened here: the blob may be moved to its destination before it is copied.
            let blob = File::open(path);
            self.write(move |cache| cache.keep_layer(&key, &layer, blob));
        }
    }

    /// Waits until the cache is written, and removes what exceeds its limit.
    ///
    /// # Errors
    /// If the run was stopped.
    pub(super) async fn settle(&self) -> Result<(), SlimError> {
        let writes = std::mem::take(&mut *lock(&self.writes));
        writes.join_all().await;
        self.cached(Cache::trim).await?;
        Ok(())
    }

    async fn cached<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Cache) -> T + Send + 'static,
    ) -> Result<Option<T>, SlimError> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        blocking(move || ask(&cache)).await.map(Some)
    }

    /// Writes to the cache while the run continues.
    fn write(&self, write: impl FnOnce(&Cache) + Send + 'static) {
        if let Some(cache) = self.cache.clone() {
            lock(&self.writes).spawn_blocking(move || write(&cache));
        }
    }
}

/// Returns the name of a layer's scan.
pub(super) fn key_of(layer: &StackedLayer) -> ScanKey {
    ScanKey { blob: layer.descriptor.digest, diff_id: layer.diff_id, compression: layer.compression }
}

/// Returns the layers that more than one image has.
fn shared_layers(selection: &Selection) -> HashSet<ScanKey> {
    let keys = |image: &Image| image.stack.layers.iter().map(key_of).collect::<HashSet<_>>();
    let (mut seen, mut shared) = (HashSet::new(), HashSet::new());
    for image in selection.images() {
        shared.extend(keys(image).into_iter().filter(|key| !seen.insert(key.clone())));
    }
    shared
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
