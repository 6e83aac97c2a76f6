//! zstd (RFC 8878) by the reference implementation.

use std::io::{self, Read, Write};

/// Level of the frames that are written; the reference command's default.
const LEVEL: i32 = 3;

pub(super) type Encoder<W> = zstd::stream::write::Encoder<'static, W>;

pub(super) fn decoder<'a>(blob: impl Read + 'a) -> io::Result<impl Read + 'a> {
    zstd::stream::read::Decoder::new(blob)
}

pub(super) fn encoder<W: Write>(output: W) -> io::Result<Encoder<W>> {
    let mut encoder = Encoder::new(output, LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}
