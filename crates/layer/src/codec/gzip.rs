//! Decodes gzip (RFC 1952) block by block, as a stream. [`splice`](super::splice) encodes.

use std::io::{self, BufRead, Read};

use super::decoder::Decode;
use super::feed::{BlobPages, Feed, PAGE};
use super::inflate::{Inflate, Stop, Want};
use super::seek_map::SeekMap;
use crate::blob::{read_buffered, read_full};

/// Flags of a member header (RFC 1952, 2.3.1).
const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// Decodes a blob of one or more members, and records in a map the points from which it can be decoded.
pub(super) struct GzipDecoder<'a, R> {
    feed: Feed<Mapped<'a, R>>,
    inflate: Inflate,
    state: GzipState,
    crc: crc32fast::Hasher,
    /// Bytes decoded from this member.
    made: u32,
    /// Bytes decoded from the blob.
    out: u64,
    /// How many of the decoded bytes that were not taken yet are included in `crc`, `made` and `out`.
    counted: usize,
    /// An error that occurred after bytes that were decoded.
    failed: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GzipState {
    /// Before a member, or at the end of the blob.
    Between,
    /// At the start of a block.
    BlockStart,
    /// Inside a block.
    Block,
    Done,
}

impl<'a, R: Read> GzipDecoder<'a, R> {
    pub(super) fn new(blob: R, map: Option<&'a mut SeekMap>) -> Self {
        Self {
            feed: Feed::new(Mapped { blob, map }),
            inflate: Inflate::new(),
            state: GzipState::Between,
            crc: crc32fast::Hasher::new(),
            made: 0,
            out: 0,
            counted: 0,
            failed: None,
        }
    }

    /// Decodes as many bytes as fit into the buffer.
    fn make(&mut self) -> io::Result<()> {
        loop {
            self.state = match self.state {
                GzipState::Done => return Ok(()),
                GzipState::Between => self.begin()?,
                GzipState::BlockStart => {
                    let bit = self.feed.bit();
                    if let Some(map) = &mut self.feed.pages.map {
                        map.block(self.out, bit, self.inflate.window())?;
                    }
                    GzipState::Block
                }
                GzipState::Block => {
                    let stop = self.feed.decode(&mut self.inflate, Want::All);
                    self.count();
                    match stop? {
                        Stop::Block { is_last: true } => self.end()?,
                        Stop::Block { is_last: false } => GzipState::BlockStart,
                        _ => return Ok(()),
                    }
                }
            }
        }
    }

    /// Starts the next member, if one exists.
    fn begin(&mut self) -> io::Result<GzipState> {
        let is_first = self.feed.bit() == 0;
        if !is_first && self.feed.ahead()?.is_empty() {
            return Ok(GzipState::Done);
        }
        header(&mut self.feed)?;
        self.inflate.reset();
        self.crc = crc32fast::Hasher::new();
        self.made = 0;
        Ok(GzipState::BlockStart)
    }

    /// Counts the bytes that the last step decoded.
    fn count(&mut self) {
        let made = &self.inflate.made()[self.counted..];
        self.crc.update(made);
        self.made = self.made.wrapping_add(made.len() as u32);
        self.out += made.len() as u64;
        self.counted += made.len();
    }

    /// Ends a member and verifies it.
    fn end(&mut self) -> io::Result<GzipState> {
        self.feed.align();
        let crc = self.crc.clone().finalize();
        if self.feed.word()? != crc || self.feed.word()? != self.made {
            return Err(corrupt("a gzip member is not what its checksum says"));
        }
        Ok(GzipState::Between)
    }
}

impl<R: Read> BufRead for GzipDecoder<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inflate.made().is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if let Err(error) = self.make() {
                // Return the decoded bytes before the error, so that the error's position is exact.
                if self.inflate.made().is_empty() {
                    return Err(error);
                }
                self.failed = Some(error);
            }
        }
        Ok(self.inflate.made())
    }

    fn consume(&mut self, count: usize) {
        self.inflate.take(count);
        self.counted = self.inflate.made().len();
    }
}

impl<R: Read> Decode for GzipDecoder<'_, R> {
    fn position(&self) -> u64 {
        self.feed.bit().div_ceil(8)
    }
}

impl<R: Read> Read for GzipDecoder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Skips a member header and verifies its checksum, if it has one.
pub(super) fn header(feed: &mut Feed<impl BlobPages>) -> io::Result<()> {
    let mut crc = crc32fast::Hasher::new();
    let mut byte = || {
        let byte = feed.byte()?;
        crc.update(&[byte]);
        Ok::<_, io::Error>(byte)
    };
    let [a, b, method, flags] = [byte()?, byte()?, byte()?, byte()?];
    if [a, b, method] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
        return Err(corrupt("invalid gzip header"));
    }
    // The time, extra flags and operating system.
    for _ in 0..6 {
        byte()?;
    }
    if flags & HAS_EXTRA != 0 {
        for _ in 0..u16::from_le_bytes([byte()?, byte()?]) {
            byte()?;
        }
    }
    for _ in 0..(flags & (HAS_NAME | HAS_COMMENT)).count_ones() {
        while byte()? != 0 {}
    }
    if flags & HAS_CRC != 0 && u16::from_le_bytes([feed.byte()?, feed.byte()?]) != crc.finalize() as u16 {
        return Err(corrupt("a gzip header is not what its checksum says"));
    }
    Ok(())
}

/// The pages of a blob, recorded in a map as they are read.
struct Mapped<'a, R> {
    blob: R,
    map: Option<&'a mut SeekMap>,
}

impl<R: Read> BlobPages for Mapped<'_, R> {
    fn append(&mut self, _: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let held = bytes.len();
        bytes.resize(held + PAGE, 0);
        let read = read_full(&mut self.blob, &mut bytes[held..]);
        bytes.truncate(held + read.as_ref().map_or(0, |&read| read));
        read?;
        match &mut self.map {
            Some(map) if bytes.len() > held => map.page(&bytes[held..]),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_checksum_is_held_to_it() {
        let mut member = vec![0x1f, 0x8b, 8, HAS_CRC | HAS_NAME, 0, 0, 0, 0, 0, 3, b'a', 0];
        let crc = (crc32fast::hash(&member) as u16).to_le_bytes();
        member.extend(crc);
        // A final block with fixed codes and no content, then the checksum and size of no data.
        member.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let read = |member: &[u8]| GzipDecoder::new(member, None).read_to_end(&mut Vec::new());
        assert_eq!(read(&member).unwrap(), 0);
        member[12] ^= 1;
        assert!(read(&member).unwrap_err().to_string().contains("header"));
    }
}
