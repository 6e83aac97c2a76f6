//! Hashes bytes as they pass: at once, or on a thread of its own from the moment that there is one to spare.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::spare::{Helper, Spare};

/// Bytes that go to a thread at once.
const BUFFER: usize = 256 << 10;
/// Buffers that wait for a thread.
const WAITING: usize = 4;
/// Bytes that are hashed on the caller's thread between two questions for a spare one.
const PATIENCE: usize = 1 << 20;

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

/// A thread that hashes, and what goes to it next.
#[derive(Debug)]
struct Aside {
    helper: Helper<Vec<u8>, Sha256>,
    buffer: Vec<u8>,
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
            let add = |hash: &mut Sha256, buffer: &mut Vec<u8>| hash.update(buffer);
            if let Some(helper) = spare.start("hash", WAITING, || hash.clone(), add) {
                self.place = Place::Aside(Aside { helper, buffer: Vec::with_capacity(BUFFER) });
            }
        }
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        let hash = match self.place {
            Place::Here(hash) => hash,
            Place::Aside(Aside { helper, buffer }) => {
                helper.send(buffer);
                helper.finish()
            }
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
                let mut next = self.helper.used().unwrap_or_else(|| Vec::with_capacity(BUFFER));
                next.clear();
                self.helper.send(std::mem::replace(&mut self.buffer, next));
            }
        }
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
}
