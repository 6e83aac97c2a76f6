//! Tells where in a blob a byte of the decompressed layer comes from.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::codec::Decode;

/// Passes on what a decoder shows, and notes of which part of the blob it was made.
pub(super) struct Located<D> {
    decoder: D,
    /// Bytes of the layer that were consumed.
    consumed: u64,
    places: Places,
}

/// The places of what a decoder shows; whoever reads it through others keeps a clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Rc<Cell<Shown>>);

/// A part of the layer and the part of the blob that it was made of, each from start to end.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    layer: (u64, u64),
    blob: (u64, u64),
}

impl<D: Decode> Located<D> {
    /// Returns the reader, and the places of what it will show.
    pub(super) fn new(decoder: D) -> (Self, Places) {
        let places = Places::default();
        (Self { decoder, consumed: 0, places: places.clone() }, places)
    }
}

impl Places {
    /// Returns the byte of the blob from which a byte of the layer on is decoded. Exact where what was shown last starts and ends; within that, as if it
    /// were compressed evenly.
    pub(super) fn of(&self, offset: u64) -> u64 {
        let Shown { layer: (start, end), blob: (first, last) } = self.0.get();
        let (done, all) = (offset.clamp(start, end) - start, (end - start).max(1));
        let within = u128::from(last - first) * u128::from(done) / u128::from(all);
        first + within as u64
    }
}

impl<D: Decode> BufRead for Located<D> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Shown { layer: (_, end), blob: (_, first) } = self.places.0.get();
        if self.consumed == end {
            let shown = self.decoder.fill_buf()?.len() as u64;
            self.places.0.set(Shown { layer: (end, end + shown), blob: (first, self.decoder.position()) });
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
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows each of some pieces, made of so many bytes of a blob.
    struct Pieces(Vec<(usize, u64)>, usize, u64);

    impl Decode for Pieces {
        fn position(&self) -> u64 {
            self.2
        }
    }

    impl BufRead for Pieces {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            if self.1 == 0 && !self.0.is_empty() {
                let (shown, packed) = self.0.remove(0);
                self.1 = shown;
                self.2 += packed;
            }
            Ok(&[0; 1000][..self.1])
        }

        fn consume(&mut self, count: usize) {
            self.1 -= count;
        }
    }

    impl Read for Pieces {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("it is read by its buffer")
        }
    }

    #[test]
    fn a_byte_is_placed_by_its_share_of_what_was_shown_with_it() {
        let (mut located, places) = Located::new(Pieces(vec![(100, 50), (1000, 10)], 0, 0));
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
