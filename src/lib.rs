//! pydock slims container images of Python applications that are already built.
//!
//! It reads an image, decides which files are not needed, rewrites only the layers that change, recomputes every
//! digest, and writes a new OCI image. Nothing is rebuilt, and nothing from the image is run.
//!
//! ```text
//! reference ──> source ──> scan ──> rootfs ──> plan ──> rewrite ──> sink
//! ```
//!
//! The modules are in tiers, and a file imports only from lower ones (`ARCHITECTURE.md` has the table, and a test
//! checks it). [`slim`] is the whole flow as one function. [`transport`] and [`cache`] do the I/O. Everything from
//! [`image`] to [`plan`] and [`layering`] takes and returns values.
//!
//! What reads and rewrites layers is the crate `pydock-layer`. It is re-exported as [`layer`], and some of its modules
//! by their own names.

pub mod attach;
pub mod cache;
pub mod content;
pub mod evidence;
pub mod explain;
pub mod image;
pub mod inventory;
pub mod job;
pub mod layering;
pub mod outcome;
pub mod packages;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod reference;
pub mod report;
pub mod request;
pub mod rootfs;
pub mod saved_plan;
pub mod savings;
pub mod slim;
pub mod state;
pub mod transport;
pub mod undo;

pub use pydock_layer::{self as layer, blob, budget, digest, idle, rootfs_path};
