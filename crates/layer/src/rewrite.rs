//! Applies cut lists to old layers and writes one new layer.
//!
//! ```text
//! read:  blob -> codec -> diff ID -> cut list
//! write: cut list -> diff ID -> codec -> digest and size -> output
//! ```
//!
//! If the scan mapped an old gzip layer, the layer is not read again from its start. Kept ranges are decoded from the
//! nearest seek point, for the new diff ID, and their deflate symbols are reused.

use std::io::{self, BufRead, Read, Write};
use std::ops::Range;

use super::codec::{self, Compression, Encoder, Old, Reuse, SeekMap, SpliceError, Workers};
use super::cut::{CutList, Piece};
use super::header::{self, HeaderEdit, HeaderError};
use crate::blob::{BlobFacts, HashingWriter, ReadAt, Tally, VerifyingLayer};
use crate::digest::Digest;
use crate::idle::IdleThreads;

/// A tar ends with two zero blocks.
const END_MARKER: [u8; 1024] = [0; 1024];

/// The digests and sizes of a new layer.
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
    /// The old layer cannot be read. Offsets are into the decompressed layer.
    #[error("cannot read at byte {offset}")]
    Read {
        /// The offset.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The new layer cannot be written.
    #[error("cannot write the new layer")]
    Write(#[source] io::Error),
    /// A member's headers cannot be edited.
    #[error("cannot edit the headers at byte {offset}")]
    Header {
        /// Start of the headers.
        offset: u64,
        /// The cause.
        source: HeaderError,
    },
}

/// The compression settings of a new layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// The compression.
    pub compression: Compression,
    /// How deflate symbols of old layers are reused where possible. `None` compresses kept content from scratch, which
    /// takes many times as long.
    pub reuse: Option<Reuse>,
    /// The level for new data. `None` selects the compression's usual level.
    pub level: Option<u32>,
}

/// Writes one new layer. Old layers are added in order.
#[derive(Debug)]
pub struct LayerWriter<'w> {
    // Not generic, so that the codec is compiled, and optimised, in this crate.
    encoder: Encoder<HashingWriter<&'w mut (dyn Write + Send)>>,
    reuse: Option<Reuse>,
    tar: Tally,
}

impl<'w> LayerWriter<'w> {
    /// Starts a layer, whose blob is written to `output`. `workers` help to compress it. The diff ID is computed on one of the `idle` threads, if there are
    /// any.
    ///
    /// # Errors
    /// If the compressor cannot be created.
    pub fn new(
        packing: Packing,
        workers: Option<Workers>,
        idle: Option<IdleThreads>,
        output: &'w mut (dyn Write + Send),
    ) -> Result<Self, RewriteError> {
        let output = HashingWriter::new(output);
        let encoder = Encoder::new(packing.compression, packing.level, workers, output);
        let encoder = encoder.map_err(RewriteError::Write)?;
        Ok(Self { encoder, reuse: packing.reuse, tar: Tally::new(idle) })
    }

    /// Adds what `cut` keeps of an old layer. Reads the old layer to its end and verifies all of it against its diff
    /// ID.
    ///
    /// # Errors
    /// See [`RewriteError`].
    pub fn add(
        &mut self,
        blob: &mut dyn Read,
        compression: Compression,
        diff_id: Digest,
        cut: &CutList,
    ) -> Result<(), RewriteError> {
        let decoded = codec::decoder(compression, blob).map_err(|source| RewriteError::Read { offset: 0, source })?;
        let mut old = OldLayer { inner: VerifyingLayer::new(decoded, diff_id, None), offset: 0 };
        for piece in cut.pieces() {
            match piece {
                Piece::Insert(bytes) => self.write(bytes)?,
                Piece::Keep(range) => {
                    old.pass(range.start, |_| Ok(()))?;
                    old.pass(range.end, |bytes| self.write(bytes))?;
                }
                Piece::Edit(range, edit) => {
                    old.pass(range.start, |_| Ok(()))?;
                    let headers = old.headers(range)?;
                    self.edit(&headers, range, edit)?;
                }
            }
        }
        old.pass(u64::MAX, |_| Ok(()))
    }

