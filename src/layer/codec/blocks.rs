//! Where the deflate blocks of a gzip blob lie, and points from which it can be decoded: what one pass over a blob leaves behind
//! so that it need not be decoded from its start again.

use std::io::{self, Write};

use super::bits::BitWriter;
use super::inflate::WINDOW;
use crate::blob::Scratch;

/// Blocks are told apart only if they make at least so many bytes, lest hostile streams fill memory.
const UNIT: u64 = 16 << 10;
/// Bytes of output between points from which decoding can start.
const SPACING: u64 = 512 << 10;

/// The blocks of one gzip blob. Memory: about 25 bytes for each 16 KiB or more of decompressed layer; the windows that decoding
/// starts from are elsewhere.
pub struct BlockMap {
    pub(super) units: Vec<Unit>,
    /// The first unit of each member.
    members: Vec<usize>,
    restarts: Vec<Restart>,
    windows: Box<dyn Scratch>,
    /// Hashes of the blob's pages, so that nothing else is read later under its name.
    pub(super) pages: Vec<u64>,
    /// Bytes of the blob.
    pub(super) size: u64,
}

/// Some blocks in a row, or the end of a member. Of the blocks of a unit only the first may have the bit that says that it is
/// the member's last, and only if the first is a stored one, others may be, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// Bytes that are decoded before it.
    pub(super) out: u64,
    /// The bit of the blob where it starts.
    pub(super) bit: u64,
    pub(super) kind: Kind,
}

/// How a unit begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With compressed blocks.
    Packed,
    /// With a stored block, whose length starts at a whole byte (RFC 1951, 3.2.4).
    Stored,
    /// It is the last block of a member, and compressed.
    LastPacked,
    /// It is the last block of a member, and stored.
    LastStored,
    /// No block: a member ends here.
    End,
}

impl Kind {
    /// Tells a block by the three bits of its header (RFC 1951, 3.2.3).
    pub(super) fn of(header: u8) -> Self {
        match (header & 1 == 1, header >> 1 & 3 == 0) {
            (false, false) => Self::Packed,
            (false, true) => Self::Stored,
            (true, false) => Self::LastPacked,
            (true, true) => Self::LastStored,
        }
    }

    /// Writes what stands before the bits of a block that can be copied as they are, wherever they go; returns the first of
    /// those. The block starts at bit `start`, and will not be the last.
    pub(super) fn begin(self, start: u64, output: &mut BitWriter<impl Write>) -> u64 {
        match self {
            Self::Packed | Self::End => start,
            // The bit that says that it is the last is not copied.
            Self::LastPacked => {
                output.put(0, 1);
                start + 1
            }
            // A stored block's length starts at the next whole byte, here and there; all later bits stand as they stood.
            Self::Stored | Self::LastStored => {
                output.put(0, 3);
                output.align();
                (start + 3).next_multiple_of(8)
            }
        }
    }
}

/// A point from which decoding can start.
#[derive(Debug, Clone, Copy)]
struct Restart {
    unit: usize,
    /// Where its window is kept, and how long it is.
    window: u64,
    length: usize,
}

impl BlockMap {
    /// Starts a map; the windows that decoding starts from go to `windows`.
    pub fn new(windows: Box<dyn Scratch>) -> Self {
        Self { units: Vec::new(), members: Vec::new(), restarts: Vec::new(), windows, pages: Vec::new(), size: 0 }
    }

    /// Notes a page of the blob: all are of one size but the last.
    pub(super) fn page(&mut self, page: &[u8]) {
        self.pages.push(xxhash_rust::xxh3::xxh3_64(page));
        self.size += page.len() as u64;
    }

