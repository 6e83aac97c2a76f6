//! gzip (RFC 1952) by flate2 over zlib-rs.

use std::io::{BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder, write::GzEncoder};

pub(super) type Encoder<W> = GzEncoder<W>;

/// A layer may be of several members (`pigz`, eStargz): a plain `GzDecoder` would stop silently after the first.
pub(super) fn decoder<'a>(blob: impl Read + 'a) -> impl Read + 'a {
    MultiGzDecoder::new(BufReader::with_capacity(64 << 10, blob))
}

/// Level 6, no name and no time, so that the bytes depend on the content alone.
pub(super) fn encoder<W: Write>(output: W) -> Encoder<W> {
    GzBuilder::new().mtime(0).write(output, Compression::new(6))
}
