//! Hashes a layer on another thread.

use super::lanes::Lanes;
use crate::idle::{Helper, IdleThreads};

/// Bytes of a stream that are sent to the thread at once.
pub(super) const BUFFER: usize = 128 << 10;
/// Batches that can wait for the thread.
const WAITING: usize = 4;

/// One of a layer's streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Blob,
    Tar,
}

/// A thread that hashes, and its next batch.
#[derive(Debug)]
pub(super) struct Offloaded {
    helper: Helper<Batch, Lanes>,
    batch: Batch,
}

/// The next bytes of both streams.
#[derive(Debug, Default)]
struct Batch {
    blob: Vec<u8>,
    tar: Vec<u8>,
}

impl Offloaded {
    /// Continues from the state of `lanes` on an idle thread, if there is one.
    pub(super) fn start(idle: &IdleThreads, lanes: &Lanes) -> Option<Self> {
        let helper = idle.start("hash", WAITING, || lanes.clone(), Batch::hash)?;
        Some(Self { helper, batch: Batch::default() })
    }

    /// Adds bytes to one stream.
    pub(super) fn add(&mut self, mut bytes: &[u8], stream: Stream) {
        while !bytes.is_empty() {
            let next = match stream {
                Stream::Blob => &mut self.batch.blob,
                Stream::Tar => &mut self.batch.tar,
            };
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - next.len()));
            next.extend_from_slice(now);
            bytes = later;
            if next.len() == BUFFER {
                let empty = self.helper.used().unwrap_or_default();
                self.helper.send(std::mem::replace(&mut self.batch, empty));
            }
        }
    }

    /// Waits for the thread and returns its state.
    pub(super) fn finish(self) -> Lanes {
        self.helper.send(self.batch);
        self.helper.finish()
    }
}

impl Batch {
    /// Hashes the bytes and clears the buffers.
    fn hash(lanes: &mut Lanes, batch: &mut Self) {
        lanes.add_to_blob(&batch.blob);
        lanes.add_to_tar(&batch.tar);
        batch.blob.clear();
        batch.tar.clear();
    }
}
