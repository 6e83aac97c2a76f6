//! Hashes bytes as they pass: at once, or on a thread of its own from the moment that there is one to spare.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Bytes that go to a thread at once.
const BUFFER: usize = 256 << 10;
/// Buffers that wait for a thread; with them memory is bounded.
const WAITING: usize = 4;

/// Bytes that are hashed on the caller's thread between two questions for a spare one.
const PATIENCE: usize = 1 << 20;

/// Threads that may have nothing to do.
#[derive(Clone)]
pub struct Spare(Arc<Ask>);

type Ask = dyn Fn() -> Option<Box<dyn Send>> + Send + Sync;

impl Spare {
    /// `ask` gives a token if a thread is to spare; dropping the token gives the thread back.
    pub fn new(ask: impl Fn() -> Option<Box<dyn Send>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spare")
    }
}

/// Hashes bytes as they pass; ends as a [`Digest`].
#[derive(Debug, Default)]
pub struct Hasher {
    place: Place,
    /// Whom to ask for a thread, and how many bytes ago that was done.
    spare: Option<(Spare, usize)>,
}

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

impl Default for Place {
    fn default() -> Self {
        Self::Here(Sha256::new())
    }
}

impl Hasher {
    /// Hashes on the caller's thread, until there is another to spare.
    pub fn with_spare(spare: Spare) -> Self {
        Self { place: Place::default(), spare: Some((spare, 0)) }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.place {
            Place::Here(hash) => {
                hash.update(bytes);
                self.look_for_thread(bytes.len());
            }
            Place::Aside(aside) => aside.update(bytes),
        }
    }

    /// Moves to a thread of its own if there is one, after so many more bytes.
    fn look_for_thread(&mut self, bytes: usize) {
        let (Place::Here(hash), Some((spare, since))) = (&self.place, &mut self.spare) else { return };
        *since += bytes;
        if *since >= PATIENCE {
            *since = 0;
            if let Some(aside) = (spare.0)().and_then(|token| Aside::start(hash.clone(), token)) {
                self.place = Place::Aside(aside);
            }
        }
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        let hash = match self.place {
            Place::Here(hash) => hash,
            Place::Aside(aside) => aside.finish(),
        };
        Digest::from(<[u8; 32]>::from(hash.finalize()))
    }
}

impl Aside {
    /// Goes on with `hash` on a new thread; `None` if it cannot be had.
    fn start(mut hash: Sha256, token: Box<dyn Send>) -> Option<Self> {
        let (full, work) = sync_channel::<Vec<u8>>(WAITING);
        let (done, empty) = channel();
        let go_on = move || {
            let _token = token;
            for buffer in work {
                hash.update(&buffer);
                // The other side may have ended.
                let _ = done.send(buffer);
            }
            hash
        };
        let worker = thread::Builder::new().name("hash".to_owned()).spawn(go_on).ok()?;
        Some(Self { full, empty, buffer: Vec::with_capacity(BUFFER), worker })
    }

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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_digest_is_the_same_wherever_and_whenever_it_is_made() {
        let bytes = (0..3_000_000_u32).map(|at| (at >> 3) as u8).collect::<Vec<_>>();
        for step in [1_000, BUFFER, 700_001] {
            for refusals in 0..4 {
                let asked = AtomicUsize::new(0);
                let ask = move || (asked.fetch_add(1, Ordering::Relaxed) >= refusals).then(|| Box::new(()) as _);
                let (mut here, mut moving) = (Hasher::default(), Hasher::with_spare(Spare::new(ask)));
                for part in bytes.chunks(step) {
                    here.update(part);
                    moving.update(part);
                }
                assert_eq!(matches!(moving.place, Place::Aside(_)), refusals < 2);
                assert_eq!(moving.finish(), Digest::of(&bytes));
                assert_eq!(here.finish(), Digest::of(&bytes));
            }
        }
    }

    #[test]
    fn a_thread_is_given_back_when_all_is_hashed_or_nobody_wants_the_digest() {
        for wants_digest in [true, false] {
            let threads = Arc::new(());
            let spare = threads.clone();
            let mut hasher = Hasher::with_spare(Spare::new(move || Some(Box::new(spare.clone()))));
            hasher.update(&vec![0; PATIENCE]);
            hasher.update(&[1; 100]);
            assert_eq!(Arc::strong_count(&threads), 3);
            if wants_digest {
                hasher.finish();
            } else {
                drop(hasher);
            }
            // A thread that nobody waits for ends by itself.
            while Arc::strong_count(&threads) > 1 {
                thread::yield_now();
            }
        }
    }
}
