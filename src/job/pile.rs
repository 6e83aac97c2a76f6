//! Merges layers to a rootfs as they come in, while others are still scanned.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::layer::LayerIndex;
use crate::rootfs::{Merging, Rootfs, RootfsError};

/// Layers that were scanned: the lowest are merged, others wait for those below them.
pub(super) struct Pile {
    waiting: Mutex<BTreeMap<usize, LayerIndex>>,
    /// An error is told at the end, so that a fault of a layer that is still scanned is told first, whenever it is found.
    merged: Mutex<Result<Merging, RootfsError>>,
}

impl Pile {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), merged: Mutex::new(Ok(Merging::default())) }
    }

    /// Adds a layer, counted from 0, and merges what can be merged, unless another thread is at it.
    pub(super) fn add(&self, number: usize, layer: LayerIndex) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, layer);
        if let Ok(mut merged) = self.merged.try_lock() {
            self.merge(&mut merged);
        }
    }

    /// Returns what all layers make.
    ///
    /// # Errors
    /// If they cannot be merged.
    pub(super) fn finish(&self) -> Result<Rootfs, RootfsError> {
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        self.merge(&mut merged);
        std::mem::replace(&mut *merged, Ok(Merging::default())).map(Merging::finish)
    }

    /// Merges the layers that come next.
    fn merge(&self, merged: &mut Result<Merging, RootfsError>) {
        while let Ok(merging) = merged {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&merging.count());
            let Some(layer) = next else { break };
            if let Err(error) = merging.apply(layer) {
                *merged = Err(error);
            }
        }
    }
}
