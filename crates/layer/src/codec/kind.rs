//! Kinds of deflate blocks, and how each is copied to another bit offset (RFC 1951, 3.2.3).

use std::io::Write;

use super::bits::BitWriter;

/// The kind of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Compressed.
    Packed,
    /// Stored. Its length starts at a byte boundary (RFC 1951, 3.2.4).
    Stored,
    /// Compressed, and the last block of its member.
    LastPacked,
    /// Stored, and the last block of its member.
    LastStored,
}

impl Kind {
    /// Returns the kind for the three bits of a block header.
    pub(super) fn of(header: u8) -> Self {
        match (header & 1 == 1, header >> 1 & 3 == 0) {
            (false, false) => Self::Packed,
            (false, true) => Self::Stored,
            (true, false) => Self::LastPacked,
            (true, true) => Self::LastStored,
        }
    }

    /// Returns whether the block is stored.
    pub(super) fn is_stored(self) -> bool {
        matches!(self, Self::Stored | Self::LastStored)
    }

    /// Writes the start of a block and returns the first bit that can be copied unchanged to any offset. The block
    /// starts at bit `start`, and the copy is not a last block.
    pub(super) fn begin(self, start: u64, output: &mut BitWriter<impl Write>) -> u64 {
        match self {
            Self::Packed => start,
            // The final-block bit is not copied.
            Self::LastPacked => {
                output.put(0, 1);
                start + 1
            }
            // The length of a stored block starts at the next byte boundary, in both streams. All later bits are copied
            // unchanged.
            Self::Stored | Self::LastStored => {
                output.put(0, 3);
                output.align();
                (start + 3).next_multiple_of(8)
            }
        }
    }
}
