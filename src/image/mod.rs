//! An image's JSON documents, as plain values.
//!
//! ```text
//! index ──> manifest (one a platform) ──> config   (environment, history, diff IDs)
//!                                     └─> layers   (blobs, the lowest first)
//! ```
//!
//! Documents are kept as the JSON they were, and only the keys that pydock owns are edited: typed readers silently drop
//! `Healthcheck`, `Shell`, `OnBuild` and vendors' keys. Nothing here does I/O or knows what Python is.

pub mod artifact;
pub mod base;
pub mod config;
pub mod descriptor;
pub mod document;
pub mod index;
pub mod manifest;
pub mod marks;
pub mod media_type;
pub mod platform;
pub mod rebuild;
pub mod stack;

pub use config::ImageConfig;
pub use descriptor::Descriptor;
pub use document::Document;
pub use index::Index;
pub use manifest::Manifest;
pub use marks::Marks;
pub use platform::{Platform, PlatformChoice};
pub use stack::LayerStack;
