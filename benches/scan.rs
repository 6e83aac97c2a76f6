//! What evidence costs: scans every layer of an OCI layout with and without collecting facts, in turn, on one thread, and
//! prints the ratio.  usage: cargo bench --bench scan -- [LAYOUT]   (default: target/lab/oci/fat-web)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it stands")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pydock::digest::Digest;
use pydock::evidence::Collector;
use pydock::layer::codec::Compression;
use pydock::layer::scan::{Observer, scan};
use serde_json::Value;

fn main() {
    let layout = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or("target/lab/oci/fat-web".into());
    let layers = layers(Path::new(&layout));
    let pass = |collects: bool| -> Duration {
        let start = Instant::now();
        for (path, diff_id) in &layers {
            let mut collector = Collector::default();
            let observer: &mut dyn Observer = if collects { &mut collector } else { &mut () };
            scan(File::open(path).unwrap(), Compression::Gzip, *diff_id, observer).unwrap();
        }
        start.elapsed()
    };
    pass(false);
    let mut ratios = (0..5).map(|_| pass(true).as_secs_f64() / pass(false).as_secs_f64()).collect::<Vec<_>>();
    ratios.sort_by(f64::total_cmp);
    println!("scan with evidence / scan without: median {:.2}, of {ratios:.2?}", ratios[2]);
}

fn layers(layout: &Path) -> Vec<(PathBuf, Digest)> {
    let blob = |digest: &Value| layout.join("blobs/sha256").join(digest.as_str().unwrap().replace("sha256:", ""));
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let index = read(layout.join("index.json"));
    let manifest = read(blob(&index["manifests"][0]["digest"]));
    let config = read(blob(&manifest["config"]["digest"]));
    let diff_ids =
        config["rootfs"]["diff_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().parse().unwrap());
    let paths = manifest["layers"].as_array().unwrap().iter().map(|layer| blob(&layer["digest"]));
    paths.zip(diff_ids).collect()
}
