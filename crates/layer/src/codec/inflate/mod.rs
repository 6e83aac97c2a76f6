//! Decodes raw deflate (RFC 1951) block by block, starting at any block.
//!
//! Existing libraries either decode fast, or report where blocks end and start at any bit. Copying blocks needs both.
//! `reader` reads single bits, `lengths` reads the codes in a block header, `codes` builds tables from them, and
//! `symbols` decodes with these tables. Streams that zlib rejects are rejected.

mod codes;
mod lengths;
mod reader;
mod symbols;

use std::ops::Range;

use codes::Tables;
use reader::BitReader;
use symbols::{End, Symbols};

/// The longest distance of a match, in bytes (RFC 1951, 2).
pub(in super::super) const WINDOW: usize = 32 << 10;
/// Bytes of input that a decoder must see at once, unless fewer are left: more than any block header has.
pub(in super::super) const LOOKAHEAD: usize = 1 << 10;

/// How many bytes the fast loop can output beyond the limit: it decodes two literals and the longest match together,
/// and the first of these bytes was still wanted.
const BEYOND: usize = 2 + 258 - 1;

/// Bytes decoded before the consumer must take some.
const CHUNK: usize = 128 << 10;
/// Where decoding stops. Only the last symbols can write beyond it.
const LIMIT: usize = WINDOW + CHUNK;
/// Room for [`BEYOND`], and for bytes that are written after it for speed.
const SLACK: usize = 512;
const SIZE: usize = LIMIT + SLACK;

/// The buffer of decoded bytes.
type Output = [u8; SIZE];

/// Why a stream cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum InflateError {
    /// It is not valid deflate.
    #[error("corrupt deflate stream")]
    Corrupt,
    /// It is truncated.
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
    /// Too little input is left. The next bytes must be passed together with it.
    Hungry,
    /// The wanted output was produced, or the buffer is full.
    Full,
    /// A block ended.
    Block {
        /// Whether it was the last block of the stream.
        is_last: bool,
    },
}

/// How much output a step should produce. Decoded bytes that were not taken yet count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Want {
    /// As much as fits into the buffer.
    All,
    /// This many bytes. The last symbols may produce more.
    AtLeast(usize),
    /// Only symbols that end within this many bytes.
    AtMost(usize),
}

/// A decoded match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Match {
    /// Its first byte, counted from the first byte that was not taken when it was decoded.
    pub(in super::super) at: u32,
    /// Its length in bytes, 3 to 258.
    pub(in super::super) length: u16,
    /// Its distance, at most [`WINDOW`].
    pub(in super::super) distance: u16,
}

/// A decoder of raw deflate. It keeps decoded bytes until they are taken, and the last [`WINDOW`] bytes longer.
pub(in super::super) struct Inflate {
    output: Box<Output>,
    /// Start of the stream in the buffer. Matches cannot refer to bytes before it.
    begin: usize,
    /// Start of the bytes that were not taken.
    taken: usize,
    /// Position of the next byte.
    end: usize,
    state: State,
    /// Whether the current block is the last of the stream.
    is_last: bool,
    /// The bytes that contain the header of the current compressed block. `header_bits` is its bit range.
    header: Vec<u8>,
    header_bits: Range<usize>,
    tables: Box<Tables>,
    /// The recorded matches, if recording is on.
    matches: Option<Vec<Match>>,
}

/// The state of the decoder, always between two symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum State {
    /// Before a block.
    Header,
    /// Inside a compressed block.
    Packed,
    /// Inside a stored block, with this many bytes left.
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

    /// Moves to the beginning of a stream. Decoded bytes are kept until they are taken.
    pub(in super::super) fn reset(&mut self) {
        self.begin = self.end;
        self.state = State::Header;
    }

    /// Moves to a block inside a stream. `window` holds the bytes decoded before it; only the last [`WINDOW`] bytes
    /// matter.
    pub(in super::super) fn resume(&mut self, window: &[u8]) {
        let window = &window[window.len().saturating_sub(WINDOW)..];
        self.output[..window.len()].copy_from_slice(window);
        (self.begin, self.taken, self.end) = (0, window.len(), window.len());
        self.state = State::Header;
    }

    /// Returns the decoded bytes that were not taken yet.
    pub(in super::super) fn made(&self) -> &[u8] {
        &self.output[self.taken..self.end]
    }

    /// Takes at most `most` decoded bytes.
    pub(in super::super) fn take(&mut self, most: usize) -> &[u8] {
        let start = self.taken;
        self.taken = self.end.min(start.saturating_add(most));
        &self.output[start..self.taken]
    }

    /// Returns the last decoded bytes, at most [`WINDOW`].
    pub(in super::super) fn window(&self) -> &[u8] {
        &self.output[self.begin.max(self.end.saturating_sub(WINDOW))..self.end]
    }

    /// Clears the recorded matches and turns recording on or off.
    pub(in super::super) fn note_matches(&mut self, is_wanted: bool) {
        match &mut self.matches {
            Some(matches) if is_wanted => matches.clear(),
            matches => *matches = is_wanted.then(Vec::new),
        }
    }

    /// Returns the recorded matches.
    pub(in super::super) fn matches(&self) -> &[Match] {
        self.matches.as_deref().unwrap_or_default()
    }

    /// Returns the last decoded bytes that are still buffered, from this stream or from streams before it.
    pub(in super::super) fn last(&self, count: usize) -> &[u8] {
        &self.output[self.end.saturating_sub(count)..self.end]
    }

    /// Returns the codeword lengths of literals in the last decoded compressed block. Unused literals have length 0.
    pub(in super::super) fn literal_lengths(&self) -> &[u8; 256] {
        &self.tables.literal_lengths
    }

    /// Returns the state of the decoder after all decoded bytes were taken.
    pub(in super::super) fn state(&self) -> State {
        self.state
    }

    /// Returns the header of the current compressed block (RFC 1951, 3.2.3): bytes, and its bit range in them.
    pub(in super::super) fn header(&self) -> (&[u8], Range<usize>) {
        (&self.header, self.header_bits.clone())
    }

    /// Returns the codeword that ends the current compressed block, and its length in bits.
    pub(in super::super) fn end_of_block(&self) -> (u64, u32) {
        self.tables.end_of_block()
    }

    /// Decodes from bit `at` of `input` and advances `at`. Stops when a block ends, the wanted output is produced, the
    /// buffer is full, or fewer than [`LOOKAHEAD`] bytes of input are left and `is_all` is false.
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

    /// Returns where the output should end, and whether no symbol may pass this limit.
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

    /// Moves the window to the front of the buffer if all bytes were taken.
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

    /// Returns the decoded stream and where its blocks end, in bits of input and bytes of output. The input is extended
    /// by `step` bytes at a time.
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

    /// Bytes between flushes. Miri is slow, so it uses smaller inputs.
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
                    // The next symbol produces more.
                    stop = inflate.step(&stream, &mut at, true, Want::AtLeast(most)).unwrap();
                }
                made += inflate.take(usize::MAX).len();
                // Clear the final-block bit.
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
        // Symbols with very different frequencies have codewords of up to 15 bits. Short patterns are matches with
        // short distances.
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

    /// Returns the error that decoding a stream gives.
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
