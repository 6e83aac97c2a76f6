//! Writes one gzip member from new bytes and from deflate symbols of old members, which are copied bit for bit or
//! refitted.
//!
//! Symbols can be reused if the bytes that they can refer to, the 32 KiB before them, also precede them in the new
//! stream. If the first or last reused symbol is inside a block, the new stream gets a block with the same codes and
//! the reusable symbols. All bytes between reused symbols are compressed from scratch.

use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;

use super::bits::BitWriter;
use super::inflate::{Inflate, State, WINDOW};
use super::packer::Packer;
use super::refit::{Batch, Refit, Text};
use super::resume::{Resumed, StreamPosition, SymbolRun};
use super::seek_map::SeekMap;
use super::workers::Workers;
use crate::blob::ReadAt;

/// A member header without name and time (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The fewest bytes that are worth a seam. Fewer are compressed from scratch.
const WORTHWHILE: u64 = 4 << 10;

/// How the symbols of an old blob are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Reuse {
    /// Copies them unchanged. This is the fastest. The new blob is compressed as well as the old one.
    Copy,
    /// Keeps matches, searches literals for more, and writes new blocks with better codes. The new blob is some percent
    /// smaller, and it takes twice as long.
    Refit,
}

/// An old blob from which symbols are reused.
pub struct Old<'a> {
    decoder: Resumed<'a>,
}

impl<'a> Old<'a> {
    /// Opens a mapped blob.
    pub fn new(blob: &'a dyn ReadAt, map: &'a SeekMap) -> Self {
        Self { decoder: Resumed::new(blob, map) }
    }

    /// Decodes a range of the decompressed bytes.
    ///
    /// # Errors
    /// If the blob cannot be read or has changed.
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
    /// If the blob cannot be read or has changed, or `write` fails.
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
    /// The last decompressed bytes that were written, at least [`WINDOW`] if there are that many.
    tail: Vec<u8>,
    crc: crc32fast::Hasher,
    size: u32,
    /// Created on first use.
    refit: Option<Refit>,
}

impl<W: Write> Splicer<W> {
    /// Starts a member. `level` is libdeflate's, 0 to 12, for bytes that are compressed from scratch. `None` selects
    /// the usual level, and a lower one for the few bytes between copied symbols. The output is the same with and
    /// without `workers`.
    ///
    /// # Errors
    /// If the output fails.
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

    /// Compresses and adds new bytes.
    ///
    /// # Errors
    /// If the output fails.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.compress(bytes)?;
        self.count(bytes);
        Ok(())
    }

    /// Adds a range of an old blob's decompressed bytes and reuses its symbols where possible. Passes every byte to
    /// `see`.
    ///
    /// # Errors
    /// If the output fails, or the blob cannot be read or has changed.
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

    /// Compresses an old blob's bytes from scratch, up to `end`.
    fn keep_afresh(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        while old.out() < end {
            self.step_afresh(old, end, see)?;
        }
        Ok(())
    }

    /// Compresses some of an old blob's bytes from scratch, at most up to `end`.
    fn step_afresh(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        let most = usize::try_from(end - old.out()).unwrap_or(usize::MAX);
        let bytes = old.step(most).map_err(SpliceError::Read)?;
        self.compress(bytes).map_err(SpliceError::Write)?;
        self.count(bytes);
        see(bytes);
        Ok(())
    }

    /// Copies an old blob's symbols that end at or before `end`.
    fn copy(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        let start = old.out();
        self.open_block(old.inflate()).map_err(SpliceError::Write)?;
        // Bytes left of a stored block whose length was written.
        let mut announced = 0;
        while old.out() < end {
            let most = usize::try_from(end - old.out()).unwrap_or(usize::MAX);
            let SymbolRun { bytes, bits, place } = old.symbols(most).map_err(SpliceError::Read)?;
            if bits.is_empty() {
                break;
            }
            self.sum(bytes);
            see(bytes);
            match place {
                StreamPosition::Start(kind) => {
                    let start = kind.begin(bits.start, &mut self.output);
                    self.copy_bits(old, start..bits.end)?;
                }
                StreamPosition::Inside => self.copy_bits(old, bits)?,
                StreamPosition::Stored(left) => {
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

    /// Refits an old blob's symbols that end at or before `end`.
    fn refit(&mut self, old: &mut Resumed<'_>, end: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        old.note_matches(true);
        let start = old.out();
        while old.out() < end {
            let most = usize::try_from(end - old.out()).unwrap_or(usize::MAX);
            let before = last(old, start).len();
            let SymbolRun { bytes, bits, place } = old.symbols(most).map_err(SpliceError::Read)?;
            if bits.is_empty() {
                break;
            }
            self.sum(bytes);
            see(bytes);
            let (count, inflate) = (bytes.len(), old.inflate());
            let is_stored = matches!(place, StreamPosition::Stored(_));
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

    /// Queues the blocks of a batch, if any.
    fn place(&mut self, batch: Option<Batch>) -> io::Result<()> {
        batch.map_or(Ok(()), |batch| self.packer.place(move || batch.blocks(), &mut self.output))
    }

    /// Opens a block with the same codes if the old blob's symbols start inside a compressed block.
    fn open_block(&mut self, inflate: &Inflate) -> io::Result<()> {
        if inflate.state() != State::Packed {
            return Ok(());
        }
        let (header, bits) = inflate.header();
        // Clear the final-block bit.
        self.output.put(0, 1);
        self.output.put_range(header, bits.start + 1, bits.end)
    }

    /// Ends the block if the old blob's symbols stopped inside a compressed block.
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

    /// Writes the header of a stored block with `count` bytes (RFC 1951, 3.2.4).
    fn begin_stored(&mut self, count: usize) -> io::Result<()> {
        let count = u16::try_from(count).map_err(io::Error::other)?;
        self.output.put(0, 3);
        self.output.align();
        self.output.put_bytes(&count.to_le_bytes())?;
        self.output.put_bytes(&(!count).to_le_bytes())
    }

    /// Compresses bytes without counting them.
    fn compress(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.packer.add(bytes, &self.tail, &mut self.output)
    }

    /// Counts bytes as written.
    fn count(&mut self, bytes: &[u8]) {
        self.sum(bytes);
        self.end_with(bytes);
    }

    /// Adds bytes to the checksum and size of the member.
    fn sum(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
    }

    /// Remembers written bytes.
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
    /// If the output fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.packer.end(&mut self.output)?;
        // An empty block with fixed codes that is marked as the last (RFC 1951, 3.2.6).
        self.output.put(0b011, 10);
        self.output.align();
        self.output.put_bytes(&self.crc.finalize().to_le_bytes())?;
        self.output.put_bytes(&self.size.to_le_bytes())?;
        self.output.finish()
    }
}

/// Returns the last bytes of a run that began at `start`, which later symbols can refer to. The bytes before `start`
/// may be missing in the new stream.
fn last<'a>(old: &'a Resumed<'_>, start: u64) -> &'a [u8] {
    old.inflate().last(usize::try_from(old.out() - start).unwrap_or(usize::MAX).min(WINDOW))
}

/// Why a part of an old blob could not be added.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// The old blob cannot be read.
    #[error("cannot read the old layer")]
    Read(#[source] io::Error),
    /// The new blob cannot be written.
    #[error("cannot write the new layer")]
    Write(#[source] io::Error),
}
