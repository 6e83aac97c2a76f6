//! Reads a blob page by page and gives the decoder enough bytes in one slice.

use std::io;

use super::inflate::{Inflate, InflateError, LOOKAHEAD, Stop, Want};

/// Size of a page, in bytes. A blob is read, hashed and buffered by pages.
pub(super) const PAGE: usize = 64 << 10;

/// The source of a blob's pages.
pub(super) trait BlobPages {
    /// Appends the bytes from an offset to the end of its page, or nothing at the end of the blob. Offsets ascend.
    fn append(&mut self, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()>;
}

/// The part of a blob that is decoded next.
pub(super) struct Feed<P> {
    pub(super) pages: P,
    bytes: Vec<u8>,
    /// Number of bytes of the blob before `bytes`.
    before: u64,
    /// The next bit, counted from the start of `bytes`.
    at: usize,
    /// Whether the blob ends with `bytes`.
    is_all: bool,
}

impl<P: BlobPages> Feed<P> {
    /// Starts at the beginning of the blob.
    pub(super) fn new(pages: P) -> Self {
        Self { pages, bytes: Vec::with_capacity(LOOKAHEAD + PAGE), before: 0, at: 0, is_all: false }
    }

    /// Returns the position of the next bit.
    pub(super) fn bit(&self) -> u64 {
        self.before * 8 + self.at as u64
    }

    /// Moves to any bit of the blob.
    pub(super) fn seek(&mut self, bit: u64) {
        self.bytes.clear();
        (self.before, self.at, self.is_all) = (bit / 8, (bit % 8) as usize, false);
    }

    /// Returns the bytes from the byte of the next bit: at least [`LOOKAHEAD`], unless the blob ends earlier.
    pub(super) fn ahead(&mut self) -> io::Result<&[u8]> {
        while !self.is_all && self.bytes.len() - self.at / 8 < LOOKAHEAD {
            self.append()?;
        }
        Ok(&self.bytes[self.at / 8..])
    }

    fn append(&mut self) -> io::Result<()> {
        let done = self.at / 8;
        self.bytes.drain(..done);
        self.before += done as u64;
        self.at %= 8;
        let held = self.bytes.len();
        self.pages.append(self.before + held as u64, &mut self.bytes)?;
        self.is_all = self.bytes.len() == held;
        Ok(())
    }

    /// Returns the three header bits of the block that starts here (RFC 1951, 3.2.3).
    pub(super) fn block_header(&mut self) -> io::Result<u8> {
        let shift = self.at % 8;
        let ahead = self.ahead()?;
        let [first, second] = [0, 1].map(|at| ahead.get(at).copied().unwrap_or(0));
        Ok((u16::from_le_bytes([first, second]) >> shift & 7) as u8)
    }

    /// Moves to the next byte boundary.
    pub(super) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// Reads a whole byte.
    pub(super) fn byte(&mut self) -> io::Result<u8> {
        let byte = self.ahead()?.first().copied().ok_or(InflateError::Cut)?;
        self.at += 8;
        Ok(byte)
    }

    /// Reads a four-byte number.
    pub(super) fn word(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    /// Decodes until a block ends, `inflate` has the wanted output, or its buffer is full.
    pub(super) fn decode(&mut self, inflate: &mut Inflate, want: Want) -> io::Result<Stop> {
        loop {
            match inflate.step(&self.bytes, &mut self.at, self.is_all, want)? {
                Stop::Hungry => self.append()?,
                stop => return Ok(stop),
            }
        }
    }
}
