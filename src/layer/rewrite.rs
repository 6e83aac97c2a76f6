//! Applies cut lists to old layers and gives one new layer.
//!
//! ```text
//! read:  blob -> codec -> diff ID -> cut list
//! write: cut list -> diff ID -> codec -> digest and size -> output
//! ```

use std::io::{self, Read, Write};
use std::ops::Range;

use super::codec::{self, Compression, Encoder};
use super::cut::{CutList, Piece};
use super::header::{self, HeaderError};
use crate::blob::{BlobFacts, HashingWriter, VerifyingReader};
use crate::digest::Digest;

/// Two zero blocks end a tar.
const END_MARKER: [u8; 1024] = [0; 1024];

/// Facts of a new layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Digest and size of the compressed layer.
    pub blob: BlobFacts,
    /// Digest (diff ID) and size of the decompressed layer.
    pub tar: BlobFacts,
}

/// Why a layer cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The old layer cannot be read. Bytes are those of the decompressed layer.
    #[error("cannot read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The new layer cannot be written.
    #[error("cannot write the new layer")]
    Write(#[source] io::Error),
    /// A member's headers cannot be edited.
    #[error("cannot edit the headers at byte {offset}")]
    Header {
        /// Where they start.
        offset: u64,
        /// Why.
        source: HeaderError,
    },
}

/// Writes one new layer; old layers are added in order.
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    output: HashingWriter<Encoder<HashingWriter<W>>>,
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer.
    ///
    /// # Errors
    /// If a compressor cannot be made.
    pub fn new(compression: Compression, output: W) -> Result<Self, RewriteError> {
        let encoder = Encoder::new(compression, HashingWriter::new(output)).map_err(RewriteError::Write)?;
        Ok(Self { output: HashingWriter::new(encoder) })
    }

    /// Adds what `cut` keeps of an old layer. Reads the old layer to its end, so that it is verified whole.
    ///
    /// # Errors
    /// As [`RewriteError`] says.
    pub fn add(
        &mut self,
        blob: impl Read,
        compression: Compression,
        diff_id: Digest,
        cut: &CutList,
    ) -> Result<(), RewriteError> {
        let decoded = codec::decoder(compression, blob).map_err(|source| RewriteError::Read { offset: 0, source })?;
        let mut old =
            OldLayer { inner: VerifyingReader::diff_id(decoded, diff_id), offset: 0, buffer: vec![0; 128 << 10] };
        for piece in cut.pieces() {
            match piece {
                Piece::Insert(bytes) => self.output.write_all(bytes).map_err(RewriteError::Write)?,
                Piece::Keep(range) => {
                    old.pass(range.start, &mut io::sink())?;
                    old.pass(range.end, &mut self.output)?;
                }
                Piece::Edit(range, edit) => {
                    old.pass(range.start, &mut io::sink())?;
                    let headers = old.headers(range)?;
                    let edited = header::edit(&headers, edit)
                        .map_err(|source| RewriteError::Header { offset: range.start, source })?;
                    self.output.write_all(&edited).map_err(RewriteError::Write)?;
                }
            }
        }
        old.pass(u64::MAX, &mut io::sink())
    }

    /// Adds a whole decompressed layer as it is, end marker included; nothing may be added before or after.
    ///
    /// # Errors
    /// As [`RewriteError`] says.
    pub fn recompress(
        mut self,
        blob: impl Read,
        compression: Compression,
        diff_id: Digest,
    ) -> Result<(W, Rewritten), RewriteError> {
        let mut cut = CutList::default();
        cut.keep(0..u64::MAX);
        self.add(blob, compression, diff_id, &cut)?;
        self.close()
    }

    /// Ends the layer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(W, Rewritten), RewriteError> {
        self.output.write_all(&END_MARKER).map_err(RewriteError::Write)?;
        self.close()
    }

    fn close(self) -> Result<(W, Rewritten), RewriteError> {
        let (encoder, tar) = self.output.finish();
        let (mut output, blob) = encoder.finish().map_err(RewriteError::Write)?.finish();
        output.flush().map_err(RewriteError::Write)?;
        Ok((output, Rewritten { blob, tar }))
    }
}

/// The decompressed bytes of an old layer, and how far they have been read.
struct OldLayer<R> {
    inner: R,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: Read> OldLayer<R> {
    /// Passes bytes up to `end`, or the end of the layer, to `output`.
    fn pass(&mut self, end: u64, output: &mut impl Write) -> Result<(), RewriteError> {
        while self.offset < end {
            let want = self.buffer.len().min(usize::try_from(end - self.offset).unwrap_or(usize::MAX));
            let count = match self.inner.read(&mut self.buffer[..want]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(RewriteError::Read { offset: self.offset, source });
                }
            };
            output.write_all(&self.buffer[..count]).map_err(RewriteError::Write)?;
            self.offset += count as u64;
        }
        Ok(())
    }

    fn headers(&mut self, range: &Range<u64>) -> Result<Vec<u8>, RewriteError> {
        let mut headers = Vec::new();
        self.pass(range.end, &mut headers)?;
        Ok(headers)
    }
}
