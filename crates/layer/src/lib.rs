//! Reads and rewrites a layer without unpacking it.
//!
//! A layer blob is a tar, compressed or not. pydock treats it as ranges of bytes:
//!
//! ```text
//! blob ──(codec)──> tar:  │ entry │ entry │ entry │ … │ end marker │
//!                           │
//!                           └─ extension headers │ header │ data │ padding to 512
//! ```
//!
//! [`scan`](scan::scan) reads a layer once and returns its entries as ranges. A [`CutList`](cut::CutList) lists which
//! ranges to keep and which bytes to insert. A [`LayerWriter`](rewrite::LayerWriter) applies it. Kept entries are
//! copied byte for byte, so none of their data (xattrs, PAX keys, sparse maps, odd names, nanoseconds) is lost.
//!
//! This crate knows nothing about images, Python or packages.

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
