//! Compress and decompress layers, and make new gzip layers out of the symbols of old ones.
//!
//! One file per format (`gzip`, `zstd`), and `decoder` for all of them; and for gzip: `inflate` decodes block by block, `feed` gives it a blob's pages, `seek_map` notes points while a
//! layer is scanned, `resume` decodes from there, `kind` tells blocks apart, `bits` writes bits, `deflate` has the format's numbers, `fresh` makes blocks of what is new, `refit` of old symbols that
//! others fit better, `packer` runs of them, by `workers` if there are any, and `splice` makes a new member of all that.

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

/// Bytes of a layer that are held at once.
const BUFFER: usize = 128 << 10;

/// How a layer blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, of one or several members.
    Gzip,
    /// RFC 8878, of one or several frames.
    Zstd,
}

impl Compression {
    /// Tells a compression by a blob's first bytes.
    pub fn sniff(start: &[u8]) -> Self {
        if start.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// Returns the levels that there are: libdeflate's, or zstd's.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=12,
            Self::Zstd => 1..=22,
        }
    }

    /// Returns the level that the format's own command takes if it is told none.
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

/// Compresses what is written to it. The output depends on the input alone, not on how it is split into writes.
pub enum Encoder<W: Write> {
    /// Passes bytes on.
    None(W),
    /// Makes one gzip member.
    Gzip(Box<Splicer<W>>),
    /// Makes one zstd frame.
    Zstd(zstd::Encoder<W>),
}

impl<W: Write> Encoder<W> {
    /// Starts a stream at the compression's usual level, or another one. `workers` help if there are any; the output is the same.
    ///
    /// # Errors
    /// If a compressor cannot be made, or there is no such level.
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
    /// Those of the output.
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
