//! Decodes parts of a gzip blob from the nearest seek point instead of the beginning.

use std::io;
use std::ops::Range;

use super::feed::{self, Feed, PAGE};
use super::gzip;
use super::inflate::{Inflate, State, Stop, Want};
use super::kind::Kind;
use super::seek_map::SeekMap;
use crate::blob::ReadAt;

/// Number of pages in memory.
const HELD: usize = 4;

/// Pages of a blob, each verified to be the same as when the map was built.
pub(super) struct CheckedPages<'a> {
    blob: &'a dyn ReadAt,
    map: &'a SeekMap,
    held: [(Option<u64>, Vec<u8>); HELD],
    next: usize,
}

impl<'a> CheckedPages<'a> {
    pub(super) fn new(blob: &'a dyn ReadAt, map: &'a SeekMap) -> Self {
        Self { blob, map, held: Default::default(), next: 0 }
    }

    /// Returns the bytes from an offset to the end of its page.
    pub(super) fn from(&mut self, offset: u64) -> io::Result<&[u8]> {
        let number = offset / PAGE as u64;
        let slot = match self.held.iter().position(|(held, _)| *held == Some(number)) {
            Some(slot) => slot,
            None => self.fetch(number)?,
        };
        Ok(&self.held[slot].1[(offset % PAGE as u64) as usize..])
    }

    fn fetch(&mut self, number: u64) -> io::Result<usize> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let hash = *usize::try_from(number).ok().and_then(|number| self.map.pages.get(number)).ok_or_else(ended)?;
        let slot = self.next;
        self.next = (slot + 1) % HELD;
        let start = number * PAGE as u64;
        let (held, page) = &mut self.held[slot];
        *held = None;
        page.resize(PAGE.min((self.map.size - start) as usize), 0);
        self.blob.read_at(page, start)?;
        if xxhash_rust::xxh3::xxh3_64(page) != hash {
            let changed = "the blob changed while it was in use";
            return Err(io::Error::new(io::ErrorKind::InvalidData, changed));
        }
        *held = Some(number);
        Ok(slot)
    }
}

impl feed::BlobPages for CheckedPages<'_> {
    fn append(&mut self, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        if offset < self.map.size {
            bytes.extend_from_slice(self.from(offset)?);
        }
        Ok(())
    }
}

/// Consecutive symbols of one block.
pub(super) struct SymbolRun<'a> {
    /// The decoded bytes.
    pub(super) bytes: &'a [u8],
    /// The bits of the symbols in the blob, and of the block header if the block starts here.
    pub(super) bits: Range<u64>,
    pub(super) place: StreamPosition,
}

/// The place of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamPosition {
    /// At the start of a compressed block.
    Start(Kind),
    /// Inside a compressed block.
    Inside,
    /// In a stored block, with this many bytes left.
    Stored(usize),
}

/// Decodes a blob from any byte of its output.
pub(super) struct Resumed<'a> {
    feed: Feed<CheckedPages<'a>>,
    map: &'a SeekMap,
    inflate: Inflate,
    /// The next byte of output.
    out: u64,
    is_started: bool,
    notes_matches: bool,
}

impl<'a> Resumed<'a> {
    pub(super) fn new(blob: &'a dyn ReadAt, map: &'a SeekMap) -> Self {
        let feed = Feed::new(CheckedPages::new(blob, map));
        Self { feed, map, inflate: Inflate::new(), out: 0, is_started: false, notes_matches: false }
    }

    /// Returns the blob's own bytes.
    pub(super) fn pages(&mut self) -> &mut CheckedPages<'a> {
        &mut self.feed.pages
    }

    /// Returns the position of the next byte of output.
    pub(super) fn out(&self) -> u64 {
        self.out
    }

    /// Moves to a byte of the output.
    pub(super) fn seek(&mut self, to: u64) -> io::Result<()> {
        let point = self.map.before(to)?;
        if !self.is_started || to < self.out || point.out > self.out {
            self.inflate.resume(&self.map.window(&point)?);
            self.feed.seek(point.bit);
            (self.out, self.is_started) = (point.out, true);
        }
        while self.out < to {
            let most = usize::try_from(to - self.out).unwrap_or(usize::MAX);
            self.next(most)?;
        }
        Ok(())
    }

    /// Decodes the next bytes: at least one and at most `most`, which must not be zero.
    pub(super) fn next(&mut self, most: usize) -> io::Result<&[u8]> {
        while self.inflate.made().is_empty() {
            self.decode(Want::AtLeast(most))?;
        }
        Ok(self.take(most))
    }

    /// Decodes the next bytes, at most `most`, which must not be zero. Returns none if a block ends here.
    pub(super) fn step(&mut self, most: usize) -> io::Result<&[u8]> {
        if self.inflate.made().is_empty() {
            self.decode(Want::AtLeast(most))?;
        }
        Ok(self.take(most))
    }

    /// Returns how far symbols were decoded, in bytes of output. Some of these bytes may not have been returned yet.
    pub(super) fn decoded(&self) -> u64 {
        self.out + self.inflate.made().len() as u64
    }

    /// Returns the first byte of output that symbols not decoded yet can refer to.
    pub(super) fn reach(&self) -> u64 {
        self.decoded() - self.inflate.window().len() as u64
    }

    /// Decodes the next symbols, within one block and at most `most` bytes; it may stop earlier. Returns none if the
    /// next symbol is longer than `most`. The next byte must be the first of a symbol.
    pub(super) fn symbols(&mut self, most: usize) -> io::Result<SymbolRun<'_>> {
        let start = self.feed.bit();
        let before = self.inflate.state();
        let kind = Kind::of(self.feed.block_header()?);
        self.inflate.note_matches(self.notes_matches);
        let end = self.decode(Want::AtMost(most))?;
        let place = match (before, self.inflate.state()) {
            (_, State::Stored(left)) => StreamPosition::Stored(left),
            (State::Stored(_), _) => StreamPosition::Stored(0),
            (State::Header, _) if kind.is_stored() => StreamPosition::Stored(0),
            (State::Header, _) => StreamPosition::Start(kind),
            (State::Packed, _) => StreamPosition::Inside,
        };
        Ok(SymbolRun { bytes: self.take(usize::MAX), bits: start..end, place })
    }

    /// Turns the recording of matches on or off.
    pub(super) fn note_matches(&mut self, is_wanted: bool) {
        self.notes_matches = is_wanted;
    }

    /// Returns the decoder, to query the current block.
    pub(super) fn inflate(&self) -> &Inflate {
        &self.inflate
    }

    /// Decodes more and moves to the next member if one ends. Returns the bit at which the decoded symbols end.
    fn decode(&mut self, want: Want) -> io::Result<u64> {
        let stop = self.feed.decode(&mut self.inflate, want)?;
        let end = self.feed.bit();
        if stop == (Stop::Block { is_last: true }) {
            self.next_member()?;
        }
        Ok(end)
    }

    fn take(&mut self, most: usize) -> &[u8] {
        let taken = self.inflate.take(most);
        self.out += taken.len() as u64;
        taken
    }

    /// Skips the bytes between two members, if another one follows.
    fn next_member(&mut self) -> io::Result<()> {
        self.feed.align();
        self.feed.word()?;
        self.feed.word()?;
        if !self.feed.ahead()?.is_empty() {
            gzip::header(&mut self.feed)?;
            self.inflate.reset();
        }
        Ok(())
    }
}