    /// Notes that a block starts. `header` has the first three bits of the block; `window` what was decoded before it.
    pub(super) fn block(&mut self, out: u64, bit: u64, header: u8, window: &[u8]) -> io::Result<()> {
        let kind = Kind::of(header);
        let before = self.units.last().filter(|unit| unit.kind != Kind::End);
        let merges = before.is_some_and(|unit| match kind {
            Kind::Packed => out - unit.out < UNIT,
            Kind::Stored => out - unit.out < UNIT && unit.kind == Kind::Stored,
            _ => false,
        });
        if merges {
            return Ok(());
        }
        let is_first = before.is_none();
        let number = self.units.len();
        if is_first {
            self.members.push(number);
            self.restarts.push(Restart { unit: number, window: 0, length: 0 });
        } else if self.restarts.last().is_none_or(|last| out - self.units[last.unit].out >= SPACING) {
            let start = self.windows.append(window)?;
            self.restarts.push(Restart { unit: number, window: start, length: window.len() });
        }
        self.units.push(Unit { out, bit, kind });
        Ok(())
    }

    /// Notes that a member ends, with the last bit of its last block.
    pub(super) fn end(&mut self, out: u64, bit: u64) {
        self.units.push(Unit { out, bit, kind: Kind::End });
    }

    /// Returns the last unit at or before `out` from which decoding can start, and what was decoded before it.
    pub(super) fn restart(&self, out: u64) -> io::Result<(Unit, Vec<u8>)> {
        let number = self.restarts.partition_point(|restart| self.units[restart.unit].out <= out).saturating_sub(1);
        let missing = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let restart = self.restarts.get(number).ok_or_else(missing)?;
        let mut window = vec![0; restart.length];
        self.windows.read_at(&mut window, restart.window)?;
        Ok((self.units[restart.unit], window))
    }

    /// Returns the first unit of the member that follows the bit at which one ends.
    pub(super) fn member_after(&self, end: u64) -> Option<Unit> {
        let number = self.members.partition_point(|&unit| self.units[unit].bit < end);
        self.members.get(number).map(|&unit| self.units[unit])
    }

    /// Returns the units whose blocks can stand in another stream, given that the decoded bytes of `kept` stand in it: they
    /// make nothing but kept bytes, and can refer to nothing else.
    pub(super) fn copyable(&self, kept: &std::ops::Range<u64>) -> std::ops::Range<usize> {
        let whole = kept.start.saturating_add(WINDOW as u64);
        let by_distance = self.units.partition_point(|unit| unit.out < whole);
        // The first blocks of a member refer to nothing before it.
        let by_member = self.members.partition_point(|&unit| self.units[unit].out < kept.start);
        let first = self.members.get(by_member).map_or(by_distance, |&unit| by_distance.min(unit));
        let end = self.units.partition_point(|unit| unit.out <= kept.end).saturating_sub(1);
        first..end.max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_may_be_copied_only_if_they_lie_in_what_is_kept_and_32_kib_of_it_lie_before() {
        let mut map = BlockMap::new(Box::new(Vec::new()));
        for out in 0..10 {
            map.block(out * 20_000, 80 + out * 1000, 0b100, &[]).unwrap();
        }
        map.end(200_000, 10_080);
        map.block(200_000, 10_240, 0b101, &[]).unwrap();
        map.end(230_000, 11_000);
        assert_eq!(map.copyable(&(0..230_000)), 0..12);
        assert_eq!(map.copyable(&(0..200_000)), 0..11, "the end of a member is no bits at all");
        assert_eq!(map.copyable(&(1..199_999)), 2..9);
        assert_eq!(map.copyable(&(100..100)), 2..2);
        assert_eq!(map.copyable(&(190_000..230_000)), 11..12, "a member's first block refers to nothing before it");
        assert_eq!(map.member_after(10_080).unwrap().bit, 10_240);
    }

    #[test]
    fn small_blocks_are_one_unit_but_stored_and_last_ones_begin_their_own() {
        let mut map = BlockMap::new(Box::new(Vec::new()));
        for (number, header) in [0b100, 0b010, 0b000, 0b000, 0b100, 0b101].into_iter().enumerate() {
            map.block(number as u64, number as u64 * 100, header, &[]).unwrap();
        }
        let kinds = map.units.iter().map(|unit| (unit.bit, unit.kind)).collect::<Vec<_>>();
        assert_eq!(kinds, [(0, Kind::Packed), (200, Kind::Stored), (500, Kind::LastPacked)]);
    }
}
