//! Literals and matches, told by the symbols that stand for them (RFC 1951, 3.2.5).

/// The shortest match, and the longest.
pub(super) const SHORTEST: usize = 3;
pub(super) const LONGEST: usize = 258;
/// The symbol that ends a block.
pub(super) const END: usize = 256;
/// Symbols of literals and lengths, and of distances, that there are.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;
/// Stands where a literal has no distance, so that all tokens can be counted and written alike.
const NO_DISTANCE: u32 = DISTANCES as u32;

/// A literal byte, or a match:
///
/// | bits | |
/// |---|---|
/// | 0 to 12 | the distance's extra bits |
/// | 13 to 17 | its symbol, or [`NO_DISTANCE`] |
/// | 18 to 22 | the length's extra bits |
/// | 23 to 31 | the symbol of the literal or length |
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
        // Four symbols for each power of two of lengths, two of distances; the first groups have no extra bits.
        let below = (distance - 1) as u32;
        let extra_bits = (below | 2).ilog2() - 1;
        let symbol = 2 * extra_bits + (below >> extra_bits);
        let extra = below & ((1 << extra_bits) - 1);
        Self(LENGTHS[(length - SHORTEST) & 0xff] | symbol << 13 | extra)
    }

    /// Returns the symbol of the literal or length, below 512, and the bits behind its codeword.
    #[inline(always)]
    pub(super) fn near(self) -> (usize, u32) {
        ((self.0 >> 23) as usize, self.0 >> 18 & 0x1f)
    }

    /// Returns the symbol of the distance, below 32, and the bits behind its codeword.
    #[inline(always)]
    pub(super) fn far(self) -> (usize, u32) {
        ((self.0 >> 13 & 0x1f) as usize, self.0 & 0x1fff)
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

/// Lengths, less the shortest one, as they stand in a token.
const LENGTHS: [u32; LONGEST - SHORTEST + 1] = {
    let mut lengths = [0; LONGEST - SHORTEST + 1];
    let mut below = 0_u32;
    while below < 255 {
        let extra_bits = (below | 4).ilog2() - 2;
        let symbol = 257 + 4 * extra_bits + (below >> extra_bits);
        lengths[below as usize] = symbol << 23 | (below & ((1 << extra_bits) - 1)) << 18;
        below += 1;
    }
    // The longest match has a symbol of its own.
    lengths[255] = 285 << 23;
    lengths
};

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
        for length in SHORTEST..=LONGEST {
            let (symbol, extra) = Token::of_match(length, 1).near();
            assert_eq!(NEAR_BASES[symbol - 257] + extra as usize, length);
            assert!(extra < 1 << near_extra_bits(symbol));
        }
        for distance in 1..=32 << 10 {
            let (symbol, extra) = Token::of_match(3, distance).far();
            assert_eq!(FAR_BASES[symbol] + extra as usize, distance);
            assert!(extra < 1 << far_extra_bits(symbol));
        }
        for byte in 0..=255 {
            assert_eq!(Token::literal(byte).near(), (byte.into(), 0));
            assert_eq!(Token::literal(byte).far(), (DISTANCES, 0));
        }
    }
}
