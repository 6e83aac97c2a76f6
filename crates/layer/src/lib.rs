#![doc = include_str!("../README.md")]
//!
//! ## Modules
//!
//! ```text
//! blob ──(codec)──> tar:  │ entry │ entry │ entry │ … │ end marker │
//!                           │
//!                           └─ extension headers │ header │ data │ padding to 512
//! ```
//!
//! [`scan`](scan::scan) reads a layer once and returns its entries as ranges. A [`CutList`](cut::CutList) lists which
//! ranges to keep and which bytes to insert. A [`LayerWriter`](rewrite::LayerWriter) applies it. [`codec`] compresses,
//! decompresses and splices. [`blob`] verifies what is read, and hashes what is written.

pub mod blob;
pub mod budget;
pub mod codec;
pub mod cut;
pub mod digest;
pub mod entry;
mod hasher;
pub mod header;
pub mod idle;
pub mod index;
mod located;
pub mod pax;
pub mod rewrite;
pub mod rootfs_path;
pub mod scan;
pub mod tar;
pub mod whiteout;

pub use entry::{Entry, EntryKind, Span};
pub use index::LayerIndex;
