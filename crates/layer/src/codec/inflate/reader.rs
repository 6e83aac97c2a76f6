//! Reads numbers in deflate's bit order and never reads past the input.

use super::InflateError;

pub(super) struct BitReader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at a bit of `input`.
    pub(super) fn new(input: &'a [u8], at: usize) -> Self {
        Self { input, at }
    }

    /// Returns the position of the next bit.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns at least the next 56 bits. Bits past the end are zero.
    pub(super) fn peek(&self) -> u64 {
        let rest = self.input.get(self.at / 8..).unwrap_or_default();
        let mut word = [0; 8];
        let count = rest.len().min(8);
        word[..count].copy_from_slice(&rest[..count]);
        u64::from_le_bytes(word) >> (self.at % 8)
    }

    /// Skips bits.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), InflateError> {
        self.at += count;
        if self.at > self.input.len() * 8 { Err(InflateError::Cut) } else { Ok(()) }
    }

    /// Reads a number of at most 56 bits.
    pub(super) fn take(&mut self, count: usize) -> Result<usize, InflateError> {
        let bits = self.peek() & ((1 << count) - 1);
        self.skip(count)?;
        Ok(bits as usize)
    }

    /// Moves to the next byte boundary.
    pub(super) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}
