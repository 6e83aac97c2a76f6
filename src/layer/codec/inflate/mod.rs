//! Raw deflate (RFC 1951), decoded block by block, from any block on.
//!
//! The libraries either decode fast, or tell where blocks end and start at any bit; this does both, which is what copying blocks
//! needs. `reader` takes single bits, `lengths` reads the codes at a block's start, `codes` makes tables of them, and `symbols` decodes
//! by these. Streams that zlib refuses are refused.

mod codes;
mod lengths;
mod reader;
mod symbols;

use std::ops::Range;

use codes::Tables;
use reader::BitReader;
use symbols::{End, Symbols};

/// How far back a match can reach, in bytes (RFC 1951, 2).
pub(in super::super) const WINDOW: usize = 32 << 10;
/// Bytes that a decoder must see at once, unless fewer are left: more than any block's header takes.
pub(in super::super) const LOOKAHEAD: usize = 1 << 10;

/// How many bytes more than are wanted the fast loop can make: two literals and the longest match, which it decodes together, less the
/// byte that was still wanted.
const BEYOND: usize = 2 + 258 - 1;

/// Bytes that are decoded before those that were taken make room for more.
const CHUNK: usize = 128 << 10;
/// Where decoding stops: only the last symbols reach beyond.
const LIMIT: usize = WINDOW + CHUNK;
/// [`BEYOND`], and bytes that are written behind them for speed.
const SLACK: usize = 512;
const SIZE: usize = LIMIT + SLACK;

/// Decoded bytes, in one piece.
type Output = [u8; SIZE];

/// The stream cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum InflateError {
    /// It is no deflate.
    #[error("corrupt deflate stream")]
    Corrupt,
    /// It ends too early.
    #[error("the gzip stream is cut")]
    Cut,
}

impl From<InflateError> for std::io::Error {
    fn from(error: InflateError) -> Self {
        let kind = match error {
            InflateError::Corrupt => std::io::ErrorKind::InvalidData,
            InflateError::Cut => std::io::ErrorKind::UnexpectedEof,
        };
        Self::new(kind, error)
    }
}

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Stop {
    /// So few bytes of input are left that the next ones must be seen with them.
    Hungry,
    /// As much was made as was wanted, or as there is room for.
    Full,
    /// A block ended.
    Block {
        /// Whether it was the stream's last.
        is_last: bool,
    },
}

/// How much is to be made before a step ends; what was made before and not taken counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Want {
    /// All there is room for.
    All,
    /// So many bytes; the last symbols may make some more.
    AtLeast(usize),
    /// No symbol that makes more than so many bytes.
    AtMost(usize),
}

/// A match that was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Match {
    /// Its first byte, counted from the first that was not taken when it was decoded.
    pub(in super::super) at: u32,
    /// How many bytes, 3 to 258.
    pub(in super::super) length: u16,
    /// How far back, at most [`WINDOW`].
    pub(in super::super) distance: u16,
}

/// A decoder of raw deflate. What it made is kept until it is taken, and the last [`WINDOW`] bytes of that for longer.
pub(in super::super) struct Inflate {
    output: Box<Output>,
    /// Where the stream begins: nothing before it can be referred to.
    begin: usize,
    /// Where the bytes begin that were not taken.
    taken: usize,
    /// Where the next byte goes.
    end: usize,
    state: State,
    /// Whether the block is the stream's last.
    is_last: bool,
    /// Of a compressed block, the bytes that its header is in, and which bits of them it is.
    header: Vec<u8>,
    header_bits: Range<usize>,
    tables: Box<Tables>,
    /// Matches, if they are noted.
    matches: Option<Vec<Match>>,
}

/// Where decoding stands: always between two symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum State {
    /// Before a block.
    Header,
    /// In a compressed block.
    Packed,
    /// In a stored block, before so many of its bytes.
    Stored(usize),
}

impl Inflate {
    /// Starts at the beginning of a stream.
    pub(in super::super) fn new() -> Self {
        Self {
            output: Box::new([0; SIZE]),
            begin: 0,
            taken: 0,
            end: 0,
            state: State::Header,
            is_last: false,
            header: Vec::new(),
            header_bits: 0..0,
            tables: Box::new(Tables::new()),
            matches: None,
        }
    }

