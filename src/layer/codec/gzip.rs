//! gzip (RFC 1952): decoded block by block, as a stream. Encoding is in [`splice`](super::splice).

use std::io::{self, BufRead, Read};

use super::decoder::Decode;
use super::feed::{Feed, PAGE, Pages};
use super::inflate::{Inflate, Stop, Want};
use super::seek_map::SeekMap;
use crate::blob::{read_buffered, read_full};

/// Flags of a member's header (RFC 1952, 2.3.1).
const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// Reads what a blob of one or several members decodes to, and notes in a map points from which it can be decoded.
pub(super) struct Decoder<'a, R> {
    feed: Feed<Mapped<'a, R>>,
    inflate: Inflate,
    state: State,
    crc: crc32fast::Hasher,
    /// Bytes that the member has made.
    made: u32,
    /// Bytes that the blob has made.
    out: u64,
    /// How many of the bytes that were made and not taken are in the three above.
    counted: usize,
    /// What went wrong after bytes that were made.
    failed: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member, or at the end of the blob.
    Between,
    /// Where a block starts.
    BlockStart,
    /// In a block.
    Block,
    Done,
}

impl<'a, R: Read> Decoder<'a, R> {
    pub(super) fn new(blob: R, map: Option<&'a mut SeekMap>) -> Self {
        Self {
            feed: Feed::new(Mapped { blob, map }),
            inflate: Inflate::new(),
            state: State::Between,
            crc: crc32fast::Hasher::new(),
            made: 0,
            out: 0,
            counted: 0,
            failed: None,
        }
    }

    /// Makes as many bytes as there is room for.
    fn make(&mut self) -> io::Result<()> {
        loop {
            self.state = match self.state {
                State::Done => return Ok(()),
                State::Between => self.begin()?,
                State::BlockStart => {
                    let bit = self.feed.bit();
                    if let Some(map) = &mut self.feed.pages.map {
                        map.block(self.out, bit, self.inflate.window())?;
                    }
                    State::Block
                }
                State::Block => {
                    let stop = self.feed.decode(&mut self.inflate, Want::All);
                    self.count();
                    match stop? {
                        Stop::Block { is_last: true } => self.end()?,
                        Stop::Block { is_last: false } => State::BlockStart,
                        _ => return Ok(()),
                    }
                }
            }
        }
    }

    /// Starts a member, if there is one.
    fn begin(&mut self) -> io::Result<State> {
        let is_first = self.feed.bit() == 0;
        if !is_first && self.feed.ahead()?.is_empty() {
            return Ok(State::Done);
        }
        header(&mut self.feed)?;
        self.inflate.reset();
        self.crc = crc32fast::Hasher::new();
        self.made = 0;
        Ok(State::BlockStart)
    }

    /// Counts what the last step made.
    fn count(&mut self) {
        let made = &self.inflate.made()[self.counted..];
        self.crc.update(made);
        self.made = self.made.wrapping_add(made.len() as u32);
        self.out += made.len() as u64;
        self.counted += made.len();
    }

    /// Ends a member, and checks it.
    fn end(&mut self) -> io::Result<State> {
        self.feed.align();
        let crc = self.crc.clone().finalize();
        if self.feed.word()? != crc || self.feed.word()? != self.made {
            return Err(corrupt("a gzip member is not what its checksum says"));
        }
        Ok(State::Between)
    }
}

impl<R: Read> BufRead for Decoder<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inflate.made().is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if let Err(error) = self.make() {
                // What was made before comes first, so that it can be told how far the blob is right.
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

impl<R: Read> Decode for Decoder<'_, R> {
    fn position(&self) -> u64 {
        self.feed.bit().div_ceil(8)
    }
}

impl<R: Read> Read for Decoder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Skips a member's header; its checksum, if it has one, must be right.
pub(super) fn header(feed: &mut Feed<impl Pages>) -> io::Result<()> {
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
    // Time, extra flags and operating system.
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

/// The pages of a blob as it comes, noted in a map.
struct Mapped<'a, R> {
    blob: R,
    map: Option<&'a mut SeekMap>,
}

impl<R: Read> Pages for Mapped<'_, R> {
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
        // A last block of fixed codes without content, and the checksum and size of nothing.
        member.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let read = |member: &[u8]| Decoder::new(member, None).read_to_end(&mut Vec::new());
        assert_eq!(read(&member).unwrap(), 0);
        member[12] ^= 1;
        assert!(read(&member).unwrap_err().to_string().contains("header"));
    }
}
