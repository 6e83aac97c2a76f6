//! Blobs before they are verified.

use std::io::{self, Read};

use super::BlobReader;
use crate::blob::VerifyingReader;
use crate::image::Descriptor;

/// A blob as a medium gives it. Its bytes come only from [`RawBlob::verified`], so no source verifies them itself,
/// and no caller can forget to.
pub struct RawBlob {
    reader: BlobReader,
    at_end: Option<AtEnd>,
}

/// What is done once a blob was read to its end and is what its descriptor says.
type AtEnd = Box<dyn FnOnce() + Send>;

impl RawBlob {
    /// Wraps a reader of unverified bytes.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self { reader: Box::new(reader), at_end: None }
    }

    /// Calls `at_end` once the blob was read to its end and verified.
    pub fn at_end(self, at_end: impl FnOnce() + Send + 'static) -> Self {
        Self { at_end: Some(Box::new(at_end)), ..self }
    }

    /// Returns the bytes. The reader fails at its end if they are not the descriptor's, and earlier if there are too
    /// many.
    pub fn verified(self, descriptor: &Descriptor) -> BlobReader {
        let inner = VerifyingReader::new(self.reader, descriptor.facts());
        Box::new(VerifiedBlob { inner, at_end: self.at_end })
    }
}

impl std::fmt::Debug for RawBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawBlob")
    }
}

struct VerifiedBlob {
    inner: VerifyingReader<BlobReader>,
    at_end: Option<AtEnd>,
}

impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(at_end) = self.at_end.take()
        {
            at_end();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn only_a_blob_that_is_what_its_descriptor_says_reads_to_its_end() {
        let descriptor = Descriptor::of("text/plain", b"right");
        for (bytes, is_right) in [("right", true), ("wrong", false), ("righ", false), ("right and more", false)] {
            let ended = Arc::new(AtomicBool::new(false));
            let end = ended.clone();
            let raw = RawBlob::new(bytes.as_bytes()).at_end(move || end.store(true, Ordering::Relaxed));
            let read = io::copy(&mut raw.verified(&descriptor), &mut io::sink());
            assert_eq!((read.is_ok(), ended.load(Ordering::Relaxed)), (is_right, is_right), "{bytes}");
        }
    }
}
