//! Reads the members of a tar stream with their byte ranges, extension headers included.
//!
//! pydock has its own tar reader because it needs byte ranges, and limits that apply before memory is allocated. The
//! reader follows POSIX pax and GNU tar as Go's `archive/tar` (`reader.go`) does, because container runtimes unpack
//! images with it. Extension headers are limited to 1 MiB. A link or directory has no data, whatever its size field is.
//! An empty numeric field is zero. Global headers are reported but not applied.

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header};

use super::entry::{Entry, EntryKind, Span};
use super::pax;
use crate::blob::read_full;
use crate::budget::OverBudget;
use crate::rootfs_path::{PathError, RootfsPath, excerpt};

/// Size of a tar block, in bytes.
pub const BLOCK: u64 = 512;
/// The largest extension header, in bytes. Go's `archive/tar` has the same limit.
pub const MAX_EXTENSION: u64 = 1 << 20;
/// The most bytes that all headers of one member may take. They are read into memory when the member is edited.
pub const MAX_HEADERS: u64 = 8 << 20;
/// The magic of a header whose prefix field continues the path, for any version field. GNU's magic ends with a space.
pub(super) const USTAR_MAGIC: &[u8; 6] = b"ustar\0";

/// Why a tar stream cannot be read. Offsets are in bytes into the decompressed layer.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes cannot be read.
    #[error("cannot read at byte {offset}")]
    Read {
        /// The offset.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// A member's data cannot be read.
    #[error("entry `{path}`: cannot read at byte {offset}")]
    ReadData {
        /// The member.
        path: String,
        /// The offset.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The stream ends inside a header.
    #[error("the tar is cut in a header at byte {0}")]
    CutHeader(u64),
    /// The stream ends inside a member's data.
    #[error("entry `{path}`: the tar is cut {missing} bytes before the end of its data")]
    CutData {
        /// The member.
        path: String,
        /// Number of missing bytes.
        missing: u64,
    },
    /// The header's checksum is wrong.
    #[error("tar header checksum mismatch at byte {0}")]
    Checksum(u64),
    /// A numeric field is not a number, or too large.
    #[error("entry `{path}`: header field `{field}` at byte {offset} is not a number")]
    Field {
        /// The member.
        path: String,
        /// The field.
        field: &'static str,
        /// Start of the header.
        offset: u64,
    },
    /// An extension header is larger than [`MAX_EXTENSION`].
    #[error("an extension header at byte {offset} claims {size} bytes; at most {MAX_EXTENSION} are allowed")]
    Extension {
        /// Start of the extension header.
        offset: u64,
        /// Its size field.
        size: u64,
    },
    /// The headers of one member are larger than [`MAX_HEADERS`].
    #[error("the headers of the entry at byte {0} are larger than {MAX_HEADERS} bytes")]
    Headers(u64),
    /// The image is too large.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// A PAX record is not `LENGTH KEY=VALUE\n`.
    #[error("a PAX header at byte {0} holds a malformed record")]
    Pax(u64),
    /// An entry of a kind that no image unpacker supports has data.
    #[error("entry `{path}` has an unknown type and {size} bytes of data")]
    Payload {
        /// The entry.
        path: String,
        /// Its size field.
        size: u64,
    },
    /// A path or link target is invalid.
    #[error("entry `{entry}`: {source}")]
    Path {
        /// The entry as written.
        entry: String,
        /// The cause.
        source: PathError,
    },
    /// There are bytes after the end marker.
    #[error("trailing bytes after the end of the tar, from byte {0}")]
    Trailing(u64),
}

/// Reads a tar stream member by member.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    offset: u64,
    /// End of the current member.
    end: u64,
}

/// The extension headers of the next member.
#[derive(Default)]
struct Extensions {
    /// The last PAX header. Earlier ones are ignored.
    pax: Pax,
    /// GNU's long name and link target. They take precedence over PAX.
    path: Vec<u8>,
    link: Vec<u8>,
}

/// A PAX header. An empty value does not override the member's own header.
#[derive(Default)]
struct Pax {
    path: Vec<u8>,
    link: Vec<u8>,
    size: Option<u64>,
    sparse_name: Vec<u8>,
}

