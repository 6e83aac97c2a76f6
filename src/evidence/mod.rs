//! Evidence: what the image needs, and why. Each kind of evidence has its own file.
//!
//! While layers are scanned, [`collect`] stores the imports of Python sources, `NEEDED` of ELF objects, interpreters of
//! scripts, and texts of package databases. When the rootfs is known, [`Evidence`] answers one question: which other
//! files does this file need? The plan asks it for every kept file, until nothing changes.

mod calls;
pub mod collect;
mod common;
pub mod config;
pub mod elf;
mod imports;
pub mod installs;
mod known;
pub mod library;
mod names;
pub mod needs;
pub mod nesting;
pub mod python;
pub mod query;
mod recorded;
pub mod script;
pub mod sources;
mod strings;
mod texts;
mod tools;
pub mod windows;
pub mod words;

pub use collect::{Collector, Facts, FileFacts, LD_CACHE, OS_RELEASE};
pub use names::files_below;
pub use needs::{Need, Reason};
pub use python::UnreadReason;
pub use query::{Asked, Evidence, LayerDatabase};
pub use sources::SeenSources;
