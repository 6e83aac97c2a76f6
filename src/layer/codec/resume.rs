//! Decodes parts of a gzip blob, starting near them instead of at its beginning.

use std::io;

use super::blocks::{BlockMap, PAGE};
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

/// Decodes a blob from any byte of its output on.
pub(super) struct Resumed<'a> {
    pub(super) pages: Pages<'a>,
    map: &'a BlockMap,
    inflate: Inflate,
    /// The next byte of the blob.
    packed: u64,
    /// The next byte of output.
    out: u64,
    is_started: bool,
    scratch: Vec<u8>,
}

impl<'a> Resumed<'a> {
    pub(super) fn new(blob: &'a dyn ReadAt, map: &'a BlockMap) -> Self {
        let pages = Pages::new(blob, map);
        Self { pages, map, inflate: Inflate::new(), packed: 0, out: 0, is_started: false, scratch: Vec::new() }
    }

    /// Goes to a byte of the output.
    pub(super) fn seek(&mut self, to: u64) -> io::Result<()> {
        let (unit, window) = self.map.restart(to)?;
        if !self.is_started || to < self.out || unit.out > self.out {
            let bits = (8 - unit.bit % 8) % 8;
            let first = self.pages.from(unit.bit / 8)?.first().copied().unwrap_or(0);
            self.inflate.resume(&window, first, bits as u8).map_err(io::Error::other)?;
            (self.packed, self.out, self.is_started) = (unit.bit.div_ceil(8), unit.out, true);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(PAGE, 0);
        while self.out < to {
            let want = scratch.len().min(usize::try_from(to - self.out).unwrap_or(usize::MAX));
            self.read(&mut scratch[..want])?;
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Decodes some bytes, at least one unless `buffer` is empty.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            // A block may need no more input than was primed.
            let input = if self.packed < self.map.size { self.pages.from(self.packed)? } else { &[] };
            let is_cut = input.is_empty();
            let step = self.inflate.step(input, buffer).map_err(io::Error::other)?;
            self.packed += step.taken as u64;
            self.out += step.made as u64;
            match step.stop {
                Stop::Block { unused, is_last: true } => self.next_member(self.packed * 8 - u64::from(unused))?,
                Stop::Starved if is_cut && step.made == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
            if step.made > 0 {
                return Ok(step.made);
            }
        }
        Ok(0)
    }

    fn next_member(&mut self, end: u64) -> io::Result<()> {
        if let Some(unit) = self.map.member_after(end) {
            self.inflate.reset();
            self.packed = unit.bit / 8;
        } else {
            self.packed = self.map.size;
        }
        Ok(())
    }
}
