//! What earlier runs learned and made, in a folder that runs share: scans of layers, and layers that were rewritten.
//!
//! Everything in it is named by the digest of what it was made of, so that nothing in it ever goes out of date. It may be lost,
//! cut off or removed at any time, by another run too: then the work is done again. Whoever can write to the folder decides
//! what images will hold; so it belongs to one user, or to people who trust each other.

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

/// A folder for a cache, and how many bytes it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// At most so many bytes stay when a run is over; what was not used for longest goes first.
    pub limit: u64,
}

/// An opened cache.
#[derive(Debug)]
pub struct Cache {
    store: Store,
}

impl Cache {
    /// Opens a cache, and makes it if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(place: &Place) -> io::Result<Self> {
        Ok(Self { store: Store::open(place)? })
    }

    /// Returns what an earlier run learned of a layer.
    pub fn scan(&self, key: &ScanKey) -> Option<ScannedLayer> {
        let name = key.name();
        let file = self.store.open_file(&name)?;
        let scanned = scans::read(file);
        self.drop_damaged(&name, scanned)
    }

    /// Tells whether an earlier run learned of a layer.
    pub fn has_scan(&self, key: &ScanKey) -> bool {
        self.store.path(&key.name()).exists()
    }

    /// Keeps what was learned of a layer.
    pub fn keep_scan(&self, key: &ScanKey, scanned: &ScannedLayer) {
        self.store.write(&key.name(), |file| scans::write(scanned, file));
    }

    /// Returns a layer that an earlier run made.
    pub fn layer(&self, key: &RewriteKey) -> Option<CachedLayer> {
        let name = key.name();
        let file = self.store.open_file(&name)?;
        let layer = layers::open(file);
        self.drop_damaged(&name, layer)
    }

    /// Tells whether an earlier run made a layer.
    pub fn has_layer(&self, key: &RewriteKey) -> bool {
        self.store.path(&key.name()).exists()
    }

    /// Keeps a layer that was made; its blob is a file that can be read from its start.
    pub fn keep_layer(&self, key: &RewriteKey, layer: &Rewritten, blob: io::Result<File>) {
        self.store.write(&key.name(), |file| layers::write(layer, blob?, file));
    }

    /// Removes what was not used for longest, until the cache is no larger than it may be.
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

/// The version of all that names in the cache depend on beside the program's own: to be raised when scans, evidence or the
/// codec change in what they give.
const VERSION: u32 = 9;

/// Returns a name for what was made of `parts` by this version of the program.
///
/// # Panics
/// Never: `parts` are plain values. A name that left something out would stand for another layer, so nothing stands in for it.
fn name(kind: &str, parts: &impl serde::Serialize) -> String {
    let all = (VERSION, env!("CARGO_PKG_VERSION"), kind, parts);
    let bytes = postcard::to_stdvec(&all).unwrap_or_else(|error| panic!("{error}"));
    format!("{kind}-{}", crate::digest::Digest::of(&bytes).hex())
}
