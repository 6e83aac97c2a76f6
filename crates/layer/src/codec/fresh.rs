//! Compresses new bytes to deflate blocks. Long runs are compressed in chunks by libdeflate, the fastest encoder at its
//! ratio, which supports no dictionary. Short runs are compressed by zlib-rs, with the preceding bytes as the
//! dictionary.
//!
//! Both encoders write a whole stream. The decoder finds its blocks, and the final-block bit of the last one is
//! cleared. The blocks can then follow each other at any bit offset.

use std::io::{self, Write};

use flate2::{Compress, FlushCompress, Status};
use libdeflater::{CompressionLvl, Compressor};

use super::bits::BitWriter;
use super::deflate::LONGEST_STORED;
use super::inflate::{Inflate, Stop, Want};
use super::kind::Kind;

/// Bytes that are compressed together. The chunk size is fixed, so the output does not depend on how the bytes arrive.
pub(super) const CHUNK: usize = 512 << 10;
/// Runs shorter than this need the preceding bytes to compress well.
const SHORT: usize = 32 << 10;
/// zlib's highest level.
const ZLIB_MOST: u32 = 9;

/// Deflate blocks that can be part of another stream.
pub(super) struct Blocks {
    stream: Vec<u8>,
    /// The kind and the first bit of each run of blocks.
    starts: Vec<(Kind, u64)>,
    end: u64,
}

impl Blocks {
    /// Compresses at most [`CHUNK`] bytes at a level of libdeflate. `before` holds the bytes that precede them in the
    /// new stream.
    pub(super) fn new(level: u32, before: &[u8], bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() < SHORT {
            Self::find(with_dictionary(level, before, bytes)?, before)
        } else {
            Self::find(by_itself(level, bytes)?, &[])
        }
    }

    /// Returns compressed blocks that end at bit `end`. None of them may be the last of a stream.
    pub(super) fn packed(stream: Vec<u8>, end: u64) -> Self {
        Self { stream, starts: vec![(Kind::Packed, 0)], end }
    }

    /// Stores bytes uncompressed in stored blocks.
    pub(super) fn stored(bytes: &[u8]) -> Self {
        let (mut stream, mut starts) = (Vec::with_capacity(bytes.len() + bytes.len() / 1024 + 8), Vec::new());
        for bytes in bytes.chunks(LONGEST_STORED) {
            starts.push((Kind::Stored, stream.len() as u64 * 8));
            // Not the last block, and stored. The length starts at the next byte boundary (RFC 1951, 3.2.4).
            let length = bytes.len() as u16;
            stream.push(0);
            stream.extend_from_slice(&length.to_le_bytes());
            stream.extend_from_slice(&(!length).to_le_bytes());
            stream.extend_from_slice(bytes);
        }
        let end = stream.len() as u64 * 8;
        Self { stream, starts, end }
    }

    fn find(stream: Vec<u8>, before: &[u8]) -> io::Result<Self> {
        let mut inflate = Inflate::new();
        inflate.resume(before);
        let (mut starts, mut at) = (Vec::new(), 0);
        note(&stream, at as u64, &mut starts);
        loop {
            let stop = inflate.step(&stream, &mut at, true, Want::All)?;
            inflate.take(usize::MAX);
            match stop {
                Stop::Block { is_last: true } => return Ok(Self { stream, starts, end: at as u64 }),
                Stop::Block { is_last: false } => note(&stream, at as u64, &mut starts),
                _ => {}
            }
        }
    }

    /// Writes the blocks.
    pub(super) fn write(&self, output: &mut BitWriter<impl Write>) -> io::Result<()> {
        let ends = self.starts.iter().skip(1).map(|(_, start)| *start).chain([self.end]);
        for ((kind, start), end) in self.starts.iter().zip(ends) {
            let start = kind.begin(*start, output);
            output.put_range(&self.stream, start as usize, end as usize)?;
        }
        Ok(())
    }
}

/// Records a block, unless it continues a run of compressed blocks.
fn note(stream: &[u8], start: u64, starts: &mut Vec<(Kind, u64)>) {
    let bit = |at: u64| stream.get((at / 8) as usize).map_or(0, |byte| byte >> (at % 8) & 1);
    let kind = Kind::of(bit(start) | bit(start + 1) << 1 | bit(start + 2) << 2);
    if kind != Kind::Packed || starts.last().is_none_or(|(last, _)| *last != Kind::Packed) {
        starts.push((kind, start));
    }
}

fn by_itself(level: u32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level as i32).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.deflate_compress_bound(bytes.len())];
    let size = compressor.deflate_compress(bytes, &mut packed).map_err(io::Error::other)?;
    packed.truncate(size);
    Ok(packed)
}

fn with_dictionary(level: u32, before: &[u8], bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = Compress::new(flate2::Compression::new(level.min(ZLIB_MOST)), false);
    if !before.is_empty() {
        compressor.set_dictionary(before).map_err(io::Error::other)?;
    }
    let mut packed = Vec::with_capacity(bytes.len() + 1024);
    loop {
        let taken = compressor.total_in() as usize;
        let status = compressor.compress_vec(&bytes[taken..], &mut packed, FlushCompress::Finish);
        if status.map_err(io::Error::other)? == Status::StreamEnd {
            return Ok(packed);
        }
        packed.reserve(1024);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    use super::*;

    /// Bytes that cannot be compressed.
    pub(in super::super) fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn blocks_stand_one_after_the_other_at_any_bit() {
        let text = (0..40_000_u32).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 25).to_string().into_bytes());
        let text = text.collect::<Vec<_>>();
        // Incompressible data is stored, and stored data starts at a byte boundary.
        let parts = [&text[..], &noise(100_000), &text[..300], &noise(5000), b"", b"x", &text[..SHORT], &noise(3)];
        for level in [0, 1, 6, 12] {
            for phase in 0..8 {
                let mut output = BitWriter::new(Vec::new());
                // Each empty block with fixed codes takes ten bits.
                for _ in 0..phase {
                    output.put(0b010, 10);
                }
                let mut all = Vec::new();
                for part in parts {
                    let before = &all[all.len().saturating_sub(32 << 10)..];
                    Blocks::new(level, before, part).unwrap().write(&mut output).unwrap();
                    all.extend_from_slice(part);
                    Blocks::stored(part).write(&mut output).unwrap();
                    all.extend_from_slice(part);
                }
                output.put(0b011, 10);
                output.align();
                let stream = output.finish().unwrap();
                let mut read = Vec::new();
                flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut read).unwrap();
                assert!(read == all, "level {level}, phase {phase}");
            }
        }
    }
}
