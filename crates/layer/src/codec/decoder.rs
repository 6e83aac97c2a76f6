//! Decompresses a layer's blob, as a stream.

use std::io::{self, BufRead, BufReader, Read};

use super::{BUFFER, Compression, SeekMap, gzip, zstd};

/// A reader of a layer's decompressed bytes that knows its position in the blob.
pub trait Decode: BufRead {
    /// Returns how many bytes of the blob were read to decode all bytes returned so far.
    fn position(&self) -> u64;
}

/// Returns a reader of the decompressed bytes. It fails if the stream is truncated or followed by other data.
///
/// # Errors
/// If the decompressor cannot be created.
pub fn decoder<'a>(compression: Compression, blob: impl Read + 'a) -> io::Result<Box<dyn Decode + 'a>> {
    mapping_decoder(compression, blob, None)
}

/// Like [`decoder`]. Also records in `map`, if given, the points from which a gzip blob can be decoded.
///
/// # Errors
/// If the decompressor cannot be created.
pub fn mapping_decoder<'a>(
    compression: Compression,
    blob: impl Read + 'a,
    map: Option<&'a mut SeekMap>,
) -> io::Result<Box<dyn Decode + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(BufReader::with_capacity(BUFFER, Counted::new(blob))),
        Compression::Gzip => Box::new(gzip::GzipDecoder::new(blob, map)),
        Compression::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::decoder(Counted::new(blob))?)),
    })
}

impl<D: Decode + ?Sized> Decode for Box<D> {
    fn position(&self) -> u64 {
        (**self).position()
    }
}

impl<R: Read> Decode for BufReader<Counted<R>> {
    fn position(&self) -> u64 {
        self.get_ref().count
    }
}

impl<R: Read> Decode for BufReader<zstd::ZstdDecoder<Counted<R>>> {
    fn position(&self) -> u64 {
        let blob = self.get_ref().get_ref();
        blob.get_ref().count - blob.buffer().len() as u64
    }
}

/// Counts the bytes read.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R> Counted<R> {
    fn new(inner: R) -> Self {
        Self { inner, count: 0 }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::codec::Encoder;

    #[test]
    fn a_decoder_knows_how_far_it_has_come_in_the_blob_and_ends_at_its_end() {
        // The second half compresses to almost nothing.
        let noise = (0..1_000_000_u32).flat_map(|at| at.wrapping_mul(2_654_435_761).rotate_left(at).to_le_bytes());
        let content = noise.chain(std::iter::repeat_n(0, 4_000_000)).collect::<Vec<_>>();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut encoder = Encoder::new(compression, None, None, Vec::new()).unwrap();
            encoder.write_all(&content).unwrap();
            let blob = encoder.finish().unwrap();
            let mut decoder = decoder(compression, &blob[..]).unwrap();
            assert_eq!(decoder.position(), 0);
            let (mut shown, mut last, mut at_half) = (0, 0, 0);
            while let count @ 1.. = decoder.fill_buf().unwrap().len() {
                shown += count;
                assert!(decoder.position() >= last, "{compression}");
                last = decoder.position();
                if shown <= content.len() / 2 {
                    at_half = last;
                }
                decoder.consume(count);
            }
            let half = if compression == Compression::None { blob.len() / 2 } else { blob.len() };
            assert!(half.abs_diff(at_half as usize) < 2 * BUFFER, "{compression}: {at_half} of {half}");
            assert_eq!(decoder.position(), blob.len() as u64, "{compression}");
        }
    }
}
