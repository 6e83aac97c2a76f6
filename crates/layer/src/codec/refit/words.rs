//! The encoded form of tokens: codewords with their extra bits.

use super::code;
use super::token::{self, NEAR};
use crate::codec::deflate::{self, DISTANCES, END, LITERALS};

/// The codeword of a literal, or of a length with its extra bits:
///
/// | bits | |
/// |---|---|
/// | 0 to 7 | number of bits |
/// | 8 to 31 | the bits, the first one lowest |
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Near(u32);

impl Near {
    fn new(bits: u32, count: u32) -> Self {
        Self(bits << 8 | count)
    }

    #[inline(always)]
    pub(super) fn bits(self) -> u64 {
        (self.0 >> 8).into()
    }

    #[inline(always)]
    pub(super) fn count(self) -> u32 {
        self.0 & 0xff
    }
}

/// The codeword of a distance:
///
/// | bits | |
/// |---|---|
/// | 0 to 7 | length of the codeword plus the number of extra bits |
/// | 8 to 15 | length of the codeword |
/// | 16 to 31 | the codeword, first bit lowest |
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Far(u32);

impl Far {
    fn new(codeword: u16, length: u8, extra_bits: u32) -> Self {
        Self(u32::from(codeword) << 16 | u32::from(length) << 8 | (u32::from(length) + extra_bits))
    }

    /// Returns the codeword with its extra bits.
    #[inline(always)]
    pub(super) fn with(self, extra: u32) -> u64 {
        u64::from(self.0 >> 16) | u64::from(extra) << (self.0 >> 8 & 0x3f)
    }

    #[inline(always)]
    pub(super) fn count(self) -> u32 {
        self.0 & 0xff
    }
}

/// Returns the encoded literals and lengths, indexed as in tokens, and the codeword that ends the block.
pub(super) fn near_words(lengths: &[u8; LITERALS]) -> ([Near; NEAR], Near) {
    let mut codewords = [0; LITERALS];
    code::codewords(lengths, &mut codewords);
    let word = |symbol: usize, extra: u32, extra_bits: u32| {
        let length = u32::from(lengths[symbol]);
        Near::new(u32::from(codewords[symbol]) | extra << length, length + extra_bits)
    };
    let mut words = [Near::default(); NEAR];
    let (literals, matches) = words.split_at_mut(token::LENGTHS);
    for (symbol, place) in literals.iter_mut().enumerate() {
        *place = word(symbol, 0, 0);
    }
    for symbol in END + 1..LITERALS {
        let (_, extra_bits) = deflate::length(symbol);
        for (extra, place) in (0..).zip(&mut matches[token::lengths(symbol)]) {
            *place = word(symbol, extra, extra_bits);
        }
    }
    (words, word(END, 0, 0))
}

/// Returns the encoded distances. Symbols that do not exist are empty.
pub(super) fn far_words(lengths: &[u8; DISTANCES]) -> [Far; 32] {
    let mut codewords = [0; DISTANCES];
    code::codewords(lengths, &mut codewords);
    std::array::from_fn(|symbol| match lengths.get(symbol) {
        Some(&length) => Far::new(codewords[symbol], length, deflate::distance(symbol).1),
        None => Far::default(),
    })
}
