//! Layers that several images of an index share: each is scanned once and made once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::images::{Image, Member};
use super::scan::key_of;
use crate::cache::{RewriteKey, ScanKey, ScannedLayer};
use crate::layer::codec::SeekMap;
use crate::layer::rewrite::Rewritten;

/// A scanned layer, and points to seek to in it.
pub(super) type SharedScan = (ScannedLayer, Option<Arc<SeekMap>>);

/// What was learned and made of layers that later images of the run have, too.
#[derive(Default)]
pub(super) struct Shared {
    /// The layers that more than one image has: only what is known of these is kept.
    several: HashSet<ScanKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scans: HashMap<ScanKey, SharedScan>,
    made: HashMap<RewriteKey, Rewritten>,
}

impl Shared {
    /// Finds out which layers the images of an index share.
    pub(super) fn of(members: &[Member]) -> Self {
        let keys = |image: &Image| image.stack.layers.iter().map(key_of).collect::<HashSet<_>>();
        let (mut seen, mut several) = (HashSet::new(), HashSet::new());
        for member in members {
            let Member::Image(image) = member else { continue };
            several.extend(keys(image).into_iter().filter(|key| !seen.insert(key.clone())));
        }
        Self { several, state: Mutex::default() }
    }

    /// Returns what an earlier image of the run learned of a layer.
    pub(super) fn scan(&self, key: &ScanKey) -> Option<SharedScan> {
        self.lock().scans.get(key).cloned()
    }

    /// Keeps what was learned of a layer, if another image has it.
    pub(super) fn keep_scan(&self, key: &ScanKey, scan: &SharedScan) {
        if self.several.contains(key) {
            self.lock().scans.insert(key.clone(), scan.clone());
        }
    }

    /// Returns the layer that an earlier image of the run was given.
    pub(super) fn layer(&self, key: &RewriteKey) -> Option<Rewritten> {
        self.lock().made.get(key).copied()
    }

    /// Notes a layer that was made.
    pub(super) fn keep_layer(&self, key: RewriteKey, layer: Rewritten) {
        self.lock().made.insert(key, layer);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
