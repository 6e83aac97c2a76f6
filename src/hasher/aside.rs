//! Hashes a layer on a thread of its own.

use super::lanes::Lanes;
use crate::spare::{Helper, Spare};

/// Bytes of a stream that go to the thread at once.
pub(super) const BUFFER: usize = 128 << 10;
/// Batches that wait for the thread.
const WAITING: usize = 4;

/// One of a layer's streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Blob,
    Tar,
}

/// A thread that hashes, and what goes to it next.
#[derive(Debug)]
pub(super) struct Aside {
    helper: Helper<Batch, Lanes>,
    batch: Batch,
}

/// The next bytes of both streams.
#[derive(Debug, Default)]
struct Batch {
    blob: Vec<u8>,
    tar: Vec<u8>,
}

impl Aside {
    /// Goes on where `lanes` stand, on a thread, if one is to spare.
    pub(super) fn start(spare: &Spare, lanes: &Lanes) -> Option<Self> {
        let helper = spare.start("hash", WAITING, || lanes.clone(), Batch::hash)?;
        Some(Self { helper, batch: Batch::default() })
    }

    /// Adds bytes to one stream's.
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

    /// Waits for the thread, and returns where it stands.
    pub(super) fn finish(self) -> Lanes {
        self.helper.send(self.batch);
        self.helper.finish()
    }
}

impl Batch {
    /// Hashes the bytes, and leaves room for others.
    fn hash(lanes: &mut Lanes, batch: &mut Self) {
        lanes.add_to_blob(&batch.blob);
        lanes.add_to_tar(&batch.tar);
        batch.blob.clear();
        batch.tar.clear();
    }
}
