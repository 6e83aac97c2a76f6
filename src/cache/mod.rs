//! A folder of results of earlier runs: scans of layers, and rewritten layers.
//!
//! Each file is named by the digest of its inputs, so files never become outdated. Files may be lost, truncated or
//! removed at any time, also by another run; then the work is repeated. Anyone who can write to the folder can change
//! the contents of images. It therefore belongs to one user, or to people who trust each other.

mod layers;
mod scans;
mod store;

use std::fs::File;
use std::io;
use std::path::PathBuf;

pub use layers::{CachedLayer, RewriteKey};
pub use scans::{ScanKey, ScannedLayer};

use crate::layer::rewrite::Rewritten;
use store::Store;

/// The folder and size limit of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLocation {
    /// The folder.
    pub folder: PathBuf,
    /// The most bytes that are kept at the end of a run. The least recently used files are removed first.
    pub limit: u64,
}

/// An opened cache.
#[derive(Debug)]
pub struct Cache {
    store: Store,
}

impl Cache {
    /// Opens a cache and creates the folder if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn open(place: &CacheLocation) -> io::Result<Self> {
        Ok(Self { store: Store::open(place)? })
    }

    /// Returns the scan of a layer from an earlier run.
    pub fn scan(&self, key: &ScanKey) -> Option<ScannedLayer> {
        let name = key.name();
        let file = self.store.open_file(&name)?;
        let scanned = scans::read(file);
        self.drop_damaged(&name, scanned)
    }

    /// Returns whether the cache has a scan of a layer.
    pub fn has_scan(&self, key: &ScanKey) -> bool {
        self.store.path(&key.name()).exists()
    }

    /// Stores the scan of a layer.
    pub fn keep_scan(&self, key: &ScanKey, scanned: &ScannedLayer) {
        self.store.write(&key.name(), |file| scans::write(scanned, file));
    }

    /// Returns a layer from an earlier run.
    pub fn layer(&self, key: &RewriteKey) -> Option<CachedLayer> {
        let name = key.name();
        let file = self.store.open_file(&name)?;
        let layer = layers::open(file);
        self.drop_damaged(&name, layer)
    }

    /// Returns whether the cache has a layer.
    pub fn has_layer(&self, key: &RewriteKey) -> bool {
        self.store.path(&key.name()).exists()
    }

    /// Stores a layer. Its blob is a file that is positioned at its start.
    pub fn keep_layer(&self, key: &RewriteKey, layer: &Rewritten, blob: io::Result<File>) {
        self.store.write(&key.name(), |file| layers::write(layer, blob?, file));
    }

    /// Removes the least recently used files until the cache is within its limit.
    pub fn trim(&self) {
        self.store.trim();
    }

    fn drop_damaged<T>(&self, name: &str, read: io::Result<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(name, %error, "removing what cannot be read from the cache");
                self.store.remove(name);
                None
            }
        }
    }
}

/// Hashed into every file name, like the program's version. Increment it when scans, evidence or the codec change their
/// results.
const VERSION: u32 = 10;

/// Returns the file name for a result of `parts` from this version of the program.
///
/// # Panics
/// Never: `parts` are plain values. There is no fallback, because an incomplete name could refer to another layer.
fn name(kind: &str, parts: &impl serde::Serialize) -> String {
    let all = (VERSION, env!("CARGO_PKG_VERSION"), kind, parts);
    let bytes = postcard::to_stdvec(&all).unwrap_or_else(|error| panic!("{error}"));
    format!("{kind}-{}", crate::digest::Digest::of(&bytes).hex())
}
