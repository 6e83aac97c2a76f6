//! Walks the members of a tar stream and says which bytes each one takes, extension headers included.
//!
//! Field decoding is the `tar` crate's; the walk is ours, because pydock needs byte ranges, and limits that hold before
//! memory is taken. Follows POSIX pax and GNU tar as Go's `archive/tar` reads them, for that is what unpacks images:
//! extension headers of at most 1 MiB, no data after a link or a directory, global headers reported but not applied.

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header, PaxExtensions};

use super::entry::{Entry, EntryKind, Span};
use crate::blob::read_full;
use crate::rootfs_path::{PathError, RootfsPath, escape};

/// Size of a tar block, in bytes.
pub const BLOCK: u64 = 512;
/// The largest extension header that is read into memory, in bytes; Go's `archive/tar` has the same limit.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// What is wrong with a tar stream. Offsets are in bytes into the decompressed layer.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes cannot be had.
    #[error("cannot read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A member's data cannot be had.
    #[error("entry `{path}`: cannot read at byte {offset}")]
    ReadData {
        /// Whose.
        path: String,
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The stream ends inside a header.
    #[error("the tar is cut in a header at byte {0}")]
    CutHeader(u64),
    /// The stream ends inside a member's data.
    #[error("entry `{path}`: the tar is cut {missing} bytes before the end of its data")]
    CutData {
        /// Whose.
        path: String,
        /// How many bytes are missing.
        missing: u64,
    },
    /// The header's checksum is wrong.
    #[error("tar header checksum mismatch at byte {0}")]
    Checksum(u64),
    /// A numeric field is not a number, or too large.
    #[error("entry `{path}`: header field `{field}` at byte {offset} is not a number")]
    Field {
        /// Whose.
        path: String,
        /// Which field.
        field: &'static str,
        /// Where the header starts.
        offset: u64,
    },
    /// An extension header is larger than [`MAX_EXTENSION`].
    #[error("an extension header at byte {offset} claims {size} bytes; at most {MAX_EXTENSION} are allowed")]
    Extension {
        /// Where it starts.
        offset: u64,
        /// What it claims.
        size: u64,
    },
    /// A PAX record is not `LENGTH KEY=VALUE\n`.
    #[error("a PAX header at byte {0} holds a malformed record")]
    Pax(u64),
    /// A link, directory or device claims to carry data.
    #[error("entry `{path}` is no regular file but claims {size} bytes of data")]
    Payload {
        /// Whose.
        path: String,
        /// What it claims.
        size: u64,
    },
    /// A path could leave the rootfs.
    #[error("entry `{entry}`: {source}")]
    Path {
        /// The entry as written.
        entry: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// There is something after the end marker.
    #[error("trailing bytes after the end of the tar, from byte {0}")]
    Trailing(u64),
    /// Extension headers with no member after them.
    #[error("the tar ends at byte {0} after an extension header that belongs to no entry")]
    Orphan(u64),
}

/// Reads a tar stream member by member.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    offset: u64,
    /// Where the current member ends.
    end: u64,
}

/// What extension headers say about the member that follows.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse_name: Option<Vec<u8>>,
}

impl<R: BufRead> TarReader<R> {
    /// Starts at the first byte of a tar.
    pub fn new(inner: R) -> Self {
        Self { inner, offset: 0, end: 0 }
    }

    /// Returns how many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next member, skipping what is left of the current one; `None` after the end marker, when the stream
    /// has been read to its very end.
    ///
    /// # Errors
    /// As [`TarError`] says.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let start = self.end;
        let mut extensions = Extensions::default();
        loop {
            let at = self.offset;
            let Some(block) = self.block()? else {
                return if at == start { Ok(None) } else { Err(TarError::Orphan(at)) };
            };
            if block.iter().all(|&b| b == 0) {
                if at != start {
                    return Err(TarError::Orphan(at));
                }
                self.drain_zeros()?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            verify_checksum(&block, header, at)?;
            match header.entry_type() {
                EntryType::XHeader => extensions.apply_pax(&self.extension(header, at)?, at)?,
                EntryType::GNULongName => extensions.path = Some(text(self.extension(header, at)?)),
                EntryType::GNULongLink => extensions.link = Some(text(self.extension(header, at)?)),
                _ => return self.member(start, at, header, extensions).map(Some),
            }
        }
    }

    /// Returns a reader over the data of `entry`, which must be the one that [`Self::next_entry`] gave last.
    pub fn data<'a>(&'a mut self, entry: &'a Entry) -> impl BufRead + 'a {
        let left = (entry.span.data_start + entry.size).saturating_sub(self.offset);
        Data { tar: self, left }
    }

    /// Words an error of the reader that [`Self::data`] gave.
    pub fn data_error(&self, entry: &Entry, source: io::Error) -> TarError {
        TarError::ReadData { path: entry.path.to_string(), offset: self.offset, source }
    }

    /// Skips the rest of `entry`, the one that [`Self::next_entry`] gave last.
    ///
    /// # Errors
    /// If the stream ends before the entry does.
    pub fn finish_entry(&mut self, entry: &Entry) -> Result<(), TarError> {
        let left = self.end.saturating_sub(self.offset);
        let skipped = self.skip(left).map_err(|source| self.data_error(entry, source))?;
        let data_end = entry.span.data_start + entry.size;
        if self.offset < data_end {
            return Err(TarError::CutData { path: entry.path.to_string(), missing: data_end - self.offset });
        }
        if skipped < left {
            return Err(TarError::CutHeader(self.offset));
        }
        Ok(())
    }

