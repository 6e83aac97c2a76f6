//! Evidence: what the image needs, and why. One file for each kind of evidence.
//!
//! While layers are scanned, [`collect`] keeps what each file says: a Python source its imports, an ELF object its `NEEDED`,
//! a script its interpreter, a package database its text. When the rootfs is known, [`Evidence`] answers one question:
//! which other files does this file need? The plan asks it for every file that stays, until nothing changes.

mod calls;
pub mod collect;
mod common;
pub mod config;
pub mod elf;
mod imports;
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
pub mod world;

pub use collect::{Collector, Facts, FileFacts, LD_CACHE, OS_RELEASE};
pub use names::files_below;
pub use needs::{Need, Reason};
pub use query::{Asked, Evidence, LayerDatabase};
pub use sources::SeenSources;
