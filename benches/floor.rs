//! The floor that rewriting is measured against: reads every layer of an OCI layout, verifies its digest, inflates it and
//! verifies its diff ID, by the fastest libraries, on so many threads, the largest layers first. No decisions, no output.
//! usage: cargo bench --bench floor -- [LAYOUT] [THREADS]   (default: target/lab/oci/fat-web 2)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it stands")]

#[path = "support/layout.rs"]
mod layout;

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Mutex;
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

fn main() {
    let (path, threads) = layout::arguments();
    let mut layers = layout::layers(&path);
    layers.sort_by_key(|layer| layer.facts.size);
    let start = Instant::now();
    let queue = Mutex::new(layers);
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(2) {
            scope.spawn(|| {
                loop {
                    let Some(layer) = queue.lock().unwrap().pop() else { break };
                    verify(&layer);
                }
            });
        }
    });
    println!("floor: {:.3} s", start.elapsed().as_secs_f64());
}

fn verify(layer: &layout::Layer) {
    let blob = Hashing { inner: File::open(&layer.path).unwrap(), hasher: Sha256::new() };
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, blob));
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 128 << 10]);
    loop {
        let count = decoder.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    assert_eq!(hex(&hasher.finalize()), layer.diff_id.hex());
    assert_eq!(hex(&decoder.into_inner().into_inner().hasher.finalize()), layer.facts.digest.hex());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hashing {
    inner: File,
    hasher: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