    /// Adds what `cut` keeps of an old gzip layer that was verified and mapped before. Reads only what is kept.
    ///
    /// # Errors
    /// See [`RewriteError`].
    pub fn splice(&mut self, blob: &dyn ReadAt, map: &SeekMap, cut: &CutList) -> Result<(), RewriteError> {
        let mut old = Old::new(blob, map);
        let read = |range: &Range<u64>| {
            let offset = range.start;
            move |source| RewriteError::Read { offset, source }
        };
        for piece in cut.pieces() {
            match piece {
                Piece::Insert(bytes) => self.write(bytes)?,
                Piece::Keep(range) => self.keep(&mut old, range)?,
                Piece::Edit(range, edit) => {
                    let headers = old.bytes(range.clone()).map_err(read(range))?;
                    self.edit(&headers, range, edit)?;
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, old: &mut Old<'_>, range: &Range<u64>) -> Result<(), RewriteError> {
        let Self { encoder, tar, reuse } = self;
        let kept = match (encoder, *reuse) {
            (Encoder::Gzip(splicer), Some(reuse)) => {
                splicer.keep(old, range.clone(), reuse, &mut |bytes| tar.update(bytes))
            }
            (encoder, _) => old.pass(range.clone(), |bytes| {
                tar.update(bytes);
                encoder.write_all(bytes)
            }),
        };
        kept.map_err(|error| match error {
            SpliceError::Read(source) => RewriteError::Read { offset: range.start, source },
            SpliceError::Write(source) => RewriteError::Write(source),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RewriteError> {
        self.tar.update(bytes);
        self.encoder.write_all(bytes).map_err(RewriteError::Write)
    }

    fn edit(&mut self, headers: &[u8], range: &Range<u64>, edit: &HeaderEdit) -> Result<(), RewriteError> {
        let edited =
            header::edit(headers, edit).map_err(|source| RewriteError::Header { offset: range.start, source })?;
        self.write(&edited)
    }

    /// Adds a whole decompressed layer unchanged, end marker included. Nothing else may be added.
    ///
    /// # Errors
    /// See [`RewriteError`].
    pub fn recompress(
        mut self,
        blob: &mut dyn Read,
        compression: Compression,
        diff_id: Digest,
    ) -> Result<Rewritten, RewriteError> {
        let mut cut = CutList::default();
        cut.keep(0..u64::MAX);
        self.add(blob, compression, diff_id, &cut)?;
        self.close()
    }

    /// Ends the layer, and flushes the output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<Rewritten, RewriteError> {
        self.write(&END_MARKER)?;
        self.close()
    }

    fn close(self) -> Result<Rewritten, RewriteError> {
        let (output, blob) = self.encoder.finish().map_err(RewriteError::Write)?.finish();
        output.flush().map_err(RewriteError::Write)?;
        Ok(Rewritten { blob, tar: self.tar.finish() })
    }
}

/// The decompressed bytes of an old layer, and how many were read.
struct OldLayer<R> {
    inner: R,
    offset: u64,
}

impl<R: BufRead> OldLayer<R> {
    /// Passes bytes to `write`, up to `end` or the end of the layer.
    fn pass(&mut self, end: u64, mut write: impl FnMut(&[u8]) -> Result<(), RewriteError>) -> Result<(), RewriteError> {
        while self.offset < end {
            let bytes = match self.inner.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(RewriteError::Read { offset: self.offset, source });
                }
            };
            let count = bytes.len().min(usize::try_from(end - self.offset).unwrap_or(usize::MAX));
            write(&bytes[..count])?;
            self.inner.consume(count);
            self.offset += count as u64;
        }
        Ok(())
    }

    fn headers(&mut self, range: &Range<u64>) -> Result<Vec<u8>, RewriteError> {
        let mut headers = Vec::new();
        self.pass(range.end, |bytes| {
            headers.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(headers)
    }
}