    /// Goes to the beginning of a stream; what was made is kept until it is taken.
    pub(in super::super) fn reset(&mut self) {
        self.begin = self.end;
        self.state = State::Header;
    }

    /// Goes to a block inside a stream: `window` is what was decoded before it, of which the last [`WINDOW`] bytes count.
    pub(in super::super) fn resume(&mut self, window: &[u8]) {
        let window = &window[window.len().saturating_sub(WINDOW)..];
        self.output[..window.len()].copy_from_slice(window);
        (self.begin, self.taken, self.end) = (0, window.len(), window.len());
        self.state = State::Header;
    }

    /// Returns what was made and not taken yet.
    pub(in super::super) fn made(&self) -> &[u8] {
        &self.output[self.taken..self.end]
    }

    /// Takes at most so many of the bytes that were made.
    pub(in super::super) fn take(&mut self, most: usize) -> &[u8] {
        let start = self.taken;
        self.taken = self.end.min(start.saturating_add(most));
        &self.output[start..self.taken]
    }

    /// Returns the last bytes that were decoded, at most [`WINDOW`].
    pub(in super::super) fn window(&self) -> &[u8] {
        &self.output[self.begin.max(self.end.saturating_sub(WINDOW))..self.end]
    }

    /// Forgets noted matches; from now on they are noted, or not.
    pub(in super::super) fn note_matches(&mut self, is_wanted: bool) {
        match &mut self.matches {
            Some(matches) if is_wanted => matches.clear(),
            matches => *matches = is_wanted.then(Vec::new),
        }
    }

    /// Returns the matches that were noted.
    pub(in super::super) fn matches(&self) -> &[Match] {
        self.matches.as_deref().unwrap_or_default()
    }

    /// Returns the last bytes that were decoded, of the stream or of those before it, as long as they are held.
    pub(in super::super) fn last(&self, count: usize) -> &[u8] {
        &self.output[self.end.saturating_sub(count)..self.end]
    }

    /// Returns how many bits the literals take of the compressed block that was decoded last; zero for those it has not.
    pub(in super::super) fn literal_lengths(&self) -> &[u8; 256] {
        &self.tables.literal_lengths
    }

    /// Returns where decoding stands, once all that was made is taken.
    pub(in super::super) fn state(&self) -> State {
        self.state
    }

    /// Returns the header of the compressed block that decoding stands in (RFC 1951, 3.2.3): bytes, and which bits of them it is.
    pub(in super::super) fn header(&self) -> (&[u8], Range<usize>) {
        (&self.header, self.header_bits.clone())
    }

    /// Returns the codeword that ends the compressed block that decoding stands in, and how many bits it has.
    pub(in super::super) fn end_of_block(&self) -> (u64, u32) {
        self.tables.end_of_block()
    }

    /// Decodes from bit `at` of `input` on, which it moves: until a block ends, or as much is made as is wanted,
    /// or there is no room left, or fewer than [`LOOKAHEAD`] bytes are left, unless that `is_all` there is.
    pub(in super::super) fn step(
        &mut self,
        input: &[u8],
        at: &mut usize,
        is_all: bool,
        want: Want,
    ) -> Result<Stop, InflateError> {
        self.make_room();
        let (limit, is_exact) = self.limit(want);
        if self.end >= limit {
            return Ok(Stop::Full);
        }
        if matches!(self.state, State::Header) {
            if !is_all && input.len() - *at / 8 < LOOKAHEAD {
                return Ok(Stop::Hungry);
            }
            self.state = self.begin_block(input, at)?;
        }
        let end = match self.state {
            State::Stored(left) => self.stored(left, input, at, limit),
            _ => self.packed(input, at, is_all, limit, is_exact)?,
        };
        match end {
            End::Block => {
                self.state = State::Header;
                Ok(Stop::Block { is_last: self.is_last })
            }
            End::Output => Ok(Stop::Full),
            End::Input if is_all => Err(InflateError::Cut),
            End::Input => Ok(Stop::Hungry),
        }
    }

    /// Returns where the output is to end, and whether no symbol may pass that.
    fn limit(&self, want: Want) -> (usize, bool) {
        match want {
            Want::All => (LIMIT, false),
            Want::AtLeast(count) => (LIMIT.min(self.taken.saturating_add(count)), false),
            Want::AtMost(count) => {
                let last = self.taken.saturating_add(count);
                let is_near = last <= self.end + BEYOND;
                if is_near && self.end < LIMIT { (last, true) } else { (LIMIT.min(last.saturating_sub(BEYOND)), false) }
            }
        }
    }

