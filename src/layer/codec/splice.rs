//! Writes one gzip member out of new bytes and of deflate symbols of old members, which are copied bit for bit, or refitted.
//!
//! Symbols can be used again if all that they can refer to, the 32 KiB before them, stands before them in the new stream as well. If the first
//! or last of those that are copied stand inside a block, the new stream gets a block with the same codes and those of its symbols that can be
//! copied. What lies between such symbols is compressed afresh.

use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;

use super::bits::BitWriter;
use super::inflate::{Inflate, State, WINDOW};
use super::packer::Packer;
use super::refit::{Batch, Refit, Text};
use super::resume::{Place, Resumed, Symbols};
use super::seek_map::SeekMap;
use super::workers::Workers;
use crate::blob::ReadAt;

/// A member without name and time (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Bytes that are compressed afresh rather than to make a seam.
const WORTHWHILE: u64 = 4 << 10;

/// How an old blob's symbols are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Reuse {
    /// They are copied as they are. It is the fastest; the new blob is then as well compressed as the old one was.
    Copy,
    /// Its matches are kept, its literals searched for more, and all written in new blocks of better codes. The new blob is some percents smaller, and it takes
    /// twice as long.
    Refit,
}

/// An old blob that symbols are copied from.
pub struct Old<'a> {
    decoder: Resumed<'a>,
}

impl<'a> Old<'a> {
    /// Opens a blob that was mapped.
    pub fn new(blob: &'a dyn ReadAt, map: &'a SeekMap) -> Self {
        Self { decoder: Resumed::new(blob, map) }
    }

    /// Decodes a range of the decompressed bytes.
    ///
    /// # Errors
    /// If the blob cannot be read, or is no longer what it was.
    pub fn bytes(&mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let count = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(count);
        self.decoder.seek(range.start)?;
        while bytes.len() < count {
            bytes.extend_from_slice(self.decoder.next(count - bytes.len())?);
        }
        Ok(bytes)
    }

    /// Decodes a range of the decompressed bytes, chunk by chunk.
    ///
    /// # Errors
    /// If the blob cannot be read, or is no longer what it was; and those of `write`.
    pub fn pass(
        &mut self,
        range: Range<u64>,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), SpliceError> {
        if range.is_empty() {
            return Ok(());
        }
        self.decoder.seek(range.start).map_err(SpliceError::Read)?;
        let mut left = range.end - range.start;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let bytes = self.decoder.next(most).map_err(SpliceError::Read)?;
            write(bytes).map_err(SpliceError::Write)?;
            left -= bytes.len() as u64;
        }
        Ok(())
    }
}

/// Writes one gzip member.
pub struct Splicer<W: Write> {
    output: BitWriter<W>,
    packer: Packer,
    /// The last bytes that were written, decompressed; at least [`WINDOW`] of them, if there are.
    tail: Vec<u8>,
    crc: crc32fast::Hasher,
    size: u32,
    /// Made when it is needed.
    refit: Option<Refit>,
}

