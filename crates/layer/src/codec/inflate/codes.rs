//! Lookup tables for the prefix codes of deflate blocks (RFC 1951, 3.2.2 and 3.2.5).
//!
//! The first table has an entry for each value of the next bits. A codeword with more bits leads to a second table,
//! which is stored after the first one. An entry holds all that the decoder needs, so most symbols take one lookup.

use super::InflateError;
use crate::codec::deflate::{self, DISTANCES, LITERALS, LONGEST_CODEWORD};

/// The meaning of the next bits, packed in a word:
///
/// | bits | |
/// |---|---|
/// | 0 to 7 | number of bits to drop, extra bits included |
/// | 8 to 13 | length of the codeword; for a pointer, the number of bits that index the second table |
/// | 14, 15 | the type, if this is not a literal, length or distance |
/// | 16 to 30 | a literal, the base of a length or distance, the start of a second table; bit 16: the block ends |
/// | 31 | whether it is a literal |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(u32);

/// Neither a literal nor a base.
const SPECIAL: u32 = 1 << 15;
/// Special: a pointer to a second table.
const POINTER: u32 = 1 << 14;
/// Special: the end of the block. A special code that is neither this nor a pointer is invalid.
const END: u32 = 1 << 16;
const LITERAL: u32 = 1 << 31;

impl Code {
    const INVALID: Self = Self(SPECIAL);

    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    #[inline(always)]
    pub(super) fn is_special(self) -> bool {
        self.0 & SPECIAL != 0
    }

    #[inline(always)]
    pub(super) fn is_pointer(self) -> bool {
        self.0 & (SPECIAL | POINTER) == SPECIAL | POINTER
    }

    /// Returns whether a special code that is not a pointer ends the block.
    #[inline(always)]
    pub(super) fn is_end(self) -> bool {
        self.0 & END != 0
    }

    /// Returns the literal byte.
    #[inline(always)]
    pub(super) fn literal(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Returns the number of bits to drop in the lowest eight bits. The other bits are arbitrary, because clearing them
    /// would cost time.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// Returns exactly the number of bits to drop.
    pub(super) fn dropped(self) -> usize {
        (self.0 & 0xff) as usize
    }

    /// Returns a length or distance: its base plus its extra bits, which follow the codeword at the start of `bits`.
    #[inline(always)]
    pub(super) fn value(self, bits: u64) -> usize {
        let all = bits & !(u64::MAX << (self.0 & 63));
        (self.0 >> 16) as usize + (all >> (self.0 >> 8 & 63)) as usize
    }

    /// Returns the length of the codeword, or of its rest in a second table. For a pointer, returns the number of bits
    /// that index the second table.
    fn length(self) -> u32 {
        self.0 >> 8 & 63
    }

    /// Returns the target of a pointer whose own bits were already dropped.
    #[inline(always)]
    pub(super) fn target(self, bits: u64) -> usize {
        (self.0 >> 16) as usize + (bits & !(u64::MAX << (self.0 >> 8 & 63))) as usize
    }
}

/// What a symbol means: a code without its bit counts, and the number of extra bits.
type SymbolValue = (u32, u8);

fn literal_or_length(symbol: usize) -> SymbolValue {
    match symbol {
        0..deflate::END => (LITERAL | (symbol as u32) << 16, 0),
        deflate::END => (SPECIAL | END, 0),
        _ if symbol < LITERALS => based(deflate::length(symbol)),
        _ => (SPECIAL, 0),
    }
}

fn distance(symbol: usize) -> SymbolValue {
    if symbol < DISTANCES { based(deflate::distance(symbol)) } else { (SPECIAL, 0) }
}

fn based((base, extra_bits): (usize, u32)) -> SymbolValue {
    ((base as u32) << 16, extra_bits as u8)
}

/// A table of `SIZE` codes. The first `1 << BITS` are indexed by the next bits.
pub(super) struct Table<const BITS: usize, const SIZE: usize>([Code; SIZE]);

impl<const BITS: usize, const SIZE: usize> Table<BITS, SIZE> {
    const FIRST: usize = 1 << BITS;

