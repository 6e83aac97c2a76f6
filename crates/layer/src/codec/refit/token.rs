//! Literals and matches, represented by their symbols (RFC 1951, 3.2.5).

use std::ops::Range;

use crate::codec::deflate::{self, DISTANCES, LONGEST_MATCH, SHORTEST_MATCH};

/// The number of literals. Lengths come after them.
pub(super) const LENGTHS: usize = 256;
/// The distance symbol of a literal, so that all tokens can be counted and written in the same way.
const NO_DISTANCE: u32 = DISTANCES as u32;

/// The number of literals and lengths, the lengths last and in ascending order.
pub(super) const NEAR: usize = 512;

/// A literal byte or a match:
///
/// | bits | |
/// |---|---|
/// | 0 to 12 | the extra bits of the distance |
/// | 13 to 17 | the symbol of the distance, or [`NO_DISTANCE`] |
/// | 23 to 31 | the literal, or [`LENGTHS`] plus the length minus the shortest length |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Token(u32);

impl Token {
    #[inline(always)]
    pub(super) fn literal(byte: u8) -> Self {
        Self(u32::from(byte) << 23 | NO_DISTANCE << 13)
    }

    /// Returns a match of 3 to 258 bytes at a distance of 1 byte to 32 KiB.
    #[inline(always)]
    pub(super) fn of_match(length: usize, distance: usize) -> Self {
        // Each power of two has two symbols. The first ones have no extra bits.
        let below = (distance - 1) as u32;
        let extra_bits = (below | 2).ilog2() - 1;
        let symbol = 2 * extra_bits + (below >> extra_bits);
        let extra = below & ((1 << extra_bits) - 1);
        Self(((LENGTHS + length - SHORTEST_MATCH) as u32) << 23 | symbol << 13 | extra)
    }

    /// Returns the literal or length, below [`NEAR`].
    #[inline(always)]
    pub(super) fn near(self) -> usize {
        (self.0 >> 23) as usize
    }

    /// Returns the symbol of the distance, below 32, and its extra bits.
    #[inline(always)]
    pub(super) fn far(self) -> (usize, u32) {
        ((self.0 >> 13 & 0x1f) as usize, self.0 & 0x1fff)
    }
}

/// Returns the lengths of a symbol, minus the shortest length.
pub(super) fn lengths(symbol: usize) -> Range<usize> {
    let (first, extra_bits) = deflate::length(symbol);
    // The longest match has its own symbol.
    let end = if first == LONGEST_MATCH { first + 1 } else { (first + (1 << extra_bits)).min(LONGEST_MATCH) };
    first - SHORTEST_MATCH..end - SHORTEST_MATCH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::deflate::{END, LITERALS};

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        let symbols = (END + 1..LITERALS).flat_map(lengths);
        assert!(symbols.eq(0..=LONGEST_MATCH - SHORTEST_MATCH), "each length has one symbol");
        for length in SHORTEST_MATCH..=LONGEST_MATCH {
            assert_eq!(Token::of_match(length, 1).near(), LENGTHS + length - SHORTEST_MATCH);
        }
        for distance in 1..=32 << 10 {
            let (symbol, extra) = Token::of_match(3, distance).far();
            let (first, extra_bits) = deflate::distance(symbol);
            assert_eq!(first + extra as usize, distance);
            assert!(extra < 1 << extra_bits);
        }
        for byte in 0..=255 {
            assert_eq!(Token::literal(byte).near(), usize::from(byte));
            assert_eq!(Token::literal(byte).far(), (DISTANCES, 0));
        }
    }
}