impl<W: Write> Splicer<W> {
    /// Starts a member. Where bytes are compressed afresh, it is at `level`, 0 to 12 (libdeflate's), or if it is `None` at the usual one, and
    /// lower where little is between symbols that are copied; by `workers` if there are any: the output is the same.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(level: Option<u32>, workers: Option<Workers>, output: W) -> io::Result<Self> {
        let mut output = BitWriter::new(output);
        output.put_bytes(&HEADER)?;
        Ok(Self {
            output,
            packer: Packer::new(level, workers),
            tail: Vec::new(),
            crc: crc32fast::Hasher::new(),
            size: 0,
            refit: None,
        })
    }

    /// Adds bytes, compressed afresh.
    ///
    /// # Errors
    /// Those of the output.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.compress(bytes)?;
        self.count(bytes);
        Ok(())
    }

    /// Adds a range of an old blob's decompressed bytes, whose symbols are used again as far as that can be; `see` is shown every byte.
    ///
    /// # Errors
    /// Those of the output; and if the blob cannot be read, or is no longer what it was.
    pub fn keep(
        &mut self,
        old: &mut Old<'_>,
        range: Range<u64>,
        reuse: Reuse,
        see: &mut impl FnMut(&[u8]),
    ) -> Result<(), SpliceError> {
        if range.is_empty() {
            return Ok(());
        }
        let old = &mut old.decoder;
        old.seek(range.start).map_err(SpliceError::Read)?;
        let lead_in = range.end.min(range.start.saturating_add(WINDOW as u64));
        while old.out() < lead_in && old.reach() < range.start {
            self.step_afresh(old, lead_in, see)?;
        }
        if range.end.saturating_sub(old.decoded()) >= WORTHWHILE {
            self.keep_afresh(old, old.decoded(), see)?;
            self.packer.end_seam(&mut self.output).map_err(SpliceError::Write)?;
            match reuse {
                Reuse::Copy => self.copy(old, range.end, see)?,
                Reuse::Refit => self.refit(old, range.end, see)?,
            }
        }
        self.keep_afresh(old, range.end, see)
    }

    /// Compresses an old blob's bytes afresh, up to `end`.
    fn keep_afresh(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        while old.out() < end {
            self.step_afresh(old, end, see)?;
        }
        Ok(())
    }

    /// Compresses some of an old blob's bytes afresh, at most up to `end`.
    fn step_afresh(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        let most = usize::try_from(end - old.out()).unwrap_or(usize::MAX);
        let bytes = old.step(most).map_err(SpliceError::Read)?;
        self.compress(bytes).map_err(SpliceError::Write)?;
        self.count(bytes);
        see(bytes);
        Ok(())
    }

    /// Copies those of an old blob's symbols that end at `end` at the latest.
    fn copy(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        let start = old.out();
        self.open_block(old.inflate()).map_err(SpliceError::Write)?;
        // Bytes of a stored block whose length is written.
        let mut announced = 0;
        while old.out() < end {
            let most = usize::try_from(end - old.out()).unwrap_or(usize::MAX);
            let Symbols { bytes, bits, place } = old.symbols(most).map_err(SpliceError::Read)?;
            if bits.is_empty() {
                break;
            }
            self.sum(bytes);
            see(bytes);
            match place {
                Place::Start(kind) => {
                    let start = kind.begin(bits.start, &mut self.output);
                    self.copy_bits(old, start..bits.end)?;
                }
                Place::Inside => self.copy_bits(old, bits)?,
                Place::Stored(left) => {
                    if announced == 0 {
                        announced = most.min(bytes.len() + left);
                        self.begin_stored(announced).map_err(SpliceError::Write)?;
                    }
                    announced -= bytes.len();
                    self.output.put_bytes(bytes).map_err(SpliceError::Write)?;
                }
            }
        }
        self.close_block(old.inflate());
        self.end_with(last(old, start));
        Ok(())
    }

    /// Makes better symbols of those of an old blob that end at `end` at the latest.
    fn refit(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        old.note_matches(true);
        let start = old.out();
        while old.out() < end {
            let most = usize::try_from(end - old.out()).unwrap_or(usize::MAX);
            let before = last(old, start).len();
            let Symbols { bytes, bits, place } = old.symbols(most).map_err(SpliceError::Read)?;
            if bits.is_empty() {
                break;
            }
            self.sum(bytes);
            see(bytes);
            let (count, inflate) = (bytes.len(), old.inflate());
            let is_stored = matches!(place, Place::Stored(_));
            let costs = if is_stored { &[u8::BITS as u8; 256] } else { inflate.literal_lengths() };
            let bytes = inflate.last(before + count);
            let text = Text { bytes, start: bytes.len() - count, matches: inflate.matches(), costs };
            for batch in self.refit.get_or_insert_with(Refit::new).add(text) {
                self.place(batch).map_err(SpliceError::Write)?;
            }
        }
        old.note_matches(false);
        self.end_with(last(old, start));
        let batch = self.refit.as_mut().and_then(Refit::end);
        self.place(batch).map_err(SpliceError::Write)
    }

    /// Places blocks for symbols, if there are any.
    fn place(&mut self, batch: Option<Batch>) -> io::Result<()> {
        batch.map_or(Ok(()), |batch| self.packer.place(move || batch.blocks(), &mut self.output))
    }

    /// If an old blob's symbols come from inside a compressed block, begins one of the same codes.
    fn open_block(&mut self, inflate: &Inflate) -> io::Result<()> {
        if inflate.state() != State::Packed {
            return Ok(());
        }
        let (header, bits) = inflate.header();
        // Not the last block, whatever it was.
        self.output.put(0, 1);
        self.output.put_range(header, bits.start + 1, bits.end)
    }

    /// If an old blob's symbols stopped inside a compressed block, ends it.
    fn close_block(&mut self, inflate: &Inflate) {
        if inflate.state() == State::Packed {
            let (bits, count) = inflate.end_of_block();
            self.output.put(bits, count);
        }
    }

    /// Copies bits of the old blob.
    fn copy_bits(&mut self, old: &mut Resumed<'_>, bits: Range<u64>) -> Result<(), SpliceError> {
        let mut at = bits.start;
        while at < bits.end {
            let page = old.pages().from(at / 8).map_err(SpliceError::Read)?;
            let within = at % 8;
            let end = (page.len() as u64 * 8).min(bits.end - at + within);
            self.output.put_range(page, within as usize, end as usize).map_err(SpliceError::Write)?;
            at += end - within;
        }
        Ok(())
    }

    /// Begins a stored block of so many bytes (RFC 1951, 3.2.4).
    fn begin_stored(&mut self, count: usize) -> io::Result<()> {
        let count = u16::try_from(count).map_err(io::Error::other)?;
        self.output.put(0, 3);
        self.output.align();
        self.output.put_bytes(&count.to_le_bytes())?;
        self.output.put_bytes(&(!count).to_le_bytes())
    }

    /// Compresses bytes that are not counted yet.
    fn compress(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.packer.add(bytes, &self.tail, &mut self.output)
    }

    /// Counts bytes as written.
    fn count(&mut self, bytes: &[u8]) {
        self.sum(bytes);
        self.end_with(bytes);
    }

    /// Counts bytes into the member's sums.
    fn sum(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
    }

    /// Remembers bytes that were written.
    fn end_with(&mut self, bytes: &[u8]) {
        if bytes.len() >= WINDOW {
            self.tail.clear();
        } else if self.tail.len() + bytes.len() > 4 * WINDOW {
            self.tail.drain(..self.tail.len() - WINDOW);
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW)..]);
    }

    /// Ends the member and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.packer.end(&mut self.output)?;
        // An empty block of fixed codes that says that it is the last (RFC 1951, 3.2.6).
        self.output.put(0b011, 10);
        self.output.align();
        self.output.put_bytes(&self.crc.finalize().to_le_bytes())?;
        self.output.put_bytes(&self.size.to_le_bytes())?;
        self.output.finish()
    }
}

/// Returns the last bytes of a run that began at `start`, which others can refer to. What stands before it may stand nowhere in the new stream.
fn last<'a>(old: &'a Resumed<'_>, start: u64) -> &'a [u8] {
    old.inflate().last(usize::try_from(old.out() - start).unwrap_or(usize::MAX).min(WINDOW))
}

/// Why a part of an old blob could not be added.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// The old blob cannot be read.
    #[error("cannot read the old layer")]
    Read(#[source] io::Error),
    /// The new one cannot be written.
    #[error("cannot write the new layer")]
    Write(#[source] io::Error),
}