    /// If all was taken, moves what can still be referred to, to the front.
    fn make_room(&mut self) {
        if self.end >= LIMIT && self.taken == self.end {
            let start = self.end - WINDOW;
            self.output.copy_within(start..self.end, 0);
            self.begin = self.begin.saturating_sub(start);
            (self.taken, self.end) = (WINDOW, WINDOW);
        }
    }

    /// Reads a block's header (RFC 1951, 3.2.3).
    fn begin_block(&mut self, input: &[u8], at: &mut usize) -> Result<State, InflateError> {
        let mut bits = BitReader::new(input, *at);
        self.is_last = bits.take(1)? == 1;
        let state = match bits.take(2)? {
            0 => {
                bits.align();
                let (length, check) = (bits.take(16)?, bits.take(16)?);
                if length ^ check != 0xffff {
                    return Err(InflateError::Corrupt);
                }
                State::Stored(length)
            }
            1 => {
                self.tables.fix()?;
                State::Packed
            }
            2 => {
                lengths::read(&mut bits, &mut self.tables)?;
                State::Packed
            }
            _ => return Err(InflateError::Corrupt),
        };
        if state == State::Packed {
            let bytes = *at / 8..bits.at().div_ceil(8);
            self.header_bits = *at - bytes.start * 8..bits.at() - bytes.start * 8;
            self.header.clear();
            self.header.extend_from_slice(&input[bytes]);
        }
        *at = bits.at();
        Ok(state)
    }

    fn stored(&mut self, left: usize, input: &[u8], at: &mut usize, limit: usize) -> End {
        let start = *at / 8;
        let count = left.min(input.len() - start).min(limit - self.end);
        self.output[self.end..self.end + count].copy_from_slice(&input[start..start + count]);
        self.end += count;
        *at += count * 8;
        self.state = State::Stored(left - count);
        if left == count {
            End::Block
        } else if self.end == limit {
            End::Output
        } else {
            End::Input
        }
    }

