//! Literals and matches, told by the symbols that stand for them (RFC 1951, 3.2.5).

use std::ops::Range;

/// The shortest match, and the longest.
pub(super) const SHORTEST: usize = 3;
pub(super) const LONGEST: usize = 258;
/// The symbol that ends a block.
pub(super) const END: usize = 256;
/// Symbols of literals and lengths, and of distances, that there are.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;
/// How many literals there are; lengths come behind them.
pub(super) const LENGTHS: usize = 256;
/// Stands where a literal has no distance, so that all tokens can be counted and written alike.
const NO_DISTANCE: u32 = DISTANCES as u32;

/// Literals, and behind them lengths, the shortest first.
pub(super) const NEAR: usize = 512;

/// A literal byte, or a match:
///
/// | bits | |
/// |---|---|
/// | 0 to 12 | the distance's extra bits |
/// | 13 to 17 | its symbol, or [`NO_DISTANCE`] |
/// | 23 to 31 | the literal, or [`LENGTHS`] and the length, less the shortest |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Token(u32);

impl Token {
    #[inline(always)]
    pub(super) fn literal(byte: u8) -> Self {
        Self(u32::from(byte) << 23 | NO_DISTANCE << 13)
    }

    /// A match of 3 to 258 bytes, from 1 byte to 32 KiB back.
    #[inline(always)]
    pub(super) fn of_match(length: usize, distance: usize) -> Self {
        // Two symbols for each power of two; the first ones have no extra bits.
        let below = (distance - 1) as u32;
        let extra_bits = (below | 2).ilog2() - 1;
        let symbol = 2 * extra_bits + (below >> extra_bits);
        let extra = below & ((1 << extra_bits) - 1);
        Self(((LENGTHS + length - SHORTEST) as u32) << 23 | symbol << 13 | extra)
    }

    /// Returns which literal or length it is, below [`NEAR`].
    #[inline(always)]
    pub(super) fn near(self) -> usize {
        (self.0 >> 23) as usize
    }

    /// Returns the symbol of the distance, below 32, and the bits behind its codeword.
    #[inline(always)]
    pub(super) fn far(self) -> (usize, u32) {
        ((self.0 >> 13 & 0x1f) as usize, self.0 & 0x1fff)
    }
}

/// Returns the lengths that a symbol stands for, less the shortest one.
pub(super) fn lengths(symbol: usize) -> Range<usize> {
    let first = |symbol: usize| match symbol - (END + 1) {
        group @ 0..8 => group,
        // Four symbols for each power of two.
        group => (4 + group % 4) << (group / 4 - 1),
    };
    const MOST: usize = LONGEST - SHORTEST;
    match symbol {
        // The longest match has a symbol of its own.
        285.. => MOST..MOST + 1,
        _ => first(symbol)..first(symbol + 1).min(MOST),
    }
}

/// Returns how many bits stand behind the codeword of a literal or length.
pub(super) const fn near_extra_bits(symbol: usize) -> u32 {
    match symbol {
        265..285 => (symbol as u32 - 261) / 4,
        _ => 0,
    }
}

/// Returns how many bits stand behind the codeword of a distance.
pub(super) const fn far_extra_bits(symbol: usize) -> u32 {
    match symbol {
        4..DISTANCES => symbol as u32 / 2 - 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bases of the tables in RFC 1951, 3.2.5.
    const NEAR_BASES: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ];
    const FAR_BASES: [usize; 30] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145, 8193, 12289, 16385, 24577,
    ];

    #[test]
    fn symbols_are_those_of_the_specification() {
        for (symbol, base) in (END + 1..LITERALS).zip(NEAR_BASES) {
            let next = NEAR_BASES.get(symbol - END).copied().unwrap_or(LONGEST + 1);
            assert_eq!(lengths(symbol), base - SHORTEST..next - SHORTEST);
            assert!(lengths(symbol).len() <= 1 << near_extra_bits(symbol));
        }
        for distance in 1..=32 << 10 {
            let (symbol, extra) = Token::of_match(3, distance).far();
            assert_eq!(FAR_BASES[symbol] + extra as usize, distance);
            assert!(extra < 1 << far_extra_bits(symbol));
        }
        for byte in 0..=255 {
            assert_eq!(Token::literal(byte).near(), usize::from(byte));
            assert_eq!(Token::literal(byte).far(), (DISTANCES, 0));
        }
    }
}
