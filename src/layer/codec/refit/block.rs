//! Writes blocks of the codes that suit their tokens best (RFC 1951, 3.2.7).

use super::code;
use super::split::Counts;
use super::token::{self, DISTANCES, END, LITERALS, NEAR, Token};

/// The order in which the lengths of the code of lengths come.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Bits of the longest codeword of lengths.
const LONGEST_OF_LENGTHS: u8 = 7;

/// The codes of a block: how long codewords are.
struct Codes {
    near: [u8; LITERALS],
    far: [u8; DISTANCES],
}

impl Codes {
    /// The best codes for such symbols.
    fn of(counts: &Counts) -> Self {
        let mut codes = Self { near: [0; LITERALS], far: [0; DISTANCES] };
        let mut near = counts.near;
        near[END] = 1;
        code::lengths(&near, code::LONGEST, &mut codes.near);
        code::lengths(&counts.far, code::LONGEST, &mut codes.far);
        codes
    }
}

/// Adds a block that is not the last one.
pub(super) fn write(tokens: &[Token], counts: &Counts, block: &mut Bits) {
    let codes = Codes::of(counts);
    Header::of(&codes).write(block);
    let (near, end) = near_words(&codes.near);
    let far = far_words(&codes.far);
    let bits =
        bits(&codes.near, &counts.near, token::near_extra_bits) + bits(&codes.far, &counts.far, token::far_extra_bits);
    block.put_tokens(tokens, bits, &near, &far);
    block.put(end.bits(), end.count());
}

/// Returns how many bits so many symbols take, with those behind them.
fn bits(lengths: &[u8], counts: &[u32], extra_bits: impl Fn(usize) -> u32) -> usize {
    let symbols = lengths.iter().zip(counts).enumerate();
    symbols.map(|(symbol, (&length, &count))| count as usize * (u32::from(length) + extra_bits(symbol)) as usize).sum()
}

/// The codeword of a literal, or that of a length with the bits behind it:
///
/// | bits | |
/// |---|---|
/// | 0 to 7 | how many bits they are |
/// | 8 to 31 | these, the first one lowest |
#[derive(Debug, Clone, Copy, Default)]
struct Near(u32);

impl Near {
    fn new(bits: u32, count: u32) -> Self {
        Self(bits << 8 | count)
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        (self.0 >> 8).into()
    }

    #[inline(always)]
    fn count(self) -> u32 {
        self.0 & 0xff
    }
}

/// The codeword of a distance:
///
/// | bits | |
/// |---|---|
/// | 0 to 7 | its length, and how many bits stand behind it |
/// | 8 to 15 | its length |
/// | 16 to 31 | the codeword, its first bit lowest |
#[derive(Debug, Clone, Copy, Default)]
struct Far(u32);

impl Far {
    fn new(codeword: u16, length: u8, extra_bits: u32) -> Self {
        Self(u32::from(codeword) << 16 | u32::from(length) << 8 | (u32::from(length) + extra_bits))
    }

    /// Returns the codeword with the bits behind it.
    #[inline(always)]
    fn with(self, extra: u32) -> u64 {
        u64::from(self.0 >> 16) | u64::from(extra) << (self.0 >> 8 & 0x3f)
    }

    #[inline(always)]
    fn count(self) -> u32 {
        self.0 & 0xff
    }
}

/// Returns what stands for literals and lengths, as tokens tell them, and for the end of the block.
fn near_words(lengths: &[u8; LITERALS]) -> ([Near; NEAR], Near) {
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
        for (extra, place) in (0..).zip(&mut matches[token::lengths(symbol)]) {
            *place = word(symbol, extra, token::near_extra_bits(symbol));
        }
    }
    (words, word(END, 0, 0))
}

/// Returns what stands for distances; symbols that do not exist have nothing.
fn far_words(lengths: &[u8; DISTANCES]) -> [Far; 32] {
    let mut codewords = [0; DISTANCES];
    code::codewords(lengths, &mut codewords);
    std::array::from_fn(|symbol| match lengths.get(symbol) {
        Some(&length) => Far::new(codewords[symbol], length, token::far_extra_bits(symbol)),
        None => Far::default(),
    })
}

/// What a block of dynamic codes begins with.
struct Header {
    literals: usize,
    distances: usize,
    /// The lengths of all codewords: symbols, with what stands behind them.
    runs: Vec<(u8, u8)>,
    own: [u8; 19],
    own_count: usize,
}

/// Bits behind the symbols of the code of lengths.
fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

impl Header {
    fn of(codes: &Codes) -> Self {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|&length| length > 0).map_or(least, |last| (last + 1).max(least))
        };
        let (literals, distances) = (used(&codes.near, END + 1), used(&codes.far, 1));
        let all = [&codes.near[..literals], &codes.far[..distances]].concat();
        let runs = runs(&all);
        let mut counts = [0; 19];
        for &(symbol, _) in &runs {
            counts[usize::from(symbol)] += 1;
        }
        let mut own = [0; 19];
        code::lengths(&counts, LONGEST_OF_LENGTHS, &mut own);
        let own_count = ORDER.iter().rposition(|&symbol| own[symbol] > 0).map_or(4, |last| (last + 1).max(4));
        Self { literals, distances, runs, own, own_count }
    }

    fn write(&self, block: &mut Bits) {
        // Not the last block; of dynamic codes.
        block.put(0b100, 3);
        block.put((self.literals - 257) as u64, 5);
        block.put((self.distances - 1) as u64, 5);
        block.put((self.own_count - 4) as u64, 4);
        for &symbol in &ORDER[..self.own_count] {
            block.put(u64::from(self.own[symbol]), 3);
        }
        let mut words = [0; 19];
        code::codewords(&self.own, &mut words);
        for &(symbol, extra) in &self.runs {
            let bits = u32::from(self.own[usize::from(symbol)]);
            block.put(u64::from(words[usize::from(symbol)]) | u64::from(extra) << bits, bits + extra_bits(symbol));
        }
    }
}

/// Tells lengths by runs: symbols of the code of lengths, and what stands behind them.
fn runs(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut runs = Vec::new();
    for run in lengths.chunk_by(|one, next| one == next) {
        let (length, mut left) = (run[0], run.len());
        if length == 0 {
            while left >= 11 {
                let count = left.min(138);
                runs.push((18, (count - 11) as u8));
                left -= count;
            }
            if left >= 3 {
                runs.push((17, (left - 3) as u8));
                left = 0;
            }
        } else {
            runs.push((length, 0));
            left -= 1;
            while left >= 3 {
                let count = left.min(6);
                runs.push((16, (count - 3) as u8));
                left -= count;
            }
        }
        runs.extend(std::iter::repeat_n((length, 0), left));
    }
    runs
}

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
    fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.held;
        self.held += count;
        if self.held >= 32 {
            self.bytes.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.held -= 32;
        }
    }

    /// Adds tokens of so many bits: each of them by the same steps, whatever it is, and whole words at any byte.
    fn put_tokens(&mut self, tokens: &[Token], bits: usize, near: &[Near; NEAR], far: &[Far; 32]) {
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
