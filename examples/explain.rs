//! Explains why paths are kept or removed: `cargo run --example explain -- SOURCE PATH...`.

#![expect(clippy::print_stdout, reason = "the example prints its result")]

use std::sync::Arc;

use pydock::progress::Silent;
use pydock::{Access, RootfsPath, SlimOptions, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let source = args.next().ok_or("usage: explain SOURCE PATH...")?;
    let paths = args.map(|path| RootfsPath::parse(path.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let options = SlimOptions::new(source.parse()?);
    let access = Access::anonymous(std::env::temp_dir());
    for (platform, explanations) in pydock::explain(&options, &paths, &access, Arc::new(Silent)).await? {
        for explanation in explanations {
            let is_removed = explanation.verdict == Verdict::Removed;
            println!("{platform} {}{explanation}", if is_removed { "- " } else { "  " });
        }
    }
    Ok(())
}
