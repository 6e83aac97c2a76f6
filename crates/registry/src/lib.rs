//! A client of OCI registries.
//!
//! It pulls and pushes manifests and blobs, and lists and adds referrers. Spec: [distribution-spec].
//!
//! - A download or an upload that breaks is resumed where it broke.
//! - Requests are repeated after passing errors. `Retry-After` is honored.
//! - Tokens, identity tokens, client certificates, and the logins of Docker and podman are supported.
//! - A login is sent only to the registry that it is for, and to the token server that this registry names.
//! - Manifests and blobs are verified against their digests.
//!
//! ```no_run
//! use pydock_registry::{Client, ImageName, Options, RegistryError};
//!
//! # async fn example() -> Result<(), RegistryError> {
//! let name: ImageName = "ghcr.io/me/app:1".parse().expect("a valid name");
//! let repository = Client::new(Options::default()).repository(&name).await?;
//! let manifest = repository.manifest(&name.manifest_ref()).await?;
//! println!("{}", String::from_utf8_lossy(&manifest.bytes));
//! # Ok(())
//! # }
//! ```
//!
//! All functions need a Tokio runtime with I/O and timers. Readers of blobs block, so they are read on other threads.
//!
//! [distribution-spec]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md

mod client;
mod error;
mod host;
mod logins;
mod name;
mod pull;
mod push;
mod ranges;
mod redirects;
mod referrers;
mod repository;
mod retry;
mod scopes;
mod tls;
mod token;
mod watch;

pub use pydock_layer::blob::{BlobFacts, Mismatch, ReadAt, VerifyingReader};
pub use pydock_layer::digest::Digest;

pub use client::{Client, Options};
pub use error::{HttpError, RegistryError};
pub use logins::{Login, LoginError, Logins, Secret};
pub use name::{ImageName, ManifestRef, NameError};
pub use pull::PullReader;
pub use referrers::Referrer;
pub use repository::{MAX_MANIFEST, PulledManifest, Repository};
pub use tls::Tls;
