//! Decodes parts of a gzip blob, starting near them instead of at its beginning.

use std::io;
use std::ops::Range;

use super::feed::{self, Feed, PAGE};
use super::gzip;
use super::inflate::{Inflate, State, Stop, Want};
use super::kind::Kind;
use super::seek_map::SeekMap;
use crate::blob::ReadAt;

/// How many pages are held.
const HELD: usize = 4;

/// Pages of a blob, each the very same as when the map was made.
pub(super) struct Pages<'a> {
    blob: &'a dyn ReadAt,
    map: &'a SeekMap,
    held: [(Option<u64>, Vec<u8>); HELD],
    next: usize,
}

impl<'a> Pages<'a> {
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

impl feed::Pages for Pages<'_> {
    fn append(&mut self, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        if offset < self.map.size {
            bytes.extend_from_slice(self.from(offset)?);
        }
        Ok(())
    }
}

/// Symbols of one block, next to each other.
pub(super) struct Symbols<'a> {
    /// What they make.
    pub(super) bytes: &'a [u8],
    /// The bits of the blob that they are, and before them those of the header if the block starts here.
    pub(super) bits: Range<u64>,
    pub(super) place: Place,
}

/// Where symbols stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the start of a compressed block.
    Start(Kind),
    /// Inside a compressed block.
    Inside,
    /// Anywhere in a stored block, before so many more of its bytes.
    Stored(usize),
}

/// Decodes a blob from any byte of its output on.
pub(super) struct Resumed<'a> {
    feed: Feed<Pages<'a>>,
    map: &'a SeekMap,
    inflate: Inflate,
    /// The next byte of output.
    out: u64,
    is_started: bool,
    notes_matches: bool,
}

impl<'a> Resumed<'a> {
    pub(super) fn new(blob: &'a dyn ReadAt, map: &'a SeekMap) -> Self {
        let feed = Feed::new(Pages::new(blob, map));
        Self { feed, map, inflate: Inflate::new(), out: 0, is_started: false, notes_matches: false }
    }

    /// The blob's own bytes.
    pub(super) fn pages(&mut self) -> &mut Pages<'a> {
        &mut self.feed.pages
    }

    /// Returns the next byte of the output.
    pub(super) fn out(&self) -> u64 {
        self.out
    }

    /// Goes to a byte of the output.
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

    /// Decodes the next bytes: at least one, and at most `most`, which is not zero.
    pub(super) fn next(&mut self, most: usize) -> io::Result<&[u8]> {
        while self.inflate.made().is_empty() {
            self.decode(Want::AtLeast(most))?;
        }
        Ok(self.take(most))
    }

    /// Decodes the next bytes, at most `most`, which is not zero: none, if a block ends here.
    pub(super) fn step(&mut self, most: usize) -> io::Result<&[u8]> {
        if self.inflate.made().is_empty() {
            self.decode(Want::AtLeast(most))?;
        }
        Ok(self.take(most))
    }

    /// Returns the byte of the output up to which symbols were decoded; the bytes up to it may be still to come.
    pub(super) fn decoded(&self) -> u64 {
        self.out + self.inflate.made().len() as u64
    }

    /// Returns the first byte of the output that symbols which are not decoded yet can refer to.
    pub(super) fn reach(&self) -> u64 {
        self.decoded() - self.inflate.window().len() as u64
    }

    /// Decodes the next symbols, as long as a block goes on and they make no more than `most` bytes, and not always all of these; none, if
    /// the next one makes more. The next byte must be the first of a symbol.
    pub(super) fn symbols(&mut self, most: usize) -> io::Result<Symbols<'_>> {
        let start = self.feed.bit();
        let before = self.inflate.state();
        let kind = Kind::of(self.feed.block_header()?);
        self.inflate.note_matches(self.notes_matches);
        let end = self.decode(Want::AtMost(most))?;
        let place = match (before, self.inflate.state()) {
            (_, State::Stored(left)) => Place::Stored(left),
            (State::Stored(_), _) => Place::Stored(0),
            (State::Header, _) if kind.is_stored() => Place::Stored(0),
            (State::Header, _) => Place::Start(kind),
            (State::Packed, _) => Place::Inside,
        };
        Ok(Symbols { bytes: self.take(usize::MAX), bits: start..end, place })
    }

    /// From now on matches are noted, or not.
    pub(super) fn note_matches(&mut self, is_wanted: bool) {
        self.notes_matches = is_wanted;
    }

    /// The decoder, to ask about the block it stands in.
    pub(super) fn inflate(&self) -> &Inflate {
        &self.inflate
    }

    /// Decodes on; if a member ends, goes to the next one. Returns the bit at which the decoded ones end.
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

    /// Skips what stands between two members, if there is one more.
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
