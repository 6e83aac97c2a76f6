//! Writes bits in deflate's order, from the lowest bit of a byte up (RFC 1951, 3.1.1). Copies bits from any offset to
//! any offset.

use std::io::{self, Write};

/// Size of the output buffer, in bytes.
const BUFFER: usize = 128 << 10;

/// Writes bits.
#[derive(Debug)]
pub(super) struct BitWriter<W> {
    output: W,
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet. Those above `held` are zero.
    pending: u64,
    /// Number of pending bits, at most 7.
    held: u32,
}

impl<W: Write> BitWriter<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, bytes: Vec::with_capacity(BUFFER), pending: 0, held: 0 }
    }

    /// Writes the lowest `count` bits of `bits`, at most 56. The other bits must be zero.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.held;
        self.held += count;
        while self.held >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.held -= 8;
        }
    }

    /// Pads the last byte with zeros.
    pub(super) fn align(&mut self) {
        if self.held > 0 {
            self.put(0, 8 - self.held);
        }
    }

    /// Writes whole bytes at any bit offset.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.held == 0 {
            self.bytes.extend_from_slice(bytes);
            return self.drain();
        }
        let (words, rest) = bytes.as_chunks::<8>();
        let (held, mut pending) = (self.held, self.pending);
        self.bytes.reserve(bytes.len() + 8);
        for word in words {
            let word = u64::from_le_bytes(*word);
            self.bytes.extend_from_slice(&(pending | word << held).to_le_bytes());
            pending = word >> (64 - held);
        }
        self.pending = pending;
        for &byte in rest {
            self.put(u64::from(byte), 8);
        }
        self.drain()
    }

    /// Copies the bits from `start` to `end` of `bytes`. Offsets count from the lowest bit of the first byte.
    pub(super) fn put_range(&mut self, bytes: &[u8], start: usize, end: usize) -> io::Result<()> {
        let mut at = start;
        while at < end && !at.is_multiple_of(8) {
            self.put(u64::from(bytes[at / 8] >> (at % 8) & 1), 1);
            at += 1;
        }
        let whole = at.max(end / 8 * 8);
        self.put_bytes(&bytes[at / 8..whole / 8])?;
        if end > whole {
            let count = (end - whole) as u32;
            self.put(u64::from(bytes[whole / 8]) & ((1 << count) - 1), count);
        }
        Ok(())
    }

    /// Pads the last byte, writes the buffer and returns the output.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.align();
        self.output.write_all(&self.bytes)?;
        Ok(self.output)
    }

    fn drain(&mut self) -> io::Result<()> {
        if self.bytes.len() >= BUFFER {
            self.output.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(bytes: &[u8], start: usize, end: usize) -> Vec<bool> {
        (start..end).map(|at| bytes[at / 8] >> (at % 8) & 1 == 1).collect()
    }

    proptest! {
        #[test]
        fn ranges_of_bits_stand_in_the_output_as_they_stood(
            bytes in prop::collection::vec(any::<u8>(), 1..200),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
        ) {
            let mut writer = BitWriter::new(Vec::new());
            let mut expected = Vec::new();
            for (a, b) in cuts {
                let (a, b) = (a.index(bytes.len() * 8 + 1), b.index(bytes.len() * 8 + 1));
                let (start, end) = (a.min(b), a.max(b));
                writer.put_range(&bytes, start, end).unwrap();
                expected.extend(bits(&bytes, start, end));
                prop_assert_eq!(writer.held as usize, expected.len() % 8);
            }
            let written = writer.finish().unwrap();
            prop_assert_eq!(written.len(), expected.len().div_ceil(8));
            prop_assert_eq!(bits(&written, 0, expected.len()), expected);
        }
    }
}
