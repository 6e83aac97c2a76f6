//! gzip (RFC 1952): decoded block by block, as a stream. Encoding is in [`splice`](super::splice).

use std::io::{self, Read};

use super::blocks::{BlockMap, PAGE};
use super::inflate::{Inflate, Stop};

/// Flags of a member's header (RFC 1952, 2.3.1).
const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// Reads what a blob of one or several members decodes to, and notes in a map where its blocks lie.
pub(super) struct Decoder<'a, R> {
    input: Input<'a, R>,
    inflate: Inflate,
    state: State,
    crc: crc32fast::Hasher,
    /// Bytes that the member has made.
    made: u32,
    /// Bytes that the blob has made.
    out: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member, or at the end of the blob.
    Between,
    /// Where a block starts; so many bits of the last byte belong to it.
    BlockStart(u8),
    /// In a block.
    Block,
    Done,
}

impl<'a, R: Read> Decoder<'a, R> {
    pub(super) fn new(blob: R, map: Option<&'a mut BlockMap>) -> Self {
        Self {
            input: Input { inner: blob, page: vec![0; PAGE], filled: 0, at: 0, before: 0, last: 0, map },
            inflate: Inflate::new(),
            state: State::Between,
            crc: crc32fast::Hasher::new(),
            made: 0,
            out: 0,
        }
    }

    /// Starts a member, if there is one.
    fn begin(&mut self) -> io::Result<State> {
        let is_first = self.input.position() == 0;
        if !is_first && self.input.rest()?.is_empty() {
            return Ok(State::Done);
        }
        self.input.header()?;
        self.inflate.reset();
        self.crc = crc32fast::Hasher::new();
        self.made = 0;
        Ok(State::BlockStart(0))
    }

    /// Notes where a block starts.
    fn note_block(&mut self, bits: u8) -> io::Result<()> {
        let mut header = if bits == 0 { 0 } else { self.input.last >> (8 - bits) };
        if bits < 3 {
            let Some(&next) = self.input.rest()?.first() else { return Err(cut()) };
            header |= next << bits;
        }
        let bit = self.input.position() * 8 - u64::from(bits);
        match &mut self.input.map {
            Some(map) => map.block(self.out, bit, header & 7, &mut self.inflate),
            None => Ok(()),
        }
    }

    /// Ends a member, and checks it.
    fn end(&mut self, unused: u8) -> io::Result<()> {
        let bit = self.input.position() * 8 - u64::from(unused);
        if let Some(map) = &mut self.input.map {
            map.end(self.out, bit);
        }
        let crc = self.crc.clone().finalize();
        if self.input.word()? != crc || self.input.word()? != self.made {
            return Err(corrupt("a gzip member is not what its checksum says"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Done => return Ok(0),
                State::Between => self.state = self.begin()?,
                State::BlockStart(bits) => {
                    self.note_block(bits)?;
                    self.state = State::Block;
                }
                State::Block => {
                    let input = self.input.rest()?;
                    let is_cut = input.is_empty();
                    let step = self.inflate.step(input, buffer).map_err(|error| corrupt(&error.to_string()))?;
                    self.input.take(step.taken);
                    self.crc.update(&buffer[..step.made]);
                    self.made = self.made.wrapping_add(step.made as u32);
                    self.out += step.made as u64;
                    match step.stop {
                        Stop::Starved if is_cut && step.made == 0 => return Err(cut()),
                        Stop::Starved => {}
                        Stop::Block { unused, is_last: false } => self.state = State::BlockStart(unused),
                        Stop::Block { unused, is_last: true } => {
                            self.end(unused)?;
                            self.state = State::Between;
                        }
                    }
                    if step.made > 0 {
                        return Ok(step.made);
                    }
                }
            }
        }
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip stream is cut")
}

/// The bytes of the blob, page by page.
struct Input<'a, R> {
    inner: R,
    page: Vec<u8>,
    /// How many bytes the page has: all but at the end of the blob.
    filled: usize,
    /// How many bytes of the page were taken.
    at: usize,
    /// How many bytes lie before the page.
    before: u64,
    /// The byte that was taken last.
    last: u8,
    map: Option<&'a mut BlockMap>,
}

impl<R: Read> Input<'_, R> {
    fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Returns bytes that were not taken yet; none at the end of the blob.
    fn rest(&mut self) -> io::Result<&[u8]> {
        if self.at == self.filled {
            self.before += self.filled as u64;
            self.at = 0;
            self.fill()?;
            if let Some(map) = &mut self.map
                && self.filled > 0
            {
                map.page(&self.page[..self.filled]);
            }
        }
        Ok(&self.page[self.at..self.filled])
    }

    fn fill(&mut self) -> io::Result<()> {
        self.filled = 0;
        while self.filled < PAGE {
            match self.inner.read(&mut self.page[self.filled..]) {
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize) {
        self.at += count;
        if count > 0 {
            self.last = self.page[self.at - 1];
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let byte = *self.rest()?.first().ok_or_else(cut)?;
        self.take(1);
        Ok(byte)
    }

    fn word(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    /// Skips a member's header; its checksum, if it has one, must be right.
    fn header(&mut self) -> io::Result<()> {
        let mut crc = crc32fast::Hasher::new();
        let mut byte = || {
            let byte = self.byte()?;
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
        if flags & HAS_CRC != 0 && u16::from_le_bytes([self.byte()?, self.byte()?]) != crc.finalize() as u16 {
            return Err(corrupt("a gzip header is not what its checksum says"));
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