    fn packed(
        &mut self,
        input: &[u8],
        at: &mut usize,
        is_all: bool,
        limit: usize,
        is_exact: bool,
    ) -> Result<End, InflateError> {
        let tables = &self.tables;
        let notes = self.matches.as_mut().map(|matches| (matches, self.taken));
        let mut symbols = Symbols { tables, input, begin: self.begin, limit, is_exact, at: *at, end: self.end, notes };
        let end = symbols.decode(&mut self.output, is_all);
        (*at, self.end) = (symbols.at, symbols.end);
        end
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::bits::BitWriter;
    use super::*;

    /// What one stream decodes to, and where its blocks end: bits of input, bytes of output. So many bytes of input are
    /// shown at a time beyond those that must be.
    fn blocks(stream: &[u8], step: usize) -> (Vec<u8>, Vec<(usize, usize)>) {
        let (mut inflate, mut output, mut ends, mut at, mut shown) = (Inflate::new(), Vec::new(), Vec::new(), 0, 0);
        loop {
            let stop = inflate.step(&stream[..shown], &mut at, shown == stream.len(), Want::AtLeast(step)).unwrap();
            output.extend_from_slice(inflate.take(usize::MAX));
            match stop {
                Stop::Hungry => shown = stream.len().min(at / 8 + LOOKAHEAD + step),
                Stop::Full => {}
                Stop::Block { is_last } => {
                    ends.push((at, output.len()));
                    if is_last {
                        return (output, ends);
                    }
                }
            }
        }
    }

    /// Bytes after which the stream is flushed. Miri is slow: there, all is smaller.
    const PART: usize = if cfg!(miri) { 500 } else { 5000 };

    fn stream(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        for part in content.chunks(PART) {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    fn content() -> Vec<u8> {
        let count = if cfg!(miri) { 2000 } else { 20_000_u32 };
        (0..count).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 27).to_string().into_bytes()).collect()
    }

    #[test]
    fn blocks_end_where_they_end_however_the_input_is_cut() {
        let (content, stream) = (content(), stream(&content()));
        let whole = blocks(&stream, stream.len());
        assert_eq!(whole.0, content);
        assert!(whole.1.len() > 5);
        for step in if cfg!(miri) { [50, 101] } else { [1, 7] } {
            assert_eq!(blocks(&stream, step), whole, "{step} bytes at a time");
        }
    }

    #[test]
    fn decoding_resumes_at_any_block() {
        let (content, stream) = (content(), stream(&content()));
        let (_, ends) = blocks(&stream, stream.len());
        for &(bit, at) in &ends[..ends.len() - 1] {
            let mut inflate = Inflate::new();
            inflate.resume(&content[..at]);
            let (mut rest, mut bit) = (Vec::new(), bit);
            loop {
                let stop = inflate.step(&stream, &mut bit, true, Want::All).unwrap();
                rest.extend_from_slice(inflate.take(usize::MAX));
                if stop == (Stop::Block { is_last: true }) {
                    break;
                }
            }
            assert!(rest == content[at..], "from byte {at}");
            assert!(content.ends_with(inflate.window()) && inflate.window().len() == WINDOW.min(content.len()));
        }
    }

    #[test]
    fn a_block_can_end_after_any_symbol_and_go_on_in_another_block_of_the_same_codes() {
        let content = content();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(&content).unwrap();
        let stream = encoder.finish().unwrap();
        for most in [1, 300] {
            let (mut inflate, mut at, mut output, mut made) = (Inflate::new(), 0, BitWriter::new(Vec::new()), 0);
            let mut stop = Stop::Full;
            while stop != (Stop::Block { is_last: true }) {
                let (start, before) = (at, inflate.state());
                stop = inflate.step(&stream, &mut at, true, Want::AtMost(most)).unwrap();
                assert!(inflate.made().len() <= most);
                if at == start {
                    // The next symbol makes more.
                    stop = inflate.step(&stream, &mut at, true, Want::AtLeast(most)).unwrap();
                }
                made += inflate.take(usize::MAX).len();
                // No block is the last one.
                let skipped = usize::from(before == State::Header);
                output.put(0, skipped as u32);
                output.put_range(&stream, start + skipped, at).unwrap();
                if inflate.state() == State::Packed {
                    let (bits, count) = inflate.end_of_block();
                    output.put(bits, count);
                    let (header, bits) = inflate.header();
                    output.put(0, 1);
                    output.put_range(header, bits.start + 1, bits.end).unwrap();
                }
            }
            assert_eq!(made, content.len());
            output.put(0b011, 10);
            assert!(blocks(&output.finish().unwrap(), 100).0 == content, "{most} bytes at a time");
        }
    }

    #[test]
    fn long_codewords_short_distances_and_unused_symbols_decode_as_in_zlib() {
        // Symbols of many frequencies have codewords of up to 15 bits; patterns of few bytes are matches of small distances.
        let skewed = (0..if cfg!(miri) { 9 } else { 17_u32 }).flat_map(|at| vec![at as u8; 1 << at]);
        let patterns = (1..20).flat_map(|size| (0..size).cycle().take(300).map(|byte| byte * 7));
        for content in [skewed.collect::<Vec<_>>(), patterns.collect(), vec![7; 1000], vec![1], Vec::new()] {
            for strategy in [flate2::Compression::new(9), flate2::Compression::new(1)] {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), strategy);
                encoder.write_all(&content).unwrap();
                let stream = encoder.finish().unwrap();
                assert!(blocks(&stream, 100).0 == content);
            }
        }
    }

    #[test]
    fn what_is_no_deflate_or_ends_early_is_told() {
        assert_eq!(error(&[0xff; 100]), Some(InflateError::Corrupt));
        let stream = stream(&content());
        for end in 0..stream.len().min(if cfg!(miri) { 60 } else { 600 }) {
            assert_eq!(error(&stream[..end]), Some(InflateError::Cut), "cut after {end} bytes");
        }
    }

    /// What is wrong with a stream.
    fn error(stream: &[u8]) -> Option<InflateError> {
        let (mut inflate, mut at) = (Inflate::new(), 0);
        loop {
            match inflate.step(stream, &mut at, true, Want::All) {
                Ok(Stop::Block { is_last: true }) => return None,
                Ok(_) => inflate.take(usize::MAX),
                Err(error) => return Some(error),
            };
        }
    }
}
