//! A layer, and how it is read and rewritten without being unpacked.
//!
//! A layer blob is a tar, compressed or not. pydock sees it as ranges of bytes:
//!
//! ```text
//! blob ──(codec)──> tar:  │ entry │ entry │ entry │ … │ end marker │
//!                           │
//!                           └─ extension headers │ header │ data │ padding to 512
//! ```
//!
//! [`scan`](scan::scan) reads a layer once and gives its entries as ranges; a [`CutList`](cut::CutList) says which
//! ranges to keep and which bytes to put between; a [`LayerWriter`](rewrite::LayerWriter) applies it. Kept entries are
//! copied byte for byte, so nothing of them (xattrs, PAX keys, sparse maps, odd names, nanoseconds) can be lost.
//!
//! Nothing here knows what an image, Python or a package is.

pub mod codec;
pub mod cut;
pub mod entry;
pub mod header;
pub mod index;
mod located;
pub mod pax;
pub mod rewrite;
pub mod scan;
pub mod tar;
pub mod whiteout;

pub use entry::{Entry, EntryKind, Span};
pub use index::LayerIndex;
