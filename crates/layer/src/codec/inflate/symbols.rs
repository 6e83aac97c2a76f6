//! Decodes the symbols of a compressed block: literals, and matches, which copy bytes decoded before (RFC 1951, 3.2.3).
//!
//! While the input is long enough for any symbol, the fast loop takes bits from a word that it refills without checks.
//! The last symbols of a blob are decoded by a loop that checks each step.
#![expect(unsafe_code, reason = "a function for processors with BMI2 is called after asking whether this is one")]

use super::codes::Tables;
use super::reader::BitReader;
use super::{InflateError, Match, Output};

/// Bytes of input that the fast loop needs: one word to decode, and one to refill from.
const MARGIN: usize = 32;
/// The most bits that a distance takes: codeword and extra bits.
const DISTANCE: u32 = 15 + 13;

/// Why decoding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The block ended.
    Block,
    /// The output limit was reached.
    Output,
    /// The input is too short.
    Input,
}

/// The state of decoding.
pub(super) struct Symbols<'a> {
    pub(super) tables: &'a Tables,
    pub(super) input: &'a [u8],
    /// Start of the output that matches can refer to.
    pub(super) begin: usize,
    /// Decoding ends with the symbol that reaches this position, or with one of the next two.
    pub(super) limit: usize,
    /// Whether decoding ends before a symbol that would pass the limit.
    pub(super) is_exact: bool,
    /// The next bit of input.
    pub(super) at: usize,
    /// The next byte of output.
    pub(super) end: usize,
    /// The recorded matches, and the position that they count from.
    pub(super) notes: Option<(&'a mut Vec<Match>, usize)>,
}

impl Symbols<'_> {
    /// Decodes until the block ends, the limit is reached, or little input is left and `is_all` is false.
    pub(super) fn decode(&mut self, output: &mut Output, is_all: bool) -> Result<End, InflateError> {
        let end = match self {
            Self { is_exact: true, .. } => End::Input,
            Self { notes: None, .. } => self.decode_fast::<false>(output)?,
            _ => self.decode_fast::<true>(output)?,
        };
        if end == End::Input && (is_all || self.is_exact) { self.decode_with_care(output, is_all) } else { Ok(end) }
    }

    fn decode_fast<const NOTES: bool>(&mut self, output: &mut Output) -> Result<End, InflateError> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi2") {
            // SAFETY: the processor has BMI2.
            return unsafe { self.decode_by_bmi2::<NOTES>(output) };
        }
        self.decode_words::<NOTES>(output)
    }

    /// Does the same with instructions that shift and mask in one step.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi2")]
    fn decode_by_bmi2<const NOTES: bool>(&mut self, output: &mut Output) -> Result<End, InflateError> {
        self.decode_words::<NOTES>(output)
    }

    #[inline(always)]
    fn decode_words<const NOTES: bool>(&mut self, output: &mut Output) -> Result<End, InflateError> {
        let &mut Self { tables, input, begin, limit, at, .. } = self;
        let Some(last) = input.len().checked_sub(MARGIN).filter(|last| at / 8 <= *last) else {
            return Ok(End::Input);
        };
        let mut word = BitWord::new(input, at);
        let mut end = self.end;
        let mut code = tables.literals.first(word.bits);
        let why = loop {
            if word.next > last {
                break Ok(End::Input);
            }
            if end >= limit {
                break Ok(End::Output);
            }
            // Three literals with one lookup each, or two literals and a length, always fit into the word.
            let mut before = word.drop(code.bits());
            if code.is_literal() {
                output[end] = code.literal();
                end += 1;
                code = tables.literals.first(word.bits);
                before = word.drop(code.bits());
                if code.is_literal() {
                    output[end] = code.literal();
                    end += 1;
                    code = tables.literals.first(word.bits);
                    before = word.drop(code.bits());
                }
            }
            if code.is_pointer() {
                code = tables.literals.second(code.target(word.bits));
                before = word.drop(code.bits());
            }
            if code.is_literal() {
                output[end] = code.literal();
                end += 1;
                word.fill(input);
                code = tables.literals.first(word.bits);
                continue;
            }
            if code.is_special() {
                break if code.is_end() { Ok(End::Block) } else { Err(InflateError::Corrupt) };
            }
            let length = code.value(before);
            if word.held() < DISTANCE {
                word.fill(input);
            }
            code = tables.distances.first(word.bits);
            if code.is_special() {
                if !code.is_pointer() {
                    break Err(InflateError::Corrupt);
                }
                word.drop(code.bits());
                code = tables.distances.second(code.target(word.bits));
                if code.is_special() {
                    break Err(InflateError::Corrupt);
                }
            }
            let before = word.drop(code.bits());
            let distance = code.value(before);
            if distance > end - begin {
                break Err(InflateError::Corrupt);
            }
            // Look up the next code before the copy, so that both run in parallel.
            word.fill(input);
            code = tables.literals.first(word.bits);
            copy(output, end, distance, length);
            if NOTES {
                self.note(end, length, distance);
            }
            end += length;
        };
        // The last code that was looked up is looked up again.
        (self.at, self.end) = (word.at(), end);
        why
    }

    /// Records a match, if recording is on.
    #[inline(always)]
    fn note(&mut self, end: usize, length: usize, distance: usize) {
        if let Some((notes, from)) = &mut self.notes {
            notes.push(Match { at: (end - *from) as u32, length: length as u16, distance: distance as u16 });
        }
    }

    /// Decodes symbol by symbol, to the last bit of the input if `is_all` is true.
    fn decode_with_care(&mut self, output: &mut Output, is_all: bool) -> Result<End, InflateError> {
        let tables = self.tables;
        while self.end < self.limit {
            if !is_all && self.input.len() - self.at / 8 < MARGIN {
                return Ok(End::Input);
            }
            let mut bits = BitReader::new(self.input, self.at);
            let mut code = tables.literals.first(bits.peek());
            if code.is_pointer() {
                bits.skip(code.dropped())?;
                code = tables.literals.second(code.target(bits.peek()));
            }
            let ahead = bits.peek();
            bits.skip(code.dropped())?;
            if code.is_literal() {
                output[self.end] = code.literal();
                self.end += 1;
            } else if code.is_special() {
                self.at = bits.at();
                return if code.is_end() { Ok(End::Block) } else { Err(InflateError::Corrupt) };
            } else {
                let length = code.value(ahead);
                let mut code = tables.distances.first(bits.peek());
                if code.is_pointer() {
                    bits.skip(code.dropped())?;
                    code = tables.distances.second(code.target(bits.peek()));
                }
                let distance = code.value(bits.peek());
                bits.skip(code.dropped())?;
                if code.is_special() || distance > self.end - self.begin {
                    return Err(InflateError::Corrupt);
                }
                if self.is_exact && self.end + length > self.limit {
                    break;
                }
                copy(output, self.end, distance, length);
                self.note(self.end, length, distance);
                self.end += length;
            }
            self.at = bits.at();
        }
        Ok(End::Output)
    }
}

