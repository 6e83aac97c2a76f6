//! Points from which a gzip blob can be decoded. One pass over the blob records them, so that later reads need not
//! start at its beginning.

use std::io;

use crate::blob::Scratch;

/// Bytes of output between points.
const SPACING: u64 = 512 << 10;

/// Points from which one gzip blob can be decoded. Takes about 40 bytes of memory per 512 KiB of decompressed layer and
/// 8 per 64 KiB of the blob. The windows of the points are stored elsewhere.
pub struct SeekMap {
    points: Vec<Point>,
    windows: Box<dyn Scratch>,
    /// Hashes of the blob's pages, to detect other content on later reads.
    pub(super) pages: Vec<u64>,
    /// Size of the blob, in bytes.
    pub(super) size: u64,
}

/// The start of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Number of bytes decoded before it.
    pub(super) out: u64,
    /// The bit of the blob where it starts.
    pub(super) bit: u64,
    /// Position and length of its window, in bytes.
    window: u64,
    length: usize,
}

impl SeekMap {
    /// Starts a map. The windows of its points are stored in `windows`.
    pub fn new(windows: Box<dyn Scratch>) -> Self {
        Self { points: Vec::new(), windows, pages: Vec::new(), size: 0 }
    }

    /// Records a page of the blob. All pages except the last have the same size.
    pub(super) fn page(&mut self, page: &[u8]) {
        self.pages.push(xxhash_rust::xxh3::xxh3_64(page));
        self.size += page.len() as u64;
    }

    /// Records the start of a block. `window` holds the bytes that it can refer to.
    pub(super) fn block(&mut self, out: u64, bit: u64, window: &[u8]) -> io::Result<()> {
        if self.points.last().is_none_or(|last| out - last.out >= SPACING) {
            let start = self.windows.append(window)?;
            self.points.push(Point { out, bit, window: start, length: window.len() });
        }
        Ok(())
    }

    /// Returns the last point at or before `out`, or the first point.
    pub(super) fn before(&self, out: u64) -> io::Result<Point> {
        let number = self.points.partition_point(|point| point.out <= out).saturating_sub(1);
        self.points.get(number).copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Returns the bytes that the block at a point can refer to.
    pub(super) fn window(&self, point: &Point) -> io::Result<Vec<u8>> {
        let mut window = vec![0; point.length];
        self.windows.read_at(&mut window, point.window)?;
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_apart_and_the_last_one_before_is_found() {
        let mut map = SeekMap::new(Box::new(Vec::new()));
        for block in 0..20 {
            map.block(block * 100_000, 80 + block, &[block as u8; 3]).unwrap();
        }
        for (out, bit) in [(0, 80), (599_999, 80), (600_000, 86), (1_300_000, 92), (u64::MAX, 98)] {
            let point = map.before(out).unwrap();
            let window = map.window(&point).unwrap();
            assert_eq!((point.bit, window), (bit, vec![(bit - 80) as u8; 3]), "byte {out}");
        }
    }
}
