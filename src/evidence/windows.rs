//! Holds the wanted parts of a file while it is streamed. A layer is a stream, and an object's metadata may lie at
//! either end of it. So parts of the first and the last megabytes can be held, and the rest is skipped.

use std::io::{self, BufRead};
use std::iter;
use std::ops::Range;

use object::ReadRef;

use crate::blob::read_onto;

/// How many bytes of the beginning are read before it is known which parts are wanted.
const START: u64 = 4096;
/// How many bytes of the beginning can be held.
const HEAD: u64 = 24 << 20;
/// How many bytes of the end can be held.
const TAIL: u64 = 8 << 20;
/// How many bytes of memory are kept for the next file.
const SPARE: usize = 12 << 20;

/// Parts of one file. One instance is reused for all files, because new memory costs more than the copy.
#[derive(Debug, Default)]
pub struct Windows {
    size: u64,
    bytes: Vec<u8>,
    /// The ranges of the file that are held, in order.
    parts: Vec<Range<u64>>,
}

impl Windows {
    /// Fills the windows with parts of a file of `size` bytes. `wanted` is given its first bytes and returns the wanted
    /// ranges; `None` means the whole file. `pass` is given the first bytes and every wanted part, in order, held or
    /// not.
    ///
    /// # Errors
    /// If `content` cannot be read.
    pub fn fill(
        &mut self,
        size: u64,
        content: &mut dyn BufRead,
        wanted: impl FnOnce(&[u8]) -> Option<Vec<Range<u64>>>,
        pass: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        self.bytes.clear();
        self.bytes.shrink_to(SPARE);
        self.parts.clear();
        self.size = size;
        let start = size.min(START);
        self.hold(0..start, content)?;
        let wanted = wanted(&self.bytes).unwrap_or_else(|| iter::once(0..size).collect());
        pass(&self.bytes);
        let ranges = split(wanted, size);
        self.make_room(ranges.iter().filter(|part| part.is_held).map(|part| part.length()).sum());
        let mut at = start;
        for WantedRange { range, is_held } in ranges {
            skip(content, range.start - at, &mut |_| {})?;
            at = range.end;
            if is_held {
                let before = self.bytes.len();
                self.hold(range, content)?;
                pass(&self.bytes[before..]);
            } else {
                skip(content, range.end - range.start, pass)?;
            }
        }
        Ok(())
    }

    /// Reserves room for `count` more bytes. Growing memory copies all of it, used or not, so this frees the old memory
    /// first.
    fn make_room(&mut self, count: usize) {
        let needed = self.bytes.len() + count;
        if needed > self.bytes.capacity() {
            let held = self.bytes.clone();
            self.bytes = Vec::new();
            self.bytes.reserve_exact(needed);
            self.bytes.extend_from_slice(&held);
        }
    }

    fn hold(&mut self, range: Range<u64>, content: &mut dyn BufRead) -> io::Result<()> {
        let read = read_onto(&mut self.bytes, content, range.end - range.start)?;
        match self.parts.last_mut() {
            Some(last) if last.end == range.start => last.end += read,
            _ => self.parts.push(range.start..range.start + read),
        }
        Ok(())
    }

    /// Returns the held bytes of the file from `start` up to the next gap.
    fn from(&self, start: u64) -> Option<&[u8]> {
        let mut before = 0;
        for part in &self.parts {
            let length = usize::try_from(part.end - part.start).ok()?;
            if part.contains(&start) {
                let within = usize::try_from(start - part.start).ok()?;
                return self.bytes.get(before + within..before + length);
            }
            before += length;
        }
        None
    }
}

struct WantedRange {
    range: Range<u64>,
    is_held: bool,
}

impl WantedRange {
    fn length(&self) -> usize {
        usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX)
    }
}

/// Splits the wanted parts of a file into those that can be held and those that only pass, in order. The first bytes
/// are held already.
fn split(mut wanted: Vec<Range<u64>>, size: u64) -> Vec<WantedRange> {
    wanted.sort_by_key(|range| range.start);
    let (head, tail) = (HEAD.min(size), size.saturating_sub(TAIL).max(HEAD.min(size)));
    let mut at = size.min(START);
    let mut parts = Vec::new();
    for range in wanted {
        for (window, is_held) in [(0..head, true), (head..tail, false), (tail..size, true)] {
            let range = range.start.max(window.start).max(at)..range.end.min(window.end);
            if !range.is_empty() {
                at = range.end;
                parts.push(WantedRange { range, is_held });
            }
        }
    }
    parts
}

/// Passes bytes on without copying them.
fn skip(content: &mut dyn BufRead, mut count: u64, pass: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    while count > 0 {
        let held = content.fill_buf()?;
        if held.is_empty() {
            break;
        }
        let step = held.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        pass(&held[..step]);
        content.consume(step);
        count -= step as u64;
    }
    Ok(())
}

impl<'a> ReadRef<'a> for &'a Windows {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size == 0 && offset <= self.size {
            return Ok(&[]);
        }
        let size = usize::try_from(size).map_err(|_| ())?;
        self.from(offset).and_then(|bytes| bytes.get(..size)).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let longest = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| ())?;
        let bytes = self.from(range.start).ok_or(())?;
        let bytes = &bytes[..bytes.len().min(longest)];
        memchr::memchr(delimiter, bytes).map(|end| &bytes[..end]).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_held_and_only_at_either_end() {
        let file = (0..40 << 20).map(|at: u32| (at >> 8) as u8).collect::<Vec<_>>();
        let size = file.len() as u64;
        let mut windows = Windows::default();
        let megabyte = 1 << 20;
        let wanted = vec![3 * megabyte..4 * megabyte, 20 * megabyte..39 * megabyte, 100..8000];
        let mut passed = 0;
        windows.fill(size, &mut &file[..], |_| Some(wanted), &mut |bytes| passed += bytes.len()).unwrap();
        assert_eq!(passed, 8000 + 20 * megabyte as usize, "all that is wanted passes by");
        let read = |at: u64, count: u64| (&windows).read_bytes_at(at, count);
        let of = |at: u64, count: u64| &file[at as usize..(at + count) as usize];
        for (at, count) in [(0, 8000), (3 * megabyte, megabyte), (23 * megabyte, megabyte), (38 * megabyte, megabyte)] {
            assert_eq!(read(at, count), Ok(of(at, count)), "{at}");
        }
        for at in [8000, 2 * megabyte, 25 * megabyte, 39 * megabyte, size, u64::MAX] {
            assert_eq!(read(at, 1), Err(()), "{at}");
        }
        windows.fill(5000, &mut &file[..5000], |_| None, &mut |_| {}).unwrap();
        assert_eq!((&windows).read_bytes_at(0, 5000), Ok(of(0, 5000)));
    }
}
