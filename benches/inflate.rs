//! Inflates the gzip layers of an OCI layout by our decoder, by zlib-rs and by libdeflate, in turn, on one thread; hashes nothing. Prints
//! how many times as long the others take. libdeflate writes to memory that was touched before.
//! usage: cargo bench --bench inflate -- [LAYOUT] [ROUNDS]   (default: target/lab/oci/fat-web 5)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it stands")]

#[path = "support/layout.rs"]
mod layout;

use std::io::{BufRead, Read};
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor;
use pydock::digest::Digest;
use pydock::layer::codec::{self, Compression};

fn main() {
    let (path, rounds) = layout::arguments();
    let large = layout::layers(&path).into_iter().filter(|layer| layer.facts.size > 1 << 20);
    let mut size = 0;
    let blobs = large.map(|layer| {
        let blob = std::fs::read(&layer.path).unwrap();
        let mut inflated = Vec::new();
        codec::decoder(Compression::Gzip, &blob[..]).unwrap().read_to_end(&mut inflated).unwrap();
        assert_eq!(Digest::of(&inflated), layer.diff_id);
        size = size.max(inflated.len());
        blob
    });
    let blobs = blobs.collect::<Vec<_>>();
    let mut inflated = vec![1; size];
    let (mut zlib_rs, mut libdeflate) = (Vec::new(), Vec::new());
    for _ in 0..rounds.unwrap_or(5) {
        let own = timed(&blobs, ours);
        zlib_rs.push(timed(&blobs, by_zlib_rs) / own);
        libdeflate.push(timed(&blobs, |blob| Decompressor::new().gzip_decompress(blob, &mut inflated).unwrap()) / own);
    }
    println!("time of zlib-rs / ours: {}", spread(&mut zlib_rs));
    println!("time of libdeflate / ours: {}", spread(&mut libdeflate));
}

fn timed(blobs: &[Vec<u8>], mut inflate: impl FnMut(&[u8]) -> usize) -> f64 {
    let start = Instant::now();
    for blob in blobs {
        std::hint::black_box(inflate(blob));
    }
    start.elapsed().as_secs_f64()
}

fn ours(blob: &[u8]) -> usize {
    let mut decoder = codec::decoder(Compression::Gzip, blob).unwrap();
    let mut size = 0;
    loop {
        let made = decoder.fill_buf().unwrap().len();
        if made == 0 {
            return size;
        }
        size += made;
        decoder.consume(made);
    }
}

fn by_zlib_rs(blob: &[u8]) -> usize {
    let (mut decoder, mut buffer, mut size) = (MultiGzDecoder::new(blob), vec![0; 128 << 10], 0);
    loop {
        let made = decoder.read(&mut buffer).unwrap();
        if made == 0 {
            return size;
        }
        size += made;
    }
}

fn spread(ratios: &mut [f64]) -> String {
    ratios.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2} to {:.2})", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1])
}
