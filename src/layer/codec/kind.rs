//! Kinds of deflate blocks, and how each is copied to another bit (RFC 1951, 3.2.3).

use std::io::Write;

use super::bits::BitWriter;

/// How a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is compressed.
    Packed,
    /// It is stored; its length starts at a whole byte (RFC 1951, 3.2.4).
    Stored,
    /// It is compressed, and the last block of its member.
    LastPacked,
    /// It is stored, and the last block of its member.
    LastStored,
}

impl Kind {
    /// Tells a block by the three bits of its header.
    pub(super) fn of(header: u8) -> Self {
        match (header & 1 == 1, header >> 1 & 3 == 0) {
            (false, false) => Self::Packed,
            (false, true) => Self::Stored,
            (true, false) => Self::LastPacked,
            (true, true) => Self::LastStored,
        }
    }

    /// Whether it is stored.
    pub(super) fn is_stored(self) -> bool {
        matches!(self, Self::Stored | Self::LastStored)
    }

    /// Writes what stands before the bits of a block that can be copied as they are, wherever they go; returns the first of
    /// those. The block starts at bit `start`, and will not be the last.
    pub(super) fn begin(self, start: u64, output: &mut BitWriter<impl Write>) -> u64 {
        match self {
            Self::Packed => start,
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
