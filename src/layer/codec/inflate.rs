//! Raw deflate (RFC 1951), decoded block by block, from any block on.
//!
//! Decoding itself is `zlib-rs`; what its safe interface does not tell is where blocks end (`Z_BLOCK` and `data_type` of the
//! zlib manual), nor does it start in the middle of a byte (`inflatePrime`). Hence the C interface, and the only `unsafe` of
//! this crate.
#![expect(unsafe_code, reason = "where deflate blocks end is told by zlib's C interface alone")]

use std::mem::size_of;

use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_OK, Z_STREAM_END, inflate, inflateEnd, inflateGetDictionary, inflateInit2_, inflatePrime,
    inflateReset, inflateSetDictionary, z_stream, zlibVersion,
};

/// How far back a match can reach, in bytes (RFC 1951, 2).
pub(super) const WINDOW: usize = 32 << 10;

/// Window bits of a raw stream of the largest window, by the zlib manual of `inflateInit2`.
const RAW: i32 = -15;

/// The stream is no deflate, or memory ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corrupt deflate stream")]
pub(super) struct Corrupt;

/// How far one step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes of input that were taken.
    pub(super) taken: usize,
    /// Bytes of output that were made.
    pub(super) made: usize,
    /// Why the step ended.
    pub(super) stop: Stop,
}

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Input or output ran out.
    Starved,
    /// A block ended; so many bits of the last byte that was taken are not part of it.
    Block {
        /// Bits that were taken but belong to what follows; at most 7.
        unused: u8,
        /// Whether it was the stream's last.
        is_last: bool,
    },
}

/// A decoder of raw deflate.
pub(super) struct Inflate {
    /// Its state points back at it, so it must not move.
    stream: Box<z_stream>,
}

// SAFETY: the stream owns its state, which no other thread sees; the pointers to input and output are only followed in
// `step`, which sets them first.
unsafe impl Send for Inflate {}

impl Inflate {
    /// Starts at the beginning of a stream.
    pub(super) fn new() -> Self {
        let mut stream = Box::new(z_stream::default());
        // SAFETY: `stream` is a valid stream without state; the version and the size are those of the library itself.
        let code = unsafe { inflateInit2_(&mut *stream, RAW, zlibVersion(), size_of::<z_stream>() as i32) };
        // Anything but memory that ran out would be a bug of this line, and that ends a Rust program anyway.
        assert_eq!(code, Z_OK, "zlib-rs refuses its own version");
        Self { stream }
    }

    /// Goes back to the beginning of a stream.
    pub(super) fn reset(&mut self) {
        // SAFETY: the stream was initialised in `new`.
        unsafe { inflateReset(&mut *self.stream) };
    }

    /// Goes to a block inside a stream: `window` is what was decoded before it, at most [`WINDOW`] bytes; if the block
    /// starts in the middle of a byte, `first` is that byte and `bits` how many of its upper bits belong to the block.
    pub(super) fn resume(&mut self, window: &[u8], first: u8, bits: u8) -> Result<(), Corrupt> {
        self.reset();
        let value = if bits == 0 { 0 } else { i32::from(first >> (8 - bits)) };
        // SAFETY: the stream was initialised in `new`; the window is readable for the length that is given.
        let codes = unsafe {
            [
                inflatePrime(&mut *self.stream, i32::from(bits), value),
                inflateSetDictionary(&mut *self.stream, window.as_ptr(), window.len() as u32),
            ]
        };
        if codes == [Z_OK; 2] { Ok(()) } else { Err(Corrupt) }
    }

