//! Decodes parts of a gzip blob, starting near them instead of at its beginning.

use std::io;

use super::blocks::BlockMap;
use super::feed::{self, Feed, PAGE};
use super::inflate::{Inflate, Stop};
use crate::blob::ReadAt;

/// How many pages are held.
const HELD: usize = 4;

/// Pages of a blob, each the very same as when the map was made.
pub(super) struct Pages<'a> {
    blob: &'a dyn ReadAt,
    map: &'a BlockMap,
    held: [(Option<u64>, Vec<u8>); HELD],
    next: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(blob: &'a dyn ReadAt, map: &'a BlockMap) -> Self {
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

/// Decodes a blob from any byte of its output on.
pub(super) struct Resumed<'a> {
    feed: Feed<Pages<'a>>,
    map: &'a BlockMap,
    inflate: Inflate,
    /// The next byte of output.
    out: u64,
    is_started: bool,
}

impl<'a> Resumed<'a> {
    pub(super) fn new(blob: &'a dyn ReadAt, map: &'a BlockMap) -> Self {
        let feed = Feed::new(Pages::new(blob, map));
        Self { feed, map, inflate: Inflate::new(), out: 0, is_started: false }
    }

    /// The blob's own bytes.
    pub(super) fn pages(&mut self) -> &mut Pages<'a> {
        &mut self.feed.pages
    }

    /// Goes to a byte of the output.
    pub(super) fn seek(&mut self, to: u64) -> io::Result<()> {
        let (unit, window) = self.map.restart(to)?;
        if !self.is_started || to < self.out || unit.out > self.out {
            self.inflate.resume(&window);
            self.feed.seek(unit.bit);
            (self.out, self.is_started) = (unit.out, true);
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
            if let Stop::Block { is_last: true } = self.feed.decode(&mut self.inflate, most)? {
                self.next_member();
            }
        }
        let taken = self.inflate.take(most);
        self.out += taken.len() as u64;
        Ok(taken)
    }

    fn next_member(&mut self) {
        let end = self.feed.bit();
        if let Some(unit) = self.map.member_after(end) {
            self.feed.seek(unit.bit);
            self.inflate.reset();
        } else {
            self.feed.seek(self.map.size * 8);
        }
    }
}
