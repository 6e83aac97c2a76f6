//! The JSON documents of an image, as plain values.
//!
//! ```text
//! index ──> manifest (one per platform) ──> config   (environment, history, diff IDs)
//!                                       └─> layers   (blobs, lowest first)
//! ```
//!
//! Documents are kept as their original JSON, and pydock edits only its own keys: typed readers silently drop
//! `Healthcheck`, `Shell`, `OnBuild` and vendor keys. This module does no I/O and knows nothing about Python.

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