    /// Decodes until a block ends, or `input` is used up, or `output` is full.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Corrupt> {
        let available = u32::try_from(input.len()).unwrap_or(u32::MAX);
        let space = u32::try_from(output.len()).unwrap_or(u32::MAX);
        self.stream.next_in = input.as_ptr().cast_mut();
        self.stream.avail_in = available;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = space;
        // SAFETY: the stream was initialised in `new`; input is readable and output writable for at least the lengths that
        // were just set, and both outlive the call.
        let code = unsafe { inflate(&mut *self.stream, Z_BLOCK) };
        if !matches!(code, Z_OK | Z_BUF_ERROR | Z_STREAM_END) {
            return Err(Corrupt);
        }
        let state = self.stream.data_type;
        let stop = if state & 128 == 0 {
            Stop::Starved
        } else {
            Stop::Block { unused: (state & 63) as u8, is_last: state & 64 != 0 }
        };
        let taken = (available - self.stream.avail_in) as usize;
        let made = (space - self.stream.avail_out) as usize;
        Ok(Step { taken, made, stop })
    }

    /// Writes the last bytes that were decoded, at most [`WINDOW`], to `window`.
    pub(super) fn window(&mut self, window: &mut Vec<u8>) {
        window.resize(WINDOW, 0);
        let mut length = 0;
        // SAFETY: the stream was initialised in `new`, and `window` has room for the largest window there is.
        unsafe { inflateGetDictionary(&*self.stream, window.as_mut_ptr(), &mut length) };
        window.truncate(length as usize);
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised in `new` and is not used again.
        unsafe { inflateEnd(&mut *self.stream) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What one stream decodes to, and where its blocks end: bits of input, bytes of output.
    fn blocks(stream: &[u8], step: usize) -> (Vec<u8>, Vec<(usize, usize)>) {
        let (mut inflate, mut output, mut ends, mut at) = (Inflate::new(), Vec::new(), Vec::new(), 0);
        loop {
            let mut buffer = [0; 1000];
            let end = stream.len().min(at + step);
            let done = inflate.step(&stream[at..end], &mut buffer).unwrap();
            at += done.taken;
            output.extend_from_slice(&buffer[..done.made]);
            if let Stop::Block { unused, is_last } = done.stop {
                ends.push((at * 8 - usize::from(unused), output.len()));
                if is_last {
                    return (output, ends);
                }
            }
        }
    }

    /// Bytes after which the stream is flushed. Miri is slow: there, all is smaller.
    const PART: usize = if cfg!(miri) { 500 } else { 5000 };

    fn stream(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        for part in content.chunks(PART) {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    fn content() -> Vec<u8> {
        let count = if cfg!(miri) { 2000 } else { 20_000_u32 };
        (0..count).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 27).to_string().into_bytes()).collect()
    }

    #[test]
    fn blocks_end_where_they_end_however_the_input_is_cut() {
        let (content, stream) = (content(), stream(&content()));
        let whole = blocks(&stream, stream.len());
        assert_eq!(whole.0, content);
        assert!(whole.1.len() > 5);
        for step in if cfg!(miri) { [50, 101] } else { [1, 7] } {
            assert_eq!(blocks(&stream, step), whole, "{step} bytes at a time");
        }
    }

    #[test]
    fn decoding_resumes_at_any_block() {
        let (content, stream) = (content(), stream(&content()));
        let (_, ends) = blocks(&stream, stream.len());
        for &(bit, at) in &ends[..ends.len() - 1] {
            let mut inflate = Inflate::new();
            let bits = (8 - bit % 8) % 8;
            inflate.resume(&content[at.saturating_sub(WINDOW)..at], stream[bit / 8], bits as u8).unwrap();
            let (mut rest, mut from) = (vec![0; content.len() - at], bit.div_ceil(8));
            let mut filled = 0;
            while filled < rest.len() {
                let done = inflate.step(&stream[from..], &mut rest[filled..]).unwrap();
                (from, filled) = (from + done.taken, filled + done.made);
            }
            assert!(rest == content[at..], "from bit {bit}");
            let mut window = Vec::new();
            inflate.window(&mut window);
            assert!(content.ends_with(&window) && window.len() == WINDOW.min(content.len()));
        }
    }

    #[test]
    fn what_is_no_deflate_is_told() {
        assert_eq!(Inflate::new().step(&[0xff; 100], &mut [0; 100]), Err(Corrupt));
    }
}
