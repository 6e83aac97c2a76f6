//! Writes bits through a 64-bit word.

use super::token::{NEAR, Token};
use super::words::{Far, Near};

/// Bits, written through a 64-bit word.
pub(super) struct Bits {
    bytes: Vec<u8>,
    word: u64,
    /// Number of bits of the word that are not in `bytes` yet, at most 31.
    held: u32,
}

impl Bits {
    /// Creates a buffer for about this many tokens.
    pub(super) fn with_room(tokens: usize) -> Self {
        // Most tokens take about ten bits.
        Self { bytes: Vec::with_capacity(tokens + tokens / 2), word: 0, held: 0 }
    }

    /// Adds the lowest `count` bits, at most 32. The other bits are zero.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.held;
        self.held += count;
        if self.held >= 32 {
            self.bytes.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.held -= 32;
        }
    }

    /// Adds tokens that take `bits` bits in total. All tokens take the same steps, and whole words are written at any
    /// byte.
    pub(super) fn put_tokens(&mut self, tokens: &[Token], bits: usize, near: &[Near; NEAR], far: &[Far; 32]) {
        let (mut word, mut held, mut end) = (self.word, self.held, self.bytes.len());
        // The whole bytes among the held bits are written with the first token.
        self.bytes.resize(end + bits.div_ceil(8) + 2 * size_of::<u64>(), 0);
        let flush = |word: &mut u64, held: &mut u32, end: &mut usize, bytes: &mut [u8]| {
            if let Some(place) = bytes.get_mut(*end..*end + 8) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            *end += (*held / 8) as usize;
            *word >>= *held & !7;
            *held &= 7;
        };
        flush(&mut word, &mut held, &mut end, &mut self.bytes);
        let bits_of = |token: Token| {
            let ((far_symbol, far_extra), near) = (token.far(), near[token.near()]);
            let far = far[far_symbol];
            (near.bits() | far.with(far_extra) << near.count(), near.count() + far.count())
        };
        let (pairs, rest) = tokens.as_chunks::<2>();
        for &[one, other] in pairs {
            let ((one, one_bits), (other, other_bits)) = (bits_of(one), bits_of(other));
            if one_bits + other_bits > 56 {
                word |= one << held;
                held += one_bits;
                flush(&mut word, &mut held, &mut end, &mut self.bytes);
                word |= other << held;
                held += other_bits;
            } else {
                word |= (one | other << one_bits) << held;
                held += one_bits + other_bits;
            }
            flush(&mut word, &mut held, &mut end, &mut self.bytes);
        }
        for &token in rest {
            let (bits, count) = bits_of(token);
            word |= bits << held;
            held += count;
            flush(&mut word, &mut held, &mut end, &mut self.bytes);
        }
        self.bytes.truncate(end);
        (self.word, self.held) = (word, held);
    }

    /// Returns all bits and their number.
    pub(super) fn finish(mut self) -> (Vec<u8>, u64) {
        let count = self.bytes.len() as u64 * 8 + u64::from(self.held);
        self.bytes.extend_from_slice(&self.word.to_le_bytes()[..self.held.div_ceil(8) as usize]);
        (self.bytes, count)
    }
}