    fn new() -> Self {
        Self([Code::INVALID; SIZE])
    }

    /// Returns the code at the start of the next bits.
    #[inline(always)]
    pub(super) fn first(&self, bits: u64) -> Code {
        self.0[bits as usize & (Self::FIRST - 1)]
    }

    /// Returns the code that a pointer leads to.
    #[inline(always)]
    pub(super) fn second(&self, target: usize) -> Code {
        self.0[target]
    }

    /// Returns the first codeword whose code matches, first bit lowest, and its length.
    fn codeword(&self, is_such: impl Fn(Code) -> bool) -> Option<(u64, u32)> {
        (0..1 << BITS).find_map(|prefix| {
            let first = self.first(prefix);
            if !first.is_pointer() {
                return is_such(first).then(|| (prefix, first.length()));
            }
            (0..1 << first.length()).find_map(|more| {
                let code = self.second(first.target(more));
                is_such(code).then(|| (prefix | more << BITS, BITS as u32 + code.length()))
            })
        })
    }

    /// Builds the table from the lengths of the symbols' codewords.
    fn build(&mut self, lengths: &[u8], meaning: impl Fn(usize) -> SymbolValue) -> Result<(), InflateError> {
        let sorted = Sorted::new(lengths)?;
        if !sorted.is_complete {
            self.0[..Self::FIRST].fill(Code::INVALID);
        }
        let mut codewords = sorted.codewords();
        for (codeword, length, symbol) in codewords.by_ref().take(sorted.up_to(BITS)) {
            fill(&mut self.0[..Self::FIRST], codeword, length, meaning(symbol));
        }
        let (mut prefix, mut second) = (Self::FIRST, Self::FIRST..Self::FIRST);
        for (number, (codeword, length, symbol)) in codewords.enumerate() {
            if codeword & (Self::FIRST - 1) != prefix {
                prefix = codeword & (Self::FIRST - 1);
                let bits = sorted.second_bits(number + sorted.up_to(BITS), length, BITS);
                second = second.end..second.end + (1 << bits);
                let (start, bits) = (second.start as u32, bits as u32);
                self.0[prefix] = Code(start << 16 | SPECIAL | POINTER | bits << 8 | BITS as u32);
            }
            let table = self.0.get_mut(second.clone()).ok_or(InflateError::Corrupt)?;
            fill(table, codeword >> BITS, length - BITS, meaning(symbol));
        }
        Ok(())
    }
}

/// Stores a code at all indexes of a table that start with its codeword.
fn fill(table: &mut [Code], codeword: usize, length: usize, (code, extra): SymbolValue) {
    let length = length as u32;
    let code = Code(code | length << 8 | (length + u32::from(extra)));
    table.iter_mut().skip(codeword).step_by(1 << length).for_each(|entry| *entry = code);
}

/// Symbols, sorted by codeword.
struct Sorted {
    symbols: [u16; 288],
    /// Number of codewords of each length.
    counts: [u16; LONGEST_CODEWORD + 1],
    longest: usize,
    /// Whether every bit sequence starts with a codeword.
    is_complete: bool,
}

impl Sorted {
    fn new(lengths: &[u8]) -> Result<Self, InflateError> {
        let mut counts = [0; LONGEST_CODEWORD + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let (mut space, mut starts, mut start) = (1_i32, [0; LONGEST_CODEWORD + 1], 0);
        for length in 1..=LONGEST_CODEWORD {
            starts[length] = start;
            start += usize::from(counts[length]);
            space = (space << 1) - i32::from(counts[length]);
            if space < 0 {
                return Err(InflateError::Corrupt);
            }
        }
        let longest = (1..=LONGEST_CODEWORD).rev().find(|&length| counts[length] > 0).unwrap_or(0);
        // Only a code with at most one symbol may leave bits unused, as in zlib.
        if space > 0 && longest > 1 {
            return Err(InflateError::Corrupt);
        }
        let mut symbols = [0; 288];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = &mut starts[usize::from(length)];
            symbols[*place] = symbol as u16;
            *place += 1;
        }
        Ok(Self { symbols, counts, longest, is_complete: space == 0 })
    }

