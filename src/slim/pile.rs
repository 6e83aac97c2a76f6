//! Merges layers to a rootfs as they come in, while others are still scanned.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::layer::LayerIndex;
use crate::rootfs::{Merging, Rootfs, RootfsError};

/// Layers that were scanned: the lowest are merged, others wait for those below them.
pub(super) struct Pile {
    waiting: Mutex<BTreeMap<usize, LayerIndex>>,
    /// An error is reported at the end, so that a fault of a layer that is still scanned is reported first, whenever it is found.
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
        while let Ok(so_far) = merged {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&so_far.count());
            let Some(layer) = next else { break };
            if let Err(error) = so_far.apply(layer) {
                *merged = Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{EntryKind, Span};
    use crate::rootfs_path::RootfsPath;

    fn layer(entries: &[(&str, EntryKind)]) -> LayerIndex {
        let mut index = LayerIndex::default();
        for (path, kind) in entries {
            let span = Span { range: 0..512, data_start: 512, packed_start: 0 };
            index.push(&span, &RootfsPath::parse(path.as_bytes()).unwrap(), kind);
        }
        index
    }

    #[test]
    fn layers_make_the_same_in_whatever_order_they_come() {
        let layers = [
            layer(&[("a", EntryKind::Directory), ("a/b", EntryKind::File)]),
            layer(&[("a/.wh.b", EntryKind::File), ("a/c", EntryKind::File)]),
            layer(&[("a/d", EntryKind::File)]),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let pile = Pile::new();
            order.iter().for_each(|&number| pile.add(number, layers[number].clone()));
            let rootfs = pile.finish().unwrap();
            let folder = rootfs.child(rootfs.root(), b"a").unwrap();
            assert_eq!(rootfs.named_children(folder).map(|(name, _)| name).collect::<Vec<_>>(), [b"c", b"d"]);
        }
    }

    #[test]
    fn the_fault_of_a_layer_is_told_at_the_end() {
        let broken = layer(&[("a", EntryKind::HardLink(RootfsPath::parse(b"b").unwrap()))]);
        let pile = Pile::new();
        pile.add(1, LayerIndex::default());
        pile.add(0, broken);
        assert_eq!(pile.finish().err().map(|error| error.layer()), Some(0));
    }
}
