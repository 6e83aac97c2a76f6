//! One tar member with all its extension headers, as a range of bytes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::rootfs_path::RootfsPath;

/// Where a member of a layer's tar lies. Offsets are into the decompressed layer, and multiples of 512.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From the first extension header to the padding after the data.
    pub range: Range<u64>,
    /// Where the data starts; the headers lie between `range.start` and here.
    pub data_start: u64,
    /// How far into the compressed layer the entry starts, in bytes; as if what the decoder holds at once were compressed evenly.
    pub packed_start: u64,
}

/// One member of a layer's tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub span: Span,
    /// Bytes of data in the archive (of a sparse file: without its holes).
    pub size: u64,
    /// Where the entry unpacks to, as written: parents may be symlinks of the rootfs.
    pub path: RootfsPath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u16,
}

/// What a tar member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file, sparse ones included.
    File,
    /// A further name of a file that an earlier entry named.
    HardLink(RootfsPath),
    /// A symbolic link, with its target as written.
    Symlink(Box<[u8]>),
    /// A directory.
    Directory,
    /// A device, a FIFO, or a kind that we do not know: it takes a place in the rootfs, no more.
    Special,
    /// A PAX global header: no file at all. Container runtimes ignore it, so does the rootfs.
    GlobalHeader,
}

impl Span {
    /// Returns the bytes of the headers: extension headers and the member's own.
    pub fn header(&self) -> Range<u64> {
        self.range.start..self.data_start
    }

    /// Returns the bytes of data with their padding.
    pub fn body(&self) -> Range<u64> {
        self.data_start..self.range.end
    }
}
