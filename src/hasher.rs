//! Hashes bytes as they pass: at once, or on a thread of its own where there is one to spare.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Bytes that go to a thread at once.
const BUFFER: usize = 256 << 10;
/// Buffers that wait for a thread; with them memory is bounded.
const WAITING: usize = 4;

/// Hashes bytes as they pass; ends as a [`Digest`].
#[derive(Debug)]
pub struct Hasher(Place);

#[derive(Debug)]
enum Place {
    Here(Sha256),
    Aside(Aside),
}

/// A thread that hashes, and the buffers that go to it and come back.
#[derive(Debug)]
struct Aside {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    worker: JoinHandle<Sha256>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self(Place::Here(Sha256::new()))
    }
}

impl Hasher {
    /// Hashes on a thread of its own; if none can be had, on the caller's.
    pub fn aside() -> Self {
        let (full, work) = sync_channel::<Vec<u8>>(WAITING);
        let (done, empty) = channel();
        let hash = move || {
            let mut hash = Sha256::new();
            for buffer in work {
                hash.update(&buffer);
                // The other side may have ended.
                let _ = done.send(buffer);
            }
            hash
        };
        match thread::Builder::new().name("hash".to_owned()).spawn(hash) {
            Ok(worker) => Self(Place::Aside(Aside { full, empty, buffer: Vec::with_capacity(BUFFER), worker })),
            Err(_) => Self::default(),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Place::Here(hash) => hash.update(bytes),
            Place::Aside(aside) => aside.update(bytes),
        }
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        let hash = match self.0 {
            Place::Here(hash) => hash,
            Place::Aside(aside) => aside.finish(),
        };
        Digest::from(<[u8; 32]>::from(hash.finalize()))
    }
}

impl Aside {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BUFFER {
                let mut next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER));
                next.clear();
                self.send(next);
            }
        }
    }

    fn send(&mut self, next: Vec<u8>) {
        // It fails only if the worker panicked, which `finish` tells.
        let _ = self.full.send(std::mem::replace(&mut self.buffer, next));
    }

    fn finish(mut self) -> Sha256 {
        self.send(Vec::new());
        drop(self.full);
        self.worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_give_the_same_digest_however_the_bytes_come() {
        let bytes = (0..3_000_000_u32).map(|at| (at >> 3) as u8).collect::<Vec<_>>();
        for step in [1_000, BUFFER, 700_001] {
            let (mut here, mut aside) = (Hasher::default(), Hasher::aside());
            for part in bytes.chunks(step) {
                here.update(part);
                aside.update(part);
            }
            assert_eq!(aside.finish(), Digest::of(&bytes));
            assert_eq!(here.finish(), Digest::of(&bytes));
        }
        assert_eq!(Hasher::aside().finish(), Digest::of(b""));
        drop(Hasher::aside());
    }
}
