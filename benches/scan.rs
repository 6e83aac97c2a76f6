//! What evidence costs: scans every layer of an OCI layout as a slim does, verified and mapped, with and without collecting facts,
//! in turn, on one thread, and prints the ratio of the time on a
//! processor.  usage: cargo bench --bench scan -- [LAYOUT]   (default: target/lab/oci/fat-web)

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it stands")]

#[path = "support/layout.rs"]
mod layout;

use std::fs::File;

use pydock::blob::VerifyingReader;
use pydock::budget::Budget;
use pydock::evidence::{Collector, SeenSources};
use pydock::layer::codec::{Compression, SeekMap};
use pydock::layer::scan::{Observer, scan};

/// The program's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    // A stack as the program's threads have it.
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    thread.spawn(run).unwrap().join().unwrap();
}

fn run() {
    let layers = layout::layers(&layout::arguments().0);
    let pass = |collects: bool| -> u64 {
        let seen = SeenSources::default();
        let start = on_processor();
        for layer in &layers {
            let mut collector = Collector::sharing(seen.clone(), None);
            let observer: &mut dyn Observer = if collects { &mut collector } else { &mut () };
            let mut blob = VerifyingReader::new(File::open(&layer.path).unwrap(), layer.facts);
            let mut map = SeekMap::new(Box::new(Vec::new()));
            scan(&mut blob, Compression::Gzip, Some(layer.diff_id), None, observer, Some(&mut map), &Budget::default())
                .unwrap();
        }
        on_processor() - start
    };
    pass(false);
    let mut ratios = (0..9).map(|_| pass(true) as f64 / pass(false) as f64).collect::<Vec<_>>();
    ratios.sort_by(f64::total_cmp);
    println!("scan with evidence / scan without: median {:.2}, of {ratios:.2?}", ratios[4]);
}

/// Returns how many nanoseconds this thread has been on a processor. Spec: Linux `Documentation/scheduler/sched-stats.rst`.
fn on_processor() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}
