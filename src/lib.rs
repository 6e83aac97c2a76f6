//! pydock slims container images of Python applications that are already built.
//!
//! It reads an image, decides which files are not needed, rewrites only the layers that change, recomputes every
//! digest, and writes a new OCI image. Nothing is rebuilt, and nothing from the image is run.
//!
//! ```text
//! reference ──> source ──> scan ──> rootfs ──> plan ──> rewrite ──> sink
//! ```
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use pydock::{Access, SlimOptions, progress::Silent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = SlimOptions::new("registry.example.com/shop/web:1.4".parse()?);
//! options.destination = Some("registry.example.com/shop/web:1.4-slim".parse()?);
//! let access = Access::anonymous(std::env::temp_dir());
//! let outcome = pydock::slim(&options, &access, Arc::new(Silent), &|_| Ok(())).await?;
//! for image in &outcome.images {
//!     println!("{}: {:?} bytes saved", image.platform, image.saved());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Stability
//!
//! What this page lists is the interface; it follows semantic versioning. Modules that it does not list are public for
//! tests and benchmarks only, and change at any time. `ARCHITECTURE.md` describes them.
//!
//! The feature `cli` (on by default) is the program. A library does not need it: `default-features = false`.

#[doc(hidden)]
pub mod attach;
#[doc(hidden)]
pub mod cache;
#[doc(hidden)]
pub mod content;
#[doc(hidden)]
pub mod evidence;
#[doc(hidden)]
pub mod explain;
#[doc(hidden)]
pub mod image;
#[doc(hidden)]
pub mod inventory;
#[doc(hidden)]
pub mod layering;
#[doc(hidden)]
pub mod options;
#[doc(hidden)]
pub mod outcome;
#[doc(hidden)]
pub mod packages;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod profile;
pub mod progress;
#[doc(hidden)]
pub mod reference;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod rootfs;
#[doc(hidden)]
pub mod saved_plan;
#[doc(hidden)]
pub mod savings;
#[doc(hidden)]
pub mod slim;
#[doc(hidden)]
pub mod state;
#[doc(hidden)]
pub mod transport;
#[doc(hidden)]
pub mod undo;

#[doc(hidden)]
pub use pydock_layer::{self as layer, blob, budget, digest, idle, rootfs_path};
pub use pydock_registry::{LoginError, Logins, RegistryError, Secret, Tls};

pub use cache::CacheLocation;
pub use digest::Digest;
pub use evidence::UnreadReason;
pub use explain::{Explanation, Verdict};
pub use image::{Descriptor, PlatformChoice};
pub use layer::codec::Compression;
pub use layering::Squash;
pub use options::{Gates, PlanSource, RuleChoice, SlimOptions};
pub use outcome::{BaseFoundBy, ImageOutcome, LayerOutcome, MinSaving, Note, Outcome, UnmetGate};
pub use plan::{Plan, Unread};
pub use profile::{Level, Profile, ProfileError, Risk};
pub use reference::{ImageName, Reference, ReferenceError};
pub use report::Report;
pub use rootfs_path::RootfsPath;
pub use saved_plan::{SavedPlan, SavedPlanError};
pub use slim::{Review, SlimError, explain, plan_only as plan, slim};
pub use transport::{Access, TransportError};
pub use undo::undo;