/// The next bits of the input, refilled eight bytes at a time.
struct BitWord {
    bits: u64,
    /// The lowest eight bits: how many bits the word holds at least, at most 63. The higher bits are arbitrary.
    held: u32,
    /// The byte of input after those bits.
    next: usize,
}

impl BitWord {
    #[inline(always)]
    fn new(input: &[u8], at: usize) -> Self {
        let mut word = Self { bits: 0, held: 0, next: at / 8 };
        word.fill(input);
        word.drop((at % 8) as u32);
        word.fill(input);
        word
    }

    /// Fills the word to at least 56 bits. Extra bits are loaded again later, at the same position.
    #[inline(always)]
    fn fill(&mut self, input: &[u8]) {
        let held = self.held & 63;
        let bytes = input.get(self.next..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        self.bits |= u64::from_le_bytes(bytes) << held;
        self.next += ((63 - held) >> 3) as usize;
        self.held |= 56;
    }

    /// Drops the number of bits in the lowest eight bits of `count`. Returns the previous word.
    #[inline(always)]
    fn drop(&mut self, count: u32) -> u64 {
        let before = self.bits;
        self.bits = before.wrapping_shr(count);
        self.held = self.held.wrapping_sub(count);
        before
    }

    #[inline(always)]
    fn held(&self) -> u32 {
        self.held & 0xff
    }

    /// Returns the position of the first bit.
    #[inline(always)]
    fn at(&self) -> usize {
        self.next * 8 - self.held() as usize
    }
}

/// Copies a match. Up to 48 bytes after it may change.
#[inline(always)]
fn copy(output: &mut Output, end: usize, distance: usize, length: usize) {
    if distance >= 16 && length <= 48 {
        // Most matches are like this. They are copied without checking their length.
        let from = end - distance;
        copy_within::<16>(output, from, end);
        copy_within::<16>(output, from + 16, end + 16);
        copy_within::<16>(output, from + 32, end + 32);
    } else {
        copy_rare(output, end, distance, length);
    }
}

/// Copies any match. Not inlined, so that the caller's loop keeps its registers.
#[inline(never)]
fn copy_rare(output: &mut Output, end: usize, distance: usize, length: usize) {
    let (mut from, mut to) = (end - distance, end);
    if distance >= 16 {
        while to < end + length {
            copy_within::<16>(output, from, to);
            (from, to) = (from + 16, to + 16);
        }
    } else if distance == 1 {
        let byte = output[from];
        output[end..end + length].fill(byte);
    } else {
        // Of each eight bytes, only those within the distance are right. The next step overwrites the others.
        let stride = distance.min(8);
        while to < end + length {
            copy_within::<8>(output, from, to);
            (from, to) = (from + stride, to + stride);
        }
    }
}

#[inline(always)]
fn copy_within<const COUNT: usize>(output: &mut Output, from: usize, to: usize) {
    let bytes: [u8; COUNT] = output[from..from + COUNT].first_chunk().copied().unwrap_or([0; COUNT]);
    output[to..to + COUNT].copy_from_slice(&bytes);
}