impl<R: BufRead> TarReader<R> {
    /// Starts at the first byte of a tar.
    pub fn new(inner: R) -> Self {
        Self { inner, offset: 0, end: 0 }
    }

    /// Returns the number of bytes read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next member and skips the rest of the current one. Returns `None` after the end marker, when the
    /// whole stream was read.
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let start = self.end;
        let mut extensions = Extensions::default();
        loop {
            let at = self.offset;
            if at - start > MAX_HEADERS {
                return Err(TarError::Headers(start));
            }
            // Extension headers without a member are ignored.
            let Some(block) = self.block()? else { return Ok(None) };
            if block.iter().all(|&b| b == 0) {
                self.drain_zeros()?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            verify_checksum(&block, header, at)?;
            match header.entry_type() {
                EntryType::XHeader => extensions.pax = Pax::parse(&self.extension(header, at)?, at)?,
                EntryType::GNULongName => extensions.path = text(self.extension(header, at)?),
                EntryType::GNULongLink => extensions.link = text(self.extension(header, at)?),
                _ => return self.member(start, at, header, extensions).map(Some),
            }
        }
    }

    /// Returns a reader of the data of `entry`, which must be the last one from [`Self::next_entry`].
    pub fn data<'a>(&'a mut self, entry: &'a Entry) -> impl BufRead + 'a {
        let left = (entry.span.data_start + entry.size).saturating_sub(self.offset);
        Data { tar: self, left }
    }

    /// Returns the error for a failed read from [`Self::data`].
    pub fn data_error(&self, entry: &Entry, source: io::Error) -> TarError {
        TarError::ReadData { path: excerpt(entry.path.as_bytes()), offset: self.offset, source }
    }

    /// Skips the rest of `entry`, which must be the last one from [`Self::next_entry`].
    ///
    /// # Errors
    /// If the stream ends before the entry does.
    pub fn finish_entry(&mut self, entry: &Entry) -> Result<(), TarError> {
        let left = self.end.saturating_sub(self.offset);
        let skipped = self.skip(left).map_err(|source| self.data_error(entry, source))?;
        let data_end = entry.span.data_start + entry.size;
        if self.offset < data_end {
            return Err(TarError::CutData { path: excerpt(entry.path.as_bytes()), missing: data_end - self.offset });
        }
        if skipped < left {
            return Err(TarError::CutHeader(self.offset));
        }
        Ok(())
    }

