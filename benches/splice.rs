//! Scattered cuts: takes every `__pycache__` out of the layer that has most of them, by splicing, and by the best plain way there is: inflate
//! and compress anew with libdeflate at level 6. Both are given where the entries lie, verify nothing of the old layer, and hash the
//! new one. Prints the ratio of the times, one thread.  usage: cargo bench --bench splice -- [LAYOUT]

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it stands")]

#[path = "support/layout.rs"]
mod layout;

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use pydock::digest::Digest;
use pydock::hasher::Hasher;
use pydock::layer::codec::{BlockMap, Compression};
use pydock::layer::cut::{CutList, Piece};
use pydock::layer::rewrite::{LayerWriter, Packing};
use pydock::layer::scan::{LayerIndex, scan};

fn main() {
    let path = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or("target/lab/oci/fat-web".into());
    let scanned = layout::layers(path.as_ref()).into_iter().map(|layer| {
        let blob = std::fs::read(&layer.path).unwrap();
        assert_eq!(Digest::of(&blob), layer.facts.digest);
        let mut map = BlockMap::new(Box::new(Vec::new()));
        let index = scan(
            File::open(layer.path).unwrap(),
            Compression::Gzip,
            Some((layer.diff_id, Hasher::default())),
            &mut (),
            Some(&mut map),
        );
        (blob, map, cut(&index.unwrap()))
    });
    let (blob, map, cut) = scanned.max_by_key(|(_, _, cut)| cut.pieces().len()).unwrap();
    let mut ratios = Vec::new();
    let mut sizes = (0, 0);
    for _ in 0..5 {
        let start = Instant::now();
        let packing = Packing { compression: Compression::Gzip, copies_blocks: true, level: None, hashes_aside: false };
        let mut writer = LayerWriter::new(packing, None, Vec::new()).unwrap();
        writer.splice(&blob, &map, &cut).unwrap();
        sizes.0 = writer.finish().unwrap().1.blob.size;
        let ours = start.elapsed().as_secs_f64();
        let start = Instant::now();
        sizes.1 = plainly(&blob, &cut);
        ratios.push(start.elapsed().as_secs_f64() / ours);
    }
    ratios.sort_by(f64::total_cmp);
    println!("{} runs of {} bytes are kept of a blob of {}", cut.pieces().len(), cut.kept(), blob.len());
    println!("plain / spliced: time median {:.2} of {ratios:.2?}; size {} / {}", ratios[2], sizes.1, sizes.0);
}

fn cut(index: &LayerIndex) -> CutList {
    let mut cut = CutList::default();
    for entry in &index.entries {
        if !entry.path.to_string().contains("__pycache__") {
            cut.keep(entry.range.clone());
        }
    }
    cut
}

fn plainly(blob: &[u8], cut: &CutList) -> u64 {
    let mut tar = Vec::new();
    flate2::bufread::MultiGzDecoder::new(blob).read_to_end(&mut tar).unwrap();
    let mut kept = Vec::new();
    for piece in cut.pieces() {
        if let Piece::Keep(range) = piece {
            kept.extend_from_slice(&tar[range.start as usize..range.end as usize]);
        }
    }
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
    let mut packed = vec![0; compressor.gzip_compress_bound(kept.len())];
    let size = compressor.gzip_compress(&kept, &mut packed).unwrap();
    let digests = [Digest::of(&kept), Digest::of(&packed[..size])];
    assert_ne!(digests[0], digests[1]);
    size as u64
}
