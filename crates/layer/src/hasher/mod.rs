//! Hashes bytes as they pass: one stream, or both streams of a layer together (`lanes`). A layer is hashed on the
//! caller's thread until an idle thread can take over (`offload`).

mod lanes;
mod offload;

use std::sync::{Arc, Mutex, PoisonError};

use lanes::{Lane, Lanes};
use offload::{Offloaded, Stream};

use crate::digest::Digest;
use crate::idle::IdleThreads;

/// Bytes of the tar that are hashed on the caller's thread between two requests for an idle thread.
const PATIENCE: usize = 1 << 20;

/// Hashes a stream of bytes as they pass and returns a [`Digest`].
#[derive(Debug)]
pub struct Hasher(Task);

/// A single stream, or one of the two streams of a layer.
#[derive(Debug)]
enum Task {
    Alone(Lane),
    Blob(Arc<Mutex<Layer>>),
    Tar(Arc<Mutex<Layer>>),
}

/// The hashers of the two streams of a layer. Fastest if the streams get bytes in turn.
#[derive(Debug)]
pub struct LayerHashers {
    /// For the compressed bytes.
    pub blob: Hasher,
    /// For the decompressed bytes.
    pub tar: Hasher,
}

impl LayerHashers {
    /// Hashes on the caller's thread until an idle thread is available.
    pub fn offloading(idle: IdleThreads) -> Self {
        Self::of(Layer { idle: Some((idle, 0)), ..Layer::default() })
    }

    fn of(layer: Layer) -> Self {
        let layer = Arc::new(Mutex::new(layer));
        Self { blob: Hasher(Task::Blob(layer.clone())), tar: Hasher(Task::Tar(layer)) }
    }
}

impl Default for LayerHashers {
    fn default() -> Self {
        Self::of(Layer::default())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self(Task::Alone(Lane::default()))
    }
}

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Task::Alone(lane) => lane.add(bytes),
            Task::Blob(layer) => lock(layer).add_to_blob(bytes),
            Task::Tar(layer) => lock(layer).add_to_tar(bytes),
        }
    }

    /// Returns the digest of all added bytes.
    pub fn finish(self) -> Digest {
        match self.0 {
            Task::Alone(lane) => lane.finish(),
            Task::Blob(layer) => lock(&layer).finish(Lanes::finish_blob),
            Task::Tar(layer) => lock(&layer).finish(Lanes::finish_tar),
        }
    }
}

fn lock(layer: &Mutex<Layer>) -> impl std::ops::DerefMut<Target = Layer> {
    layer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared state of a layer's hashers.
#[derive(Debug, Default)]
struct Layer {
    place: Place,
    /// Where to request an idle thread, and the number of bytes since the last request.
    idle: Option<(IdleThreads, usize)>,
}

/// The thread that hashes a layer.
#[derive(Debug)]
enum Place {
    Here(Lanes),
    Offloaded(Offloaded),
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
            Place::Offloaded(offloaded) => offloaded.add(bytes, Stream::Blob),
        }
    }

    fn add_to_tar(&mut self, bytes: &[u8]) {
        match &mut self.place {
            Place::Here(lanes) => {
                lanes.add_to_tar(bytes);
                self.look_for_thread(bytes.len());
            }
            Place::Offloaded(offloaded) => offloaded.add(bytes, Stream::Tar),
        }
    }

    /// Moves to an idle thread if one is available. Asks only once per [`PATIENCE`] bytes.
    fn look_for_thread(&mut self, bytes: usize) {
        let (Place::Here(lanes), Some((idle, since))) = (&self.place, &mut self.idle) else { return };
        *since += bytes;
        if *since >= PATIENCE {
            *since = 0;
            if let Some(offloaded) = Offloaded::start(idle, lanes) {
                self.place = Place::Offloaded(offloaded);
            }
        }
    }

    /// Finishes a stream. Waits for the idle thread first, if there is one.
    fn finish(&mut self, end: impl FnOnce(&mut Lanes) -> Digest) -> Digest {
        let mut lanes = match std::mem::take(&mut self.place) {
            Place::Here(lanes) => lanes,
            Place::Offloaded(offloaded) => offloaded.finish(),
        };
        let digest = end(&mut lanes);
        self.place = Place::Here(lanes);
        digest
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
        for step in [1_000, offload::BUFFER, 350_001] {
            for refusals in 0..4 {
                let asked = AtomicUsize::new(0);
                let ask = move || (asked.fetch_add(1, Ordering::Relaxed) >= refusals).then(|| Box::new(()) as _);
                let mut moving = LayerHashers::offloading(IdleThreads::new(ask));
                let mut alone = Hasher::default();
                let mut parts = blob.chunks(step);
                for tar in tar.chunks(3 * step) {
                    moving.blob.update(parts.next().unwrap_or_default());
                    moving.tar.update(tar);
                    alone.update(tar);
                }
                let Task::Tar(layer) = &moving.tar.0 else { panic!("not a layer's hasher") };
                assert_eq!(matches!(lock(layer).place, Place::Offloaded(_)), refusals < 2);
                assert_eq!(moving.blob.finish(), Digest::of(&blob));
                assert_eq!(moving.tar.finish(), Digest::of(&tar));
                assert_eq!(alone.finish(), Digest::of(&tar));
            }
        }
    }
}
