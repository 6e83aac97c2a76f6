//! Any bytes as raw deflate: our decoder takes what zlib-rs takes, refuses what it refuses, and gives the same.
#![no_main]

use std::io::Read;

use flate2::bufread::DeflateDecoder;
use libfuzzer_sys::fuzz_target;
use pydock_layer::codec::{self, Compression};

/// Bombs are for another day.
const MOST: u64 = 4 << 20;
/// A member's header without name and time (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fuzz_target!(|stream: &[u8]| {
    let mut zlib = DeflateDecoder::new(stream);
    let mut theirs = Vec::new();
    let read = (&mut zlib).take(MOST).read_to_end(&mut theirs);
    if theirs.len() as u64 == MOST {
        return;
    }
    // zlib-rs ends where the stream does; bytes after it are not part of the member.
    let is_whole = read.is_ok() && zlib.total_in() > 0;
    let end = if is_whole { zlib.total_in() as usize } else { stream.len() };
    let mut crc = flate2::Crc::new();
    crc.update(&theirs);
    let checks = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    let member = [&HEADER[..], &stream[..end], &checks].concat();
    let mut ours = Vec::new();
    let decoder = codec::decoder(Compression::Gzip, &member[..]).unwrap();
    match decoder.take(MOST).read_to_end(&mut ours) {
        Ok(_) => assert!(is_whole && ours == theirs, "only we read it, or otherwise"),
        Err(error) => assert!(!is_whole, "only zlib-rs reads it: {error}"),
    }
});
