//! Applies cut lists to old layers and gives one new layer.
//!
//! ```text
//! read:  blob -> codec -> diff ID -> cut list
//! write: cut list -> diff ID -> codec -> digest and size -> output
//! ```
//!
//! An old gzip layer that was mapped by the scan is not read again from its start: what is kept is decoded from near
//! where it lies, for the new diff ID, and its deflate symbols are used again.

use std::io::{self, BufRead, Read, Write};
use std::ops::Range;

use super::codec::{self, Compression, Encoder, Old, Reuse, SeekMap, SpliceError, Workers};
use super::cut::{CutList, Piece};
use super::header::{self, HeaderEdit, HeaderError};
use crate::blob::{BlobFacts, HashingWriter, ReadAt, Tally, VerifyingLayer};
use crate::digest::Digest;
use crate::hasher::{Hasher, LayerHashers};

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

/// How a new layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// The compression.
    pub compression: Compression,
    /// How the deflate symbols of old layers are used again, where that can be; `None` if what is kept is compressed anew, which takes many times
    /// as long.
    pub reuse: Option<Reuse>,
    /// The level at which bytes are compressed afresh; `None` for the compression's usual one.
    pub level: Option<u32>,
}

/// Writes one new layer; old layers are added in order.
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    encoder: Encoder<HashingWriter<W>>,
    reuse: Option<Reuse>,
    tar: Tally,
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer; `workers` help to compress it, and `hashers`, which are new, to learn what it is.
    ///
    /// # Errors
    /// If a compressor cannot be made.
    pub fn new(
        packing: Packing,
        workers: Option<Workers>,
        hashers: LayerHashers,
        output: W,
    ) -> Result<Self, RewriteError> {
        let output = HashingWriter::new(output, hashers.blob);
        let encoder = Encoder::new(packing.compression, packing.level, workers, output);
        let encoder = encoder.map_err(RewriteError::Write)?;
        Ok(Self { encoder, reuse: packing.reuse, tar: Tally::new(hashers.tar) })
    }

    /// Adds what `cut` keeps of an old layer. Reads the old layer to its end, so that it is verified whole against its diff ID, with the
    /// help of the hasher beside it, which is new.
    ///
    /// # Errors
    /// As [`RewriteError`] says.
    pub fn add(
        &mut self,
        blob: impl Read,
        compression: Compression,
        (diff_id, hasher): (Digest, Hasher),
        cut: &CutList,
    ) -> Result<(), RewriteError> {
        let decoded = codec::decoder(compression, blob).map_err(|source| RewriteError::Read { offset: 0, source })?;
        let mut old = OldLayer { inner: VerifyingLayer::new(decoded, diff_id, hasher), offset: 0 };
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

    /// Adds what `cut` keeps of an old gzip layer that was mapped when it was verified. Reads only what is kept.
    ///
    /// # Errors
    /// As [`RewriteError`] says.
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

    /// Adds a whole decompressed layer as it is, end marker included; nothing may be added before or after.
    ///
    /// # Errors
    /// As [`RewriteError`] says.
    pub fn recompress(
        mut self,
        blob: impl Read,
        compression: Compression,
        diff_id: (Digest, Hasher),
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
        self.write(&END_MARKER)?;
        self.close()
    }

    fn close(self) -> Result<(W, Rewritten), RewriteError> {
        let (mut output, blob) = self.encoder.finish().map_err(RewriteError::Write)?.finish();
        output.flush().map_err(RewriteError::Write)?;
        Ok((output, Rewritten { blob, tar: self.tar.finish() }))
    }
}

/// The decompressed bytes of an old layer, and how far they have been read.
struct OldLayer<R> {
    inner: R,
    offset: u64,
}

impl<R: BufRead> OldLayer<R> {
    /// Passes bytes up to `end`, or the end of the layer, to `write`.
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