    /// Skips bytes without copying them; returns how many there were.
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < count {
            let held = match self.inner.fill_buf() {
                Ok(held) => held.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if held == 0 {
                break;
            }
            let step = held.min(usize::try_from(count - skipped).unwrap_or(usize::MAX));
            self.inner.consume(step);
            self.offset += step as u64;
            skipped += step as u64;
        }
        Ok(skipped)
    }

    fn member(&mut self, start: u64, at: u64, header: &Header, extensions: Extensions) -> Result<Entry, TarError> {
        let raw = extensions.sparse_name.or(extensions.path).unwrap_or_else(|| header.path_bytes().into_owned());
        let field = |field| TarError::Field { path: escape(&raw), field, offset: at };
        let size = match extensions.size {
            Some(size) => size,
            None => header.entry_size().map_err(|_| field("size"))?,
        };
        let path_error = |source| TarError::Path { entry: escape(&raw), source };
        if header.entry_type() == EntryType::GNUSparse {
            self.sparse_blocks(header)?;
        }
        let link = || {
            extensions
                .link
                .clone()
                .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
                .unwrap_or_default()
        };
        let kind = match header.entry_type() {
            // A V7 tar marks a directory by its name alone.
            EntryType::Regular if raw.ends_with(b"/") => EntryKind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::File,
            EntryType::Link => EntryKind::HardLink(RootfsPath::parse(&link()).map_err(path_error)?),
            EntryType::Symlink => EntryKind::Symlink(link().into()),
            EntryType::Directory => EntryKind::Directory,
            EntryType::XGlobalHeader => EntryKind::GlobalHeader,
            _ => EntryKind::Special,
        };
        if size > 0 && !matches!(kind, EntryKind::File | EntryKind::GlobalHeader) {
            return Err(TarError::Payload { path: escape(&raw), size });
        }
        let path = match kind {
            EntryKind::GlobalHeader => RootfsPath::root(),
            _ => RootfsPath::parse(&raw).map_err(path_error)?,
        };
        let data_start = self.offset;
        self.end = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|padded| data_start.checked_add(padded))
            .ok_or_else(|| field("size"))?;
        Ok(Entry {
            span: Span { range: start..self.end, data_start, packed_start: 0 },
            size,
            path,
            kind,
            mode: (header.mode().unwrap_or(0) & 0o7777) as u16,
        })
    }

    /// Skips the further blocks that an old GNU sparse header announces.
    fn sparse_blocks(&mut self, header: &Header) -> Result<(), TarError> {
        // Offset 482 of the header, and 504 of a further block, is the flag that another block follows.
        let mut more = header.as_bytes()[482] != 0;
        while more {
            let at = self.offset;
            let block = self.block()?.ok_or(TarError::CutHeader(at))?;
            more = block[504] != 0;
        }
        Ok(())
    }

    /// Reads the data of an extension header.
    fn extension(&mut self, header: &Header, at: u64) -> Result<Vec<u8>, TarError> {
        let size = header.entry_size().map_err(|_| TarError::Pax(at))?;
        if size > MAX_EXTENSION {
            return Err(TarError::Extension { offset: at, size });
        }
        let mut data = vec![0; size.next_multiple_of(BLOCK) as usize];
        if self.fill(&mut data)? < data.len() {
            return Err(TarError::CutHeader(self.offset));
        }
        data.truncate(size as usize);
        Ok(data)
    }

    /// Reads one block; `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>, TarError> {
        let mut block = [0; BLOCK as usize];
        match self.fill(&mut block)? {
            0 => Ok(None),
            512 => Ok(Some(block)),
            _ => Err(TarError::CutHeader(self.offset)),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let filled = read_full(&mut self.inner, buffer);
        let filled = filled.map_err(|source| TarError::Read { offset: self.offset, source })?;
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Reads to the end of the stream, past the end marker, where only zeros may stand.
    fn drain_zeros(&mut self) -> Result<(), TarError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let at = self.offset;
            let count = self.fill(&mut buffer)?;
            if let Some(first) = buffer[..count].iter().position(|&b| b != 0) {
                return Err(TarError::Trailing(at + first as u64));
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// The data of the current member.
struct Data<'a, R> {
    tar: &'a mut TarReader<R>,
    left: u64,
}

impl<R: BufRead> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let held = if self.left == 0 { &[] } else { self.tar.inner.fill_buf()? };
        Ok(&held[..held.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, count: usize) {
        self.tar.inner.consume(count);
        self.left -= count as u64;
        self.tar.offset += count as u64;
    }
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.tar.inner.read(&mut buffer[..want])?;
        self.left -= count as u64;
        self.tar.offset += count as u64;
        Ok(count)
    }
}

impl Extensions {
    fn apply_pax(&mut self, records: &[u8], at: u64) -> Result<(), TarError> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| TarError::Pax(at))?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or(TarError::Pax(at))?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A GNU long name ends at its first NUL.
fn text(mut data: Vec<u8>) -> Vec<u8> {
    if let Some(end) = data.iter().position(|&b| b == 0) {
        data.truncate(end);
    }
    data
}

/// Old archives sum signed bytes; both sums are in use.
fn verify_checksum(block: &[u8; BLOCK as usize], header: &Header, at: u64) -> Result<(), TarError> {
    let expected = header.cksum().map_err(|_| TarError::Checksum(at))?;
    let bytes = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
    let unsigned: u32 = bytes().map(|&b| u32::from(b)).sum();
    let signed: i32 = bytes().map(|&b| i32::from(b as i8)).sum();
    if expected == unsigned || i64::from(expected) == i64::from(signed) { Ok(()) } else { Err(TarError::Checksum(at)) }
}
