//! Compresses and decompresses layers, and builds new gzip layers from the symbols of old ones.
//!
//! Each format has a file (`gzip`, `zstd`), and `decoder` handles all of them. For gzip, `inflate` decodes block by
//! block, and `feed` gives it the pages of a blob. `seek_map` records seek points during a scan, and `resume` decodes
//! from them. `kind` distinguishes blocks, `bits` writes bits, and `deflate` holds the constants of the format. `fresh`
//! compresses new bytes, and `refit` encodes old symbols better. `packer` compresses runs of bytes, on `workers` if
//! available, and `splice` writes a new member from all of these.

mod bits;
mod decoder;
mod deflate;
mod feed;
mod fresh;
mod gzip;
mod inflate;
mod kind;
mod packer;
mod refit;
mod resume;
mod seek_map;
mod splice;
mod workers;
mod zstd;

use std::fmt;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use decoder::{Decode, decoder, mapping_decoder};
pub use seek_map::SeekMap;
pub use splice::{Old, Reuse, SpliceError, Splicer};
pub use workers::Workers;

/// Bytes of a layer that are buffered.
const BUFFER: usize = 128 << 10;

/// The compression of a layer blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Uncompressed.
    None,
    /// gzip (RFC 1952), with one or more members.
    Gzip,
    /// zstd (RFC 8878), with one or more frames.
    Zstd,
}

impl Compression {
    /// Detects the compression from the first bytes of a blob.
    pub fn sniff(start: &[u8]) -> Self {
        if start.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// Returns the supported levels: those of libdeflate or zstd.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=12,
            Self::Zstd => 1..=22,
        }
    }

    /// Returns the default level of the format's own command.
    pub fn usual_level(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gzip => 6,
            Self::Zstd => 3,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(format!("`{text}` is not `gzip` or `zstd`")),
        }
    }
}

/// Compresses what is written to it. The output depends only on the input, not on how it is split into writes.
pub enum Encoder<W: Write> {
    /// Passes bytes through.
    None(W),
    /// Writes one gzip member.
    Gzip(Box<Splicer<W>>),
    /// Writes one zstd frame.
    Zstd(zstd::ZstdEncoder<W>),
}

impl<W: Write> Encoder<W> {
    /// Starts a stream at `level`, or at the compression's usual level. The output is the same with and without
    /// `workers`.
    ///
    /// # Errors
    /// If the compressor cannot be created, or the level does not exist.
    pub fn new(compression: Compression, level: Option<u32>, workers: Option<Workers>, output: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(output),
            Compression::Gzip => Self::Gzip(Splicer::new(level, workers, output)?.into()),
            Compression::Zstd => {
                Self::Zstd(zstd::encoder(level.unwrap_or(compression.usual_level()), workers.as_ref(), output)?)
            }
        })
    }

    /// Ends the stream and returns the output.
    ///
    /// # Errors
    /// If the output fails.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(output) => Ok(output),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None(_) => "Encoder::None",
            Self::Gzip(_) => "Encoder::Gzip",
            Self::Zstd(_) => "Encoder::Zstd",
        })
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(output) => output.write(bytes),
            Self::Gzip(splicer) => splicer.add(bytes).map(|()| bytes.len()),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(output) => output.flush(),
            Self::Gzip(_) => Ok(()),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(compression: Compression, chunks: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::new(compression, None, None, Vec::new()).unwrap();
        for chunk in chunks {
            encoder.write_all(chunk).unwrap();
        }
        encoder.finish().unwrap()
    }

    fn unpack(compression: Compression, blob: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        decoder(compression, blob)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn every_format_reads_back_is_told_by_its_first_bytes_and_does_not_depend_on_writes() {
        let content = b"layer ".repeat(10_000);
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let blob = pack(compression, &[&content]);
            assert_eq!(unpack(compression, &blob).unwrap(), content);
            assert_eq!(Compression::sniff(&blob), compression);
            assert_eq!(pack(compression, &[&content[..7], &content[7..]]), blob);
        }
    }

    #[test]
    fn the_output_does_not_depend_on_how_many_threads_make_it() {
        let content = (0..700_000_u32).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 25).to_string().into_bytes());
        let content = content.collect::<Vec<_>>();
        for compression in [Compression::Gzip, Compression::Zstd] {
            for level in [None, Some(1), Some(9)] {
                let pack = |threads, step| {
                    let workers = Workers::start(threads, 1);
                    let mut encoder = Encoder::new(compression, level, workers, Vec::new()).unwrap();
                    content.chunks(step).for_each(|chunk| encoder.write_all(chunk).unwrap());
                    encoder.finish().unwrap()
                };
                let blob = pack(1, content.len());
                assert!(unpack(compression, &blob).unwrap() == content);
                for (threads, step) in [(2, 100_000), (7, 1 << 20), (1, 999)] {
                    assert!(pack(threads, step) == blob, "{compression} {level:?} {threads}");
                }
            }
        }
    }

    #[test]
    fn several_members_are_one_stream_and_a_cut_or_trailing_bytes_are_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let blob = pack(compression, &[b"one"]);
            let both = [blob.clone(), pack(compression, &[b"two"])].concat();
            assert_eq!(unpack(compression, &both).unwrap(), b"onetwo");
            assert!(unpack(compression, &blob[..blob.len() - 3]).is_err(), "{compression} cut");
            let trailing = [&blob[..], b"trailing"].concat();
            assert!(unpack(compression, &trailing).is_err(), "{compression} trailing");
        }
    }
}
