//! Computes digests and sizes while bytes are read or written.
//!
//! A blob is read only through [`VerifyingReader`], and its decompressed bytes only through `VerifyingLayer`, so
//! verification cannot be forgotten. A blob is written only through [`HashingWriter`]. Only its consuming `finish`
//! returns a digest.

use std::io::{self, BufRead, Read, Write};

use crate::digest::Digest;
use crate::hasher::Hasher;
use crate::idle::IdleThreads;

/// Digest and size of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobFacts {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// How bytes differ from their descriptor or config. Wrapped in an [`io::Error`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Mismatch {
    /// The bytes have another digest.
    #[error("{what} mismatch: expected {expected}, got {actual}")]
    Digest {
        /// `digest` or `diff ID`.
        what: &'static str,
        /// The digest in the descriptor or config.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// There are more bytes than in the descriptor.
    #[error("blob is longer than the {expected} bytes of its descriptor")]
    TooLong {
        /// The size in the descriptor.
        expected: u64,
    },
    /// There are fewer bytes than in the descriptor.
    #[error("blob ends after {actual} of the {expected} bytes of its descriptor")]
    TooShort {
        /// The size in the descriptor.
        expected: u64,
        /// The number of bytes.
        actual: u64,
    },
}

impl From<Mismatch> for io::Error {
    fn from(mismatch: Mismatch) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, mismatch)
    }
}

/// A blob with random access.
pub trait ReadAt: Send + Sync {
    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// If the blob cannot be read, or ends too early.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Storage outside of memory.
pub trait Scratch: ReadAt {
    /// Appends bytes and returns their offset.
    ///
    /// # Errors
    /// If they cannot be written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64>;
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Scratch for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.len() as u64;
        self.extend_from_slice(bytes);
        Ok(start)
    }
}

/// Reads until `buffer` is full or the reader ends. Returns the number of bytes read.
///
/// # Errors
/// If the reader fails.
pub fn read_full(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Implements [`Read::read`] for a buffered reader.
///
/// # Errors
/// If the reader fails.
pub fn read_buffered(reader: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let count = reader.fill_buf()?.read(buffer)?;
    reader.consume(count);
    Ok(count)
}

/// Appends at most `count` bytes of a reader to `bytes` and returns their number. Unlike [`Read::read_to_end`], it does
/// not clear memory before writing to it.
///
/// # Errors
/// If the reader fails.
pub fn read_onto(bytes: &mut Vec<u8>, reader: &mut (impl BufRead + ?Sized), count: u64) -> io::Result<u64> {
    let mut left = count;
    while left > 0 {
        let held = match reader.fill_buf() {
            Ok([]) => break,
            Ok(held) => held,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let step = held.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        bytes.extend_from_slice(&held[..step]);
        reader.consume(step);
        left -= step as u64;
    }
    Ok(count - left)
}

/// The expected digest and size, and the bytes so far.
#[derive(Debug)]
struct Expected {
    what: &'static str,
    hasher: Option<Hasher>,
    digest: Digest,
    size: Option<u64>,
    read: u64,
}

impl Expected {
    fn see(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.read += bytes.len() as u64;
        if let Some(expected) = self.size.filter(|&size| self.read > size) {
            return Err(Mismatch::TooLong { expected });
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Mismatch> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        if let Some(expected) = self.size.filter(|&size| size != self.read) {
            return Err(Mismatch::TooShort { expected, actual: self.read });
        }
        let actual = hasher.finish();
        if actual != self.digest {
            return Err(Mismatch::Digest { what: self.what, expected: self.digest, actual });
        }
        Ok(())
    }
}

/// A reader that verifies a blob. It fails at the end if the bytes do not match the digest or size, and earlier if
/// there are too many bytes.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    expected: Expected,
}

impl<R: Read> VerifyingReader<R> {
    /// Verifies a blob against the digest and size of its descriptor.
    pub fn new(inner: R, expected: BlobFacts) -> Self {
        let BlobFacts { digest, size } = expected;
        let hasher = Some(Hasher::new(None));
        let expected = Expected { what: "digest", hasher, digest, size: Some(size), read: 0 };
        Self { inner, expected }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.expected.end()?;
        } else {
            self.expected.see(&buffer[..count])?;
        }
        Ok(count)
    }
}

/// A reader that verifies the decompressed bytes of a layer, without copying them.
#[derive(Debug)]
pub(crate) struct VerifyingLayer<R> {
    inner: R,
    expected: Expected,
    /// Bytes that were hashed but not consumed.
    ahead: usize,
}

impl<R: BufRead> VerifyingLayer<R> {
    /// Verifies a layer against its diff ID, which it computes on an idle thread if there is one.
    pub(crate) fn new(inner: R, diff_id: Digest, idle: Option<IdleThreads>) -> Self {
        let hasher = Some(Hasher::new(idle));
        let expected = Expected { what: "diff ID", hasher, digest: diff_id, size: None, read: 0 };
        Self { inner, expected, ahead: 0 }
    }
}

impl<R: BufRead> BufRead for VerifyingLayer<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.inner.fill_buf()?;
        if self.ahead == 0 {
            if bytes.is_empty() {
                self.expected.end()?;
            } else {
                self.expected.see(bytes)?;
            }
            self.ahead = bytes.len();
        }
        Ok(&bytes[..self.ahead])
    }

    fn consume(&mut self, count: usize) {
        self.ahead -= count.min(self.ahead);
        self.inner.consume(count);
    }
}

impl<R: BufRead> Read for VerifyingLayer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// Hashes and counts bytes.
#[derive(Debug)]
pub(crate) struct Tally {
    hasher: Hasher,
    size: u64,
}

impl Tally {
    /// Hashes on an idle thread if there is one.
    pub(crate) fn new(idle: Option<IdleThreads>) -> Self {
        Self { hasher: Hasher::new(idle), size: 0 }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Returns the digest and size of the bytes.
    pub(crate) fn finish(self) -> BlobFacts {
        BlobFacts { digest: self.hasher.finish(), size: self.size }
    }
}

/// A writer that hashes and counts the bytes that pass through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    tally: Tally,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, tally: Tally::new(None) }
    }

    /// Returns the inner writer, and the digest and size of the written bytes.
    pub fn finish(self) -> (W, BlobFacts) {
        (self.inner, self.tally.finish())
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.tally.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(bytes: &[u8]) -> BlobFacts {
        BlobFacts { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    fn mismatch(content: &[u8], expected: BlobFacts) -> Mismatch {
        let error = io::copy(&mut VerifyingReader::new(content, expected), &mut io::sink())
            .expect_err("the reader accepts a wrong blob");
        error.downcast().expect("the error is not a mismatch")
    }

    #[test]
    fn a_blob_that_is_not_what_its_descriptor_says_never_reads_to_its_end() {
        let expected = facts(b"right");
        assert!(matches!(mismatch(b"wrong", expected), Mismatch::Digest { .. }));
        assert!(matches!(mismatch(b"righ", expected), Mismatch::TooShort { actual: 4, .. }));
        assert!(matches!(mismatch(b"right and more", expected), Mismatch::TooLong { expected: 5 }));
        assert!(io::copy(&mut VerifyingReader::new(&b"right"[..], expected), &mut io::sink()).is_ok());
    }

    #[test]
    fn a_writer_learns_the_digest_and_size_of_what_passed() {
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(b"some").unwrap();
        writer.write_all(b"thing").unwrap();
        assert_eq!(writer.finish(), (b"something".to_vec(), facts(b"something")));
    }
}
