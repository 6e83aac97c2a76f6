//! Hashes a stream on another thread.

use sha2::{Digest as _, Sha256};

use crate::idle::{Helper, IdleThreads};

/// Bytes that are sent to the thread at once.
pub(super) const BUFFER: usize = 128 << 10;
/// Batches that can wait for the thread.
const WAITING: usize = 4;

/// A thread that hashes, and its next batch.
#[derive(Debug)]
pub(super) struct Offloaded {
    helper: Helper<Vec<u8>, Sha256>,
    batch: Vec<u8>,
}

impl Offloaded {
    /// Continues from the state of `hash` on an idle thread, if there is one.
    pub(super) fn start(idle: &IdleThreads, hash: &Sha256) -> Option<Self> {
        let helper = idle.start("hash", WAITING, || hash.clone(), work)?;
        Some(Self { helper, batch: Vec::new() })
    }

    /// Adds bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.batch.len()));
            self.batch.extend_from_slice(now);
            bytes = later;
            if self.batch.len() == BUFFER {
                let empty = self.helper.used().unwrap_or_default();
                self.helper.send(std::mem::replace(&mut self.batch, empty));
            }
        }
    }

    /// Waits for the thread and returns its state.
    pub(super) fn finish(self) -> Sha256 {
        self.helper.send(self.batch);
        self.helper.finish()
    }
}

/// Hashes a batch and clears it.
fn work(hash: &mut Sha256, batch: &mut Vec<u8>) {
    hash.update(&*batch);
    batch.clear();
}
