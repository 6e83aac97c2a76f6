//! zstd (RFC 8878), with the reference implementation.

use std::io::{self, BufReader, Read, Write};

use zstd::zstd_safe::CParameter;

use super::Workers;

/// Bytes that one thread compresses at once. Each thread holds this much and some more in memory.
const JOB: u32 = 2 << 20;

pub(super) type ZstdEncoder<W> = zstd::stream::write::Encoder<'static, W>;

pub(super) type ZstdDecoder<R> = zstd::stream::read::Decoder<'static, BufReader<R>>;

pub(super) fn decoder<R: Read>(blob: R) -> io::Result<ZstdDecoder<R>> {
    ZstdDecoder::new(blob)
}

/// Starts a frame. It is always compressed in jobs, so the output does not depend on the number of threads.
pub(super) fn encoder<W: Write>(level: u32, workers: Option<&Workers>, output: W) -> io::Result<ZstdEncoder<W>> {
    let mut encoder = ZstdEncoder::new(output, level as i32)?;
    encoder.include_checksum(true)?;
    encoder.multithread(workers.map_or(1, Workers::count) as u32)?;
    encoder.set_parameter(CParameter::JobSize(JOB))?;
    Ok(encoder)
}
