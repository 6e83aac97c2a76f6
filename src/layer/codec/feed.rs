//! A blob's bytes, page by page, such that a decoder always sees enough of them in one piece.

use std::io;

use super::inflate::{Inflate, InflateError, LOOKAHEAD, Stop, Want};

/// Bytes of a page: a blob is read, hashed and held by them.
pub(super) const PAGE: usize = 64 << 10;

/// Where the pages of a blob come from.
pub(super) trait Pages {
    /// Adds to `bytes` those from an offset to the end of its page; none at the end of the blob. Offsets go up from page to page.
    fn append(&mut self, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()>;
}

/// The part of a blob that is decoded next.
pub(super) struct Feed<P> {
    pub(super) pages: P,
    bytes: Vec<u8>,
    /// Bytes of the blob that lie before.
    before: u64,
    /// The next bit, counted from there.
    at: usize,
    /// Whether the blob ends with these bytes.
    is_all: bool,
}

impl<P: Pages> Feed<P> {
    /// Starts at the beginning.
    pub(super) fn new(pages: P) -> Self {
        Self { pages, bytes: Vec::with_capacity(LOOKAHEAD + PAGE), before: 0, at: 0, is_all: false }
    }

    /// Returns the next bit's place.
    pub(super) fn bit(&self) -> u64 {
        self.before * 8 + self.at as u64
    }

    /// Goes to a bit anywhere in the blob.
    pub(super) fn seek(&mut self, bit: u64) {
        self.bytes.clear();
        (self.before, self.at, self.is_all) = (bit / 8, (bit % 8) as usize, false);
    }

    /// Returns the bytes from that of the next bit on: at least [`LOOKAHEAD`], unless the blob ends before.
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

    /// Returns the first three bits of a block that starts here (RFC 1951, 3.2.3).
    pub(super) fn block_header(&mut self) -> io::Result<u8> {
        let shift = self.at % 8;
        let ahead = self.ahead()?;
        let [first, second] = [0, 1].map(|at| ahead.get(at).copied().unwrap_or(0));
        Ok((u16::from_le_bytes([first, second]) >> shift & 7) as u8)
    }

    /// Goes on from the middle of a byte to the next one.
    pub(super) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// Reads a whole byte.
    pub(super) fn byte(&mut self) -> io::Result<u8> {
        let byte = self.ahead()?.first().copied().ok_or(InflateError::Cut)?;
        self.at += 8;
        Ok(byte)
    }

    /// Reads a number of four whole bytes.
    pub(super) fn word(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    /// Decodes on, until a block ends, or `inflate` has made as much as is wanted or it has room for.
    pub(super) fn decode(&mut self, inflate: &mut Inflate, want: Want) -> io::Result<Stop> {
        loop {
            match inflate.step(&self.bytes, &mut self.at, self.is_all, want)? {
                Stop::Hungry => self.append()?,
                stop => return Ok(stop),
            }
        }
    }
}