    /// Returns the number of codewords that are at most `length` bits long.
    fn up_to(&self, length: usize) -> usize {
        self.counts[..=length].iter().map(|&count| usize::from(count)).sum()
    }

    /// Returns codewords, first bit lowest, with their lengths and symbols. The shorter ones come first.
    fn codewords(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let lengths =
            (1..=LONGEST_CODEWORD).flat_map(|length| std::iter::repeat_n(length, usize::from(self.counts[length])));
        let (mut next, mut before) = (0_u16, 0);
        lengths.zip(self.symbols).map(move |(length, symbol)| {
            next <<= length - before;
            before = length;
            let codeword = next.reverse_bits() >> (16 - length);
            next = next.wrapping_add(1);
            (usize::from(codeword), length, usize::from(symbol))
        })
    }

    /// Returns how many bits index the second table whose first codeword has the number `number`.
    fn second_bits(&self, number: usize, length: usize, bits: usize) -> usize {
        let mut length = length;
        let mut space = self.up_to(length) - number;
        while space < 1 << (length - bits) && length < self.longest {
            length += 1;
            space = (space << 1) + usize::from(self.counts[length]);
        }
        length - bits
    }
}

/// The tables of a block.
pub(super) struct Tables {
    /// For literals and lengths. The sizes are the most that complete codes with this many symbols need, as computed by
    /// zlib's `enough`.
    pub(super) literals: Table<11, 2342>,
    /// For distances.
    pub(super) distances: Table<8, 402>,
    /// Whether these are the tables of the fixed codes.
    is_fixed: bool,
    /// Lengths of the codewords of literals.
    pub(super) literal_lengths: [u8; 256],
}

impl Tables {
    pub(super) fn new() -> Self {
        Self { literals: Table::new(), distances: Table::new(), is_fixed: false, literal_lengths: [0; 256] }
    }

    /// Builds the tables from the lengths of the codewords.
    pub(super) fn build(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), InflateError> {
        self.is_fixed = false;
        self.literal_lengths = literals.first_chunk().copied().unwrap_or([0; 256]);
        self.literals.build(literals, literal_or_length)?;
        self.distances.build(distances, distance)
    }

    /// Builds the tables of the fixed codes (RFC 1951, 3.2.6).
    pub(super) fn fix(&mut self) -> Result<(), InflateError> {
        if !self.is_fixed {
            let literals: [u8; 288] = std::array::from_fn(|symbol| match symbol {
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            });
            self.build(&literals, &[5; 32])?;
            self.is_fixed = true;
        }
        Ok(())
    }

    /// Returns the codeword that ends the block, first bit lowest, and its length.
    pub(super) fn end_of_block(&self) -> (u64, u32) {
        self.literals.codeword(|code| code.is_special() && code.is_end()).unwrap_or_default()
    }
}

/// The table of the code length code, whose codewords have at most 7 bits.
pub(super) struct LengthTable(Table<7, 128>);

impl LengthTable {
    pub(super) fn new(lengths: &[u8]) -> Result<Self, InflateError> {
        // The code length code may not be incomplete.
        if lengths.iter().filter(|length| **length > 0).count() < 2 {
            return Err(InflateError::Corrupt);
        }
        let mut table = Table::new();
        table.build(lengths, |symbol| ((symbol as u32) << 16, 0))?;
        Ok(Self(table))
    }

    /// Returns the symbol at the start of the next bits and the length of its codeword.
    pub(super) fn symbol(&self, bits: u64) -> (usize, usize) {
        let code = self.0.first(bits);
        ((code.0 >> 16) as usize, code.dropped())
    }
}
