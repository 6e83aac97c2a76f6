//! Slims an image: `cargo run --example slim -- SOURCE DESTINATION`.
//!
//! Both are references as on the command line: `registry/repo:tag`, `oci:folder:tag`, `docker-daemon:name:tag`.

#![expect(clippy::print_stdout, reason = "the example prints its result")]

use std::sync::Arc;

use pydock::progress::Silent;
use pydock::{Access, SlimOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(source), Some(destination)) = (args.next(), args.next()) else {
        return Err("usage: slim SOURCE DESTINATION".into());
    };
    let mut options = SlimOptions::new(source.parse()?);
    options.destination = Some(destination.parse()?);
    let access = Access::anonymous(std::env::temp_dir());
    // Runs before the new image becomes visible. An error here leaves the destination unchanged.
    let review = |outcome: &pydock::Outcome| match outcome.images.iter().all(|image| image.saved() > Some(0)) {
        true => Ok(()),
        false => Err("nothing is saved".into()),
    };
    let outcome = pydock::slim(&options, &access, Arc::new(Silent), &review).await?;
    for note in &outcome.notes {
        println!("note: {note}");
    }
    for image in &outcome.images {
        println!("{}: {} -> {:?} bytes", image.platform, image.compressed_before(), image.compressed_after());
    }
    Ok(())
}
