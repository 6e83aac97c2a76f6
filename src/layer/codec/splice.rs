//! Writes one gzip member out of new bytes and of deflate blocks of old members, which are copied bit for bit.
//!
//! A block can be copied if all that it can refer to, the 32 KiB before it, stands before it in the new stream as well. What
//! lies between copied blocks is compressed afresh.

use std::io::{self, Write};
use std::ops::Range;

use super::bits::BitWriter;
use super::blocks::{BlockMap, Kind};
use super::inflate::WINDOW;
use super::packer::Packer;
use super::resume::Resumed;
use super::workers::Workers;
use crate::blob::ReadAt;

/// A member without name and time (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Bytes that are compressed afresh rather than to make a seam.
const WORTHWHILE: u64 = 4 << 10;

/// An old blob that blocks are copied from, and where they lie.
pub struct Old<'a> {
    map: &'a BlockMap,
    decoder: Resumed<'a>,
}

impl<'a> Old<'a> {
    /// Opens a blob whose blocks were mapped.
    pub fn new(blob: &'a dyn ReadAt, map: &'a BlockMap) -> Self {
        Self { map, decoder: Resumed::new(blob, map) }
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
}

impl<W: Write> Splicer<W> {
    /// Starts a member. Where bytes are compressed afresh, it is at `level`, 0 to 12 (libdeflate's), by `workers` if there are any: the
    /// output is the same.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(level: u32, workers: Option<Workers>, output: W) -> io::Result<Self> {
        let mut output = BitWriter::new(output);
        output.put_bytes(&HEADER)?;
        Ok(Self {
            output,
            packer: Packer::new(level, workers),
            tail: Vec::new(),
            crc: crc32fast::Hasher::new(),
            size: 0,
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

    /// Adds a range of an old blob's decompressed bytes, in blocks that are copied as far as that can be; `see` is shown
    /// every byte.
    ///
    /// # Errors
    /// Those of the output; and if the blob cannot be read, or is no longer what it was.
    pub fn keep(
        &mut self,
        old: &mut Old<'_>,
        range: Range<u64>,
        see: &mut impl FnMut(&[u8]),
    ) -> Result<(), SpliceError> {
        if range.is_empty() {
            return Ok(());
        }
        let (map, units) = (old.map, old.map.copyable(&range));
        let copied = map.units.get(units.start).map_or(range.end, |unit| unit.out)
            ..map.units.get(units.end).map_or(range.start, |unit| unit.out);
        old.decoder.seek(range.start).map_err(SpliceError::Read)?;
        if units.is_empty() || copied.end - copied.start < WORTHWHILE {
            return self.keep_afresh(old, range.end - range.start, see);
        }
        self.keep_afresh(old, copied.start - range.start, see)?;
        self.packer.end(&mut self.output).map_err(SpliceError::Write)?;
        for number in units {
            // Decoded first: then the pages that the block's bits are in, are held.
            let (unit, next) = (map.units[number], map.units[number + 1]);
            self.pass(old, next.out - unit.out, see, |_, _| Ok(()))?;
            self.copy(old, unit.bit..next.bit, unit.kind)?;
        }
        self.keep_afresh(old, range.end - copied.end, see)
    }

    fn keep_afresh(&mut self, old: &mut Old<'_>, count: u64, see: &mut impl FnMut(&[u8])) -> Result<(), SpliceError> {
        self.pass(old, count, see, |splicer, bytes| splicer.compress(bytes))
    }

    /// Decodes the next bytes of an old blob, and counts them as written.
    fn pass(
        &mut self,
        old: &mut Old<'_>,
        mut count: u64,
        see: &mut impl FnMut(&[u8]),
        mut write: impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> Result<(), SpliceError> {
        while count > 0 {
            let most = usize::try_from(count).unwrap_or(usize::MAX);
            let bytes = old.decoder.next(most).map_err(SpliceError::Read)?;
            write(self, bytes).map_err(SpliceError::Write)?;
            self.count(bytes);
            see(bytes);
            count -= bytes.len() as u64;
        }
        Ok(())
    }

    /// Copies the bits of a unit of blocks.
    fn copy(&mut self, old: &mut Old<'_>, bits: Range<u64>, kind: Kind) -> Result<(), SpliceError> {
        if kind == Kind::End {
            return Ok(());
        }
        let mut at = kind.begin(bits.start, &mut self.output);
        while at < bits.end {
            let page = old.decoder.pages().from(at / 8).map_err(SpliceError::Read)?;
            let within = at % 8;
            let end = (page.len() as u64 * 8).min(bits.end - at + within);
            self.output.put_range(page, within as usize, end as usize).map_err(SpliceError::Write)?;
            at += end - within;
        }
        Ok(())
    }

    /// Compresses bytes that are not counted yet.
    fn compress(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.packer.add(bytes, &self.tail, &mut self.output)
    }

    /// Counts bytes as written.
    fn count(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
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
