//! Evidence: what the image needs, and why. One file for each kind of evidence.
//!
//! While layers are scanned, [`collect`] keeps what each file says: a Python source its imports, an ELF object its `NEEDED`,
//! a script its interpreter, a package database its text. When the rootfs is known, [`Evidence`] answers one question:
//! which other files does this file need? The plan asks it for every file that stays, until nothing changes.

mod calls;
pub mod collect;
pub mod config;
pub mod elf;
mod imports;
pub mod library;
pub mod needs;
pub mod nesting;
pub mod python;
pub mod query;
pub mod script;
mod skim;
pub mod sources;
mod tools;
pub mod windows;
pub mod world;

pub use collect::{Collector, Facts, FileFacts, OS_RELEASE};
pub use needs::Reason;
pub use query::Evidence;
pub use sources::SeenSources;
