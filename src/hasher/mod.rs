//! Hashes bytes as they pass: one stream, or the two of a layer together (`lanes`); these at once, or on a thread of their own from the moment
//! that there is one to spare.

mod lanes;

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::spare::{Helper, Spare};
use lanes::Lanes;

/// Bytes of a stream that go to a thread at once.
const BUFFER: usize = 128 << 10;
/// Batches that wait for a thread.
const WAITING: usize = 4;
/// Bytes of the tar that are hashed on the caller's thread between two questions for a spare one.
const PATIENCE: usize = 1 << 20;

/// Hashes a stream of bytes as they pass; ends as a [`Digest`].
#[derive(Debug)]
pub struct Hasher(Stream);

#[derive(Debug)]
enum Stream {
    Alone(Sha256),
    Blob(Arc<Mutex<Layer>>),
    Tar(Arc<Mutex<Layer>>),
}

/// Hashers of the two streams of one layer. It is fastest if both see bytes by turns.
#[derive(Debug)]
pub struct LayerHashers {
    /// Of the compressed bytes.
    pub blob: Hasher,
    /// Of the decompressed bytes.
    pub tar: Hasher,
}

impl LayerHashers {
    /// Hashes on the caller's thread, until there is another to spare.
    pub fn with_spare(spare: Spare) -> Self {
        Self::of(Layer { spare: Some((spare, 0)), ..Layer::default() })
    }

    fn of(layer: Layer) -> Self {
        let layer = Arc::new(Mutex::new(layer));
        Self { blob: Hasher(Stream::Blob(layer.clone())), tar: Hasher(Stream::Tar(layer)) }
    }
}

impl Default for LayerHashers {
    fn default() -> Self {
        Self::of(Layer::default())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self(Stream::Alone(Sha256::new()))
    }
}

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Stream::Alone(hash) => hash.update(bytes),
            Stream::Blob(layer) => lock(layer).add_to_blob(bytes),
            Stream::Tar(layer) => lock(layer).add_to_tar(bytes),
        }
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        match self.0 {
            Stream::Alone(hash) => Digest::from(<[u8; 32]>::from(hash.finalize())),
            Stream::Blob(layer) => lock(&layer).finish(Lanes::finish_blob),
            Stream::Tar(layer) => lock(&layer).finish(Lanes::finish_tar),
        }
    }
}

fn lock(layer: &Mutex<Layer>) -> impl std::ops::DerefMut<Target = Layer> {
    layer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the hashers of a layer share.
#[derive(Debug, Default)]
struct Layer {
    place: Place,
    /// Whom to ask for a thread, and how many bytes ago that was done.
    spare: Option<(Spare, usize)>,
}

/// Where a layer is hashed.
#[derive(Debug)]
enum Place {
    Here(Lanes),
    Aside(Aside),
}

impl Default for Place {
    fn default() -> Self {
        Self::Here(Lanes::default())
    }
}

impl Layer {
    fn add_to_blob(&mut self, bytes: &[u8]) {
        match &mut self.place {
            Place::Here(lanes) => lanes.add_to_blob(bytes),
            Place::Aside(aside) => aside.add(bytes, |batch| &mut batch.blob),
        }
    }

    fn add_to_tar(&mut self, bytes: &[u8]) {
        match &mut self.place {
            Place::Here(lanes) => {
                lanes.add_to_tar(bytes);
                self.look_for_thread(bytes.len());
            }
            Place::Aside(aside) => aside.add(bytes, |batch| &mut batch.tar),
        }
    }

    /// Moves to a thread of its own if there is one, after so many more bytes.
    fn look_for_thread(&mut self, bytes: usize) {
        let (Place::Here(lanes), Some((spare, since))) = (&self.place, &mut self.spare) else { return };
        *since += bytes;
        if *since >= PATIENCE {
            *since = 0;
            if let Some(helper) = spare.start("hash", WAITING, || lanes.clone(), Batch::hash) {
                self.place = Place::Aside(Aside { helper, batch: Batch::default() });
            }
        }
    }

    /// Ends a stream; if a thread of its own hashes the layer, that ends first.
    fn finish(&mut self, end: impl FnOnce(&mut Lanes) -> Digest) -> Digest {
        let mut lanes = match std::mem::take(&mut self.place) {
            Place::Here(lanes) => lanes,
            Place::Aside(aside) => aside.finish(),
        };
        let digest = end(&mut lanes);
        self.place = Place::Here(lanes);
        digest
    }
}

/// A thread that hashes, and what goes to it next.
#[derive(Debug)]
struct Aside {
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
    /// Adds bytes to one stream's.
    fn add(&mut self, mut bytes: &[u8], stream: impl Fn(&mut Batch) -> &mut Vec<u8>) {
        while !bytes.is_empty() {
            let next = stream(&mut self.batch);
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - next.len()));
            next.extend_from_slice(now);
            bytes = later;
            if next.len() == BUFFER {
                let empty = self.helper.used().unwrap_or_default();
                self.helper.send(std::mem::replace(&mut self.batch, empty));
            }
        }
    }

    fn finish(self) -> Lanes {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn digests_are_the_same_wherever_and_whenever_they_are_made() {
        let bytes = |seed, count| (0..count).map(|at: u32| (at >> 3) as u8 ^ seed).collect::<Vec<_>>();
        let (blob, tar) = (bytes(0, 1_000_000), bytes(1, 3_000_000));
        for step in [1_000, BUFFER, 350_001] {
            for refusals in 0..4 {
                let asked = AtomicUsize::new(0);
                let ask = move || (asked.fetch_add(1, Ordering::Relaxed) >= refusals).then(|| Box::new(()) as _);
                let mut moving = LayerHashers::with_spare(Spare::new(ask));
                let mut alone = Hasher::default();
                let mut parts = blob.chunks(step);
                for tar in tar.chunks(3 * step) {
                    moving.blob.update(parts.next().unwrap_or_default());
                    moving.tar.update(tar);
                    alone.update(tar);
                }
                let Stream::Tar(layer) = &moving.tar.0 else { panic!("not a layer's hasher") };
                assert_eq!(matches!(lock(layer).place, Place::Aside(_)), refusals < 2);
                assert_eq!(moving.blob.finish(), Digest::of(&blob));
                assert_eq!(moving.tar.finish(), Digest::of(&tar));
                assert_eq!(alone.finish(), Digest::of(&tar));
            }
        }
    }
}
