//! Hashes bytes as they pass, on the caller's thread until an idle thread can take over (`offload`).

mod offload;

use offload::Offloaded;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::idle::IdleThreads;

/// Bytes that are hashed on the caller's thread between two requests for an idle thread.
const PATIENCE: usize = 1 << 20;

/// Hashes a stream of bytes as they pass and returns a [`Digest`].
#[derive(Debug)]
pub(crate) struct Hasher {
    place: HashPlace,
    /// Where to request an idle thread, and the number of bytes since the last request.
    idle: Option<(IdleThreads, usize)>,
}

/// The thread that hashes.
#[derive(Debug)]
enum HashPlace {
    Here(Sha256),
    Offloaded(Offloaded),
}

impl Hasher {
    /// Hashes on the caller's thread, or until an idle thread is available.
    pub(crate) fn new(idle: Option<IdleThreads>) -> Self {
        Self { place: HashPlace::Here(Sha256::new()), idle: idle.map(|idle| (idle, 0)) }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.place {
            HashPlace::Here(hash) => {
                hash.update(bytes);
                self.look_for_thread(bytes.len());
            }
            HashPlace::Offloaded(offloaded) => offloaded.add(bytes),
        }
    }

    /// Moves to an idle thread if one is available. Asks only once per [`PATIENCE`] bytes.
    fn look_for_thread(&mut self, bytes: usize) {
        let (HashPlace::Here(hash), Some((idle, since))) = (&self.place, &mut self.idle) else { return };
        *since += bytes;
        if *since >= PATIENCE {
            *since = 0;
            if let Some(offloaded) = Offloaded::start(idle, hash) {
                self.place = HashPlace::Offloaded(offloaded);
            }
        }
    }

    /// Returns the digest of all added bytes. Waits for the idle thread, if it was needed.
    pub(crate) fn finish(self) -> Digest {
        let hash = match self.place {
            HashPlace::Here(hash) => hash,
            HashPlace::Offloaded(offloaded) => offloaded.finish(),
        };
        Digest::from(<[u8; 32]>::from(hash.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn digests_are_the_same_wherever_and_whenever_they_are_made() {
        let bytes = (0..3_000_000).map(|at: u32| (at >> 3) as u8).collect::<Vec<_>>();
        for step in [1_000, offload::BUFFER, 350_001] {
            for refusals in 0..4 {
                let asked = AtomicUsize::new(0);
                let ask = move || (asked.fetch_add(1, Ordering::Relaxed) >= refusals).then(|| Box::new(()) as _);
                let mut moving = Hasher::new(Some(IdleThreads::new(ask)));
                let mut alone = Hasher::new(None);
                for bytes in bytes.chunks(step) {
                    moving.update(bytes);
                    alone.update(bytes);
                }
                assert_eq!(matches!(moving.place, HashPlace::Offloaded(_)), refusals < 2);
                assert!(matches!(alone.place, HashPlace::Here(_)));
                assert_eq!(moving.finish(), Digest::of(&bytes));
                assert_eq!(alone.finish(), Digest::of(&bytes));
            }
        }
    }
}
