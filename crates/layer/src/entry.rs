//! One tar member with its extension headers, as a range of bytes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::rootfs_path::RootfsPath;

/// The position of a member in a layer's tar. Offsets are into the decompressed layer, and multiples of 512.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From the first extension header to the padding after the data.
    pub range: Range<u64>,
    /// Start of the data. The headers are between `range.start` and here.
    pub data_start: u64,
    /// Start of the entry in the compressed layer, in bytes. Interpolated linearly within what the decoder outputs at
    /// once.
    pub packed_start: u64,
}

/// One member of a layer's tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its position in the tar.
    pub span: Span,
    /// Bytes of data in the archive. For a sparse file, holes do not count.
    pub size: u64,
    /// The path as written. Parents may be symlinks in the rootfs.
    pub path: RootfsPath,
    /// Its kind.
    pub kind: EntryKind,
    /// Permission bits, including set-user-ID, set-group-ID and sticky.
    pub mode: u16,
}

/// The kind of a tar member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file, possibly sparse.
    File,
    /// Another name of a file from an earlier entry.
    HardLink(RootfsPath),
    /// A symbolic link, with its target as written.
    Symlink(Box<[u8]>),
    /// A directory.
    Directory,
    /// A device, a FIFO or an unknown kind. It only occupies a path in the rootfs.
    Special,
    /// A PAX global header, which is not a file. Container runtimes and the rootfs ignore it.
    GlobalHeader,
}

impl Span {
    /// Returns the range of the headers: extension headers and the member's own header.
    pub fn header(&self) -> Range<u64> {
        self.range.start..self.data_start
    }

    /// Returns the range of the data with its padding.
    pub fn body(&self) -> Range<u64> {
        self.data_start..self.range.end
    }
}
