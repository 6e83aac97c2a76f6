//! Maps bytes of the decompressed layer to positions in the blob.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::codec::Decode;
use crate::blob::read_buffered;

/// Forwards a decoder's output and records which part of the blob it came from.
pub(super) struct Located<D> {
    decoder: D,
    /// Bytes of the layer that were consumed.
    consumed: u64,
    places: Places,
}

/// The positions of a decoder's current output. Clones share them, so they can be read while the reader is wrapped.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Rc<Cell<Shown>>);

/// A part of the layer.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    from: OffsetPair,
    to: OffsetPair,
}

/// A byte of the layer, and the byte of the blob where its decoding starts.
#[derive(Debug, Clone, Copy, Default)]
struct OffsetPair {
    layer: u64,
    blob: u64,
}

impl<D: Decode> Located<D> {
    /// Returns the reader and the positions of its output.
    pub(super) fn new(decoder: D) -> (Self, Places) {
        let places = Places::default();
        (Self { decoder, consumed: 0, places: places.clone() }, places)
    }
}

impl Places {
    /// Returns the byte of the blob where decoding of a layer byte starts. Exact at the start and end of the current
    /// output, interpolated linearly in between.
    pub(super) fn of(&self, offset: u64) -> u64 {
        let Shown { from, to } = self.0.get();
        let done = offset.clamp(from.layer, to.layer) - from.layer;
        let all = (to.layer - from.layer).max(1);
        let within = u128::from(to.blob - from.blob) * u128::from(done) / u128::from(all);
        from.blob + within as u64
    }
}

impl<D: Decode> BufRead for Located<D> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let from = self.places.0.get().to;
        if self.consumed == from.layer {
            let shown = self.decoder.fill_buf()?.len() as u64;
            let to = OffsetPair { layer: from.layer + shown, blob: self.decoder.position() };
            self.places.0.set(Shown { from, to });
        }
        self.decoder.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.consumed += count as u64;
        self.decoder.consume(count);
    }
}

impl<D: Decode> Read for Located<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs one piece after the other.
    struct Pieces {
        /// Size of each piece, and of the part of the blob that it comes from.
        left: Vec<(usize, u64)>,
        /// Bytes of the current piece that were not consumed.
        shown: usize,
        position: u64,
    }

    impl Decode for Pieces {
        fn position(&self) -> u64 {
            self.position
        }
    }

    impl BufRead for Pieces {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            if self.shown == 0 && !self.left.is_empty() {
                let (shown, packed) = self.left.remove(0);
                self.shown = shown;
                self.position += packed;
            }
            Ok(&[0; 1000][..self.shown])
        }

        fn consume(&mut self, count: usize) {
            self.shown -= count;
        }
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            read_buffered(self, buffer)
        }
    }

    #[test]
    fn a_byte_is_placed_by_its_share_of_what_was_shown_with_it() {
        let (mut located, places) = Located::new(Pieces { left: vec![(100, 50), (1000, 10)], shown: 0, position: 0 });
        let mut found = Vec::new();
        for (take, at) in [(40, 40), (60, 100), (300, 400), (700, 1100)] {
            let mut buffer = vec![0; take];
            located.read_exact(&mut buffer).unwrap();
            found.push(places.of(at));
        }
        assert_eq!(found, [20, 50, 53, 60]);
        assert!(located.fill_buf().unwrap().is_empty());
        assert_eq!(places.of(1100), 60);
    }
}
