//! Scattered cuts: takes every `__pycache__` out of the layer that has most of them, by splicing, and by the best plain way there is: inflate
//! and compress again with libdeflate at level 6. Both are given where the entries lie, verify nothing of the old layer, hash the
//! new one, and keep nothing of it. Prints the ratio of the times, one thread.
//! usage: cargo bench --bench splice -- [LAYOUT] [ROUNDS]   (default: target/lab/oci/fat-web 5)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it stands")]

#[path = "support/layout.rs"]
mod layout;

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use pydock::budget::Budget;
use pydock::digest::Digest;
use pydock::layer::LayerIndex;
use pydock::layer::codec::{Compression, Reuse, SeekMap};
use pydock::layer::cut::{CutList, Piece};
use pydock::layer::rewrite::{LayerWriter, Packing};
use pydock::layer::scan::scan;
use sha2::{Digest as _, Sha256};

/// Bytes that the plain way compresses together.
const CHUNK: usize = 1 << 20;
/// Bytes that it inflates at a time.
const STEP: usize = 128 << 10;

fn main() {
    let (path, rounds) = layout::arguments();
    let scanned = layout::layers(&path).into_iter().map(|layer| {
        let blob = std::fs::read(&layer.path).unwrap();
        assert_eq!(Digest::of(&blob), layer.facts.digest);
        let mut map = SeekMap::new(Box::new(Vec::new()));
        let index = scan(
            &mut File::open(layer.path).unwrap(),
            Compression::Gzip,
            Some(layer.diff_id),
            None,
            &mut (),
            Some(&mut map),
            &Budget::default(),
        );
        (blob, map, cut(&index.unwrap()))
    });
    let (blob, map, cut) = scanned.max_by_key(|(_, _, cut)| cut.pieces().len()).unwrap();
    let mut ratios = Vec::new();
    let mut sizes = (0, 0);
    for _ in 0..rounds.unwrap_or(5) {
        let start = Instant::now();
        let packing = Packing { compression: Compression::Gzip, reuse: Some(Reuse::Copy), level: None };
        let mut output = std::io::sink();
        let mut writer = LayerWriter::new(packing, None, None, &mut output).unwrap();
        writer.splice(&blob, &map, &cut).unwrap();
        sizes.0 = writer.finish().unwrap().blob.size;
        let ours = start.elapsed().as_secs_f64();
        let start = Instant::now();
        sizes.1 = plainly(&blob, &cut);
        ratios.push(start.elapsed().as_secs_f64() / ours);
    }
    ratios.sort_by(f64::total_cmp);
    println!("{} runs of {} bytes are kept of a blob of {}", cut.pieces().len(), cut.kept(), blob.len());
    println!(
        "plain / spliced: time median {:.2} of {ratios:.2?}; size {} / {}",
        ratios[ratios.len() / 2],
        sizes.1,
        sizes.0
    );
}

fn cut(index: &LayerIndex) -> CutList {
    let mut cut = CutList::default();
    for (span, (path, _)) in index.spans().zip(index.names()) {
        if !path.to_string().contains("__pycache__") {
            cut.keep(span.range);
        }
    }
    cut
}

/// In chunks, so that no memory is touched for the first time, which costs more than it saves.
fn plainly(blob: &[u8], cut: &CutList) -> u64 {
    let mut plain = Plain::new();
    let mut decoder = flate2::bufread::MultiGzDecoder::new(blob);
    let (mut buffer, mut at) = (vec![0; STEP], 0);
    for piece in cut.pieces() {
        let Piece::Keep(range) = piece else { continue };
        while at < range.end {
            let most = if at < range.start { range.start - at } else { range.end - at };
            let count = decoder.read(&mut buffer[..most.min(STEP as u64) as usize]).unwrap();
            if at >= range.start {
                plain.add(&buffer[..count]);
            }
            at += count as u64;
        }
    }
    plain.flush();
    plain.size
}

/// Compresses a member for every chunk, and hashes.
struct Plain {
    compressor: libdeflater::Compressor,
    chunk: Vec<u8>,
    packed: Vec<u8>,
    size: u64,
    tar: Sha256,
    blob: Sha256,
}

impl Plain {
    fn new() -> Self {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
        let packed = vec![0; compressor.gzip_compress_bound(CHUNK)];
        Self { compressor, chunk: Vec::new(), packed, size: 0, tar: Sha256::new(), blob: Sha256::new() }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.tar.update(bytes);
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK - STEP {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let size = self.compressor.gzip_compress(&self.chunk, &mut self.packed).unwrap();
        self.blob.update(&self.packed[..size]);
        self.size += size as u64;
        self.chunk.clear();
    }
}
