//! Constants of the deflate format (RFC 1951, 3.2.4 to 3.2.7) that the decoder and the encoders share.

/// Length of the shortest and of the longest match.
pub(super) const SHORTEST_MATCH: usize = 3;
pub(super) const LONGEST_MATCH: usize = 258;
/// The most bytes that a stored block can hold (RFC 1951, 3.2.4).
pub(super) const LONGEST_STORED: usize = 0xffff;
/// Number of symbols for literals and lengths, and for distances.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(super) const END: usize = 256;
/// Length of the longest codeword for literals, lengths and distances, in bits.
pub(super) const LONGEST_CODEWORD: usize = 15;
/// The order in which a block header lists the lengths of the code length code.
pub(super) const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Returns the shortest match length of a length symbol and its number of extra bits.
pub(super) const fn length(symbol: usize) -> (usize, u32) {
    // The longest match has its own symbol.
    if symbol == LITERALS - 1 { (LONGEST_MATCH, 0) } else { based(SHORTEST_MATCH, symbol - (END + 1), 4) }
}

/// Returns the shortest distance of a distance symbol and its number of extra bits.
pub(super) const fn distance(symbol: usize) -> (usize, u32) {
    based(1, symbol, 2)
}

/// Each group of `group` symbols has the same number of extra bits. The first two groups have none.
const fn based(first: usize, symbol: usize, group: usize) -> (usize, u32) {
    let extra_bits = (symbol / group).saturating_sub(1);
    let base = if extra_bits == 0 { symbol } else { (group + symbol % group) << extra_bits };
    (first + base, extra_bits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_the_specification() {
        // The tables of RFC 1951, 3.2.5.
        let lengths = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
            227, 258,
        ];
        let distances = [
            1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
            4097, 6145, 8193, 12289, 16385, 24577,
        ];
        assert_eq!(std::array::from_fn(|at| length(END + 1 + at).0), lengths);
        assert_eq!(std::array::from_fn(|at| distance(at).0), distances);
        for (symbol, pair) in distances.windows(2).enumerate() {
            assert_eq!(pair[1] - pair[0], 1 << distance(symbol).1);
        }
        // The last symbol but one could also encode the longest match.
        for (symbol, pair) in (END + 1..).zip(lengths[..28].windows(2)) {
            assert_eq!(pair[1] - pair[0], 1 << length(symbol).1);
        }
    }
}
