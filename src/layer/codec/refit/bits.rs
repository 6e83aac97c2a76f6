//! Bits, written by words.

use super::token::{NEAR, Token};
use super::words::{Far, Near};

/// Bits, written by words.
pub(super) struct Bits {
    bytes: Vec<u8>,
    word: u64,
    /// How many bits of the word are not in `bytes` yet, at most 31.
    held: u32,
}

impl Bits {
    /// Has room for about so many tokens.
    pub(super) fn with_room(tokens: usize) -> Self {
        // Ten bits for each, most of the time.
        Self { bytes: Vec::with_capacity(tokens + tokens / 2), word: 0, held: 0 }
    }

    /// Adds the lowest `count` bits, at most 32; the others are zero.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.held;
        self.held += count;
        if self.held >= 32 {
            self.bytes.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.held -= 32;
        }
    }

    /// Adds tokens of so many bits: each of them by the same steps, whatever it is, and whole words at any byte.
    pub(super) fn put_tokens(&mut self, tokens: &[Token], bits: usize, near: &[Near; NEAR], far: &[Far; 32]) {
        let (mut word, mut held, mut end) = (self.word, self.held, self.bytes.len());
        // Of the bits that are held, whole bytes are written with the first token.
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

    /// Returns all bits, and how many they are.
    pub(super) fn finish(mut self) -> (Vec<u8>, u64) {
        let count = self.bytes.len() as u64 * 8 + u64::from(self.held);
        self.bytes.extend_from_slice(&self.word.to_le_bytes()[..self.held.div_ceil(8) as usize]);
        (self.bytes, count)
    }
}