    /// Skips bytes without copying them. Returns how many were skipped.
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
        let Extensions { pax, path, link } = extensions;
        let raw = [pax.sparse_name, path, pax.path].into_iter().find(|path| !path.is_empty());
        let raw = raw.unwrap_or_else(|| header_path(header));
        let field = |field| TarError::Field { path: excerpt(&raw), field, offset: at };
        let size = match pax.size {
            Some(size) => size,
            None => number(&header.as_old().size).ok_or_else(|| field("size"))?,
        };
        let path_error = |source| TarError::Path { entry: excerpt(&raw), source };
        if header.entry_type() == EntryType::GNUSparse {
            self.sparse_blocks(header)?;
        }
        let link = [link, pax.link].into_iter().find(|link| !link.is_empty());
        let link = link.unwrap_or_else(|| text(header.as_old().linkname.to_vec()));
        let kind = match header.entry_type() {
            // A V7 tar marks a directory only by its name.
            EntryType::Regular if raw.ends_with(b"/") && header.as_old().linkflag == [0] => EntryKind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::File,
            EntryType::Link => EntryKind::HardLink(RootfsPath::parse(&link).map_err(path_error)?),
            EntryType::Symlink if link.len() > RootfsPath::MAX => {
                return Err(path_error(PathError::TooLong(excerpt(&link))));
            }
            EntryType::Symlink => EntryKind::Symlink(link.into()),
            EntryType::Directory => EntryKind::Directory,
            EntryType::XGlobalHeader => EntryKind::GlobalHeader,
            _ => EntryKind::Special,
        };
        let has_data = match kind {
            EntryKind::File | EntryKind::GlobalHeader => true,
            EntryKind::Special => !matches!(header.entry_type(), EntryType::Char | EntryType::Block | EntryType::Fifo),
            _ => false,
        };
        // Some writers set the size of a link to that of its target.
        let size = if has_data { size } else { 0 };
        if size > 0 && kind == EntryKind::Special {
            return Err(TarError::Payload { path: excerpt(&raw), size });
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
            mode: (number(&header.as_old().mode).unwrap_or(0) & 0o7777) as u16,
        })
    }

    /// Skips the additional blocks of an old GNU sparse header.
    fn sparse_blocks(&mut self, header: &Header) -> Result<(), TarError> {
        // Byte 482 of the header, and 504 of an additional block, is set if another block follows.
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
        let size = number(&header.as_old().size).ok_or(TarError::Pax(at))?;
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

    /// Reads one block. Returns `None` at the end of the stream.
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

    /// Reads to the end of the stream. Only zeros may follow the end marker.
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

impl Pax {
    fn parse(records: &[u8], at: u64) -> Result<Self, TarError> {
        let mut parsed = Self::default();
        for record in pax::records(records) {
            let pax::Record { key, value } = record.map_err(|pax::Malformed| TarError::Pax(at))?;
            match key {
                b"path" => parsed.path = value.to_vec(),
                b"linkpath" => parsed.link = value.to_vec(),
                b"GNU.sparse.name" => parsed.sparse_name = value.to_vec(),
                b"size" if value.is_empty() => parsed.size = None,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    parsed.size = Some(size.ok_or(TarError::Pax(at))?);
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// Returns the path in a member's own header. The prefix field of a ustar header, or the shorter one of a star header,
/// precedes the name. A GNU header keeps times there.
fn header_path(header: &Header) -> Vec<u8> {
    let block = header.as_bytes();
    let name = text(block[..100].to_vec());
    if block[257..263] != *USTAR_MAGIC {
        return name;
    }
    let prefix = if block[508..512] == *b"tar\0" { &block[345..476] } else { &block[345..500] };
    let prefix = text(prefix.to_vec());
    if prefix.is_empty() { name } else { [&prefix[..], b"/", &name].concat() }
}

/// Parses a numeric field: octal digits between spaces and NULs, or GNU's base-256. A blank field is zero. Returns
/// `None` if the number is malformed, negative or too large.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let bytes = std::iter::once(field[0] & 0x7f).chain(field[1..].iter().copied());
        let is_negative = field[0] & 0x40 != 0;
        let value = bytes
            .into_iter()
            .try_fold(0_u64, |value, byte| value.checked_mul(256).map(|value| value | u64::from(byte)));
        return value.filter(|_| !is_negative);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !is_blank(byte)) else { return Some(0) };
    let digits = &field[start..];
    let digits = &digits[..digits.iter().position(|&byte| byte == 0).unwrap_or(digits.len())];
    let end = digits.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    u64::from_str_radix(std::str::from_utf8(&digits[..end]).ok().filter(|text| !text.starts_with('+'))?, 8).ok()
}

/// Cuts a text at its first NUL, as for a GNU long name.
fn text(mut data: Vec<u8>) -> Vec<u8> {
    if let Some(end) = data.iter().position(|&b| b == 0) {
        data.truncate(end);
    }
    data
}

/// Verifies the checksum. Some old archives sum signed bytes, so both sums are accepted.
fn verify_checksum(block: &[u8; BLOCK as usize], header: &Header, at: u64) -> Result<(), TarError> {
    let expected = number(&header.as_old().cksum).and_then(|sum| u32::try_from(sum).ok());
    let expected = expected.ok_or(TarError::Checksum(at))?;
    let bytes = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
    let unsigned: u32 = bytes().map(|&b| u32::from(b)).sum();
    let signed: i32 = bytes().map(|&b| i32::from(b as i8)).sum();
    if expected == unsigned || i64::from(expected) == i64::from(signed) { Ok(()) } else { Err(TarError::Checksum(at)) }
}
