//! `docker://`: an image in a registry. Spec: distribution-spec.
//!
//! `client.rs` speaks HTTP, `token.rs` logs in, `retry.rs` tries again, `pull.rs` and `push.rs` go on where a connection broke.

mod client;
mod error;
mod pull;
mod push;
mod ranges;
mod redirects;
mod referrers;
mod repository;
mod retry;
mod scopes;
mod sink;
mod source;
mod token;
mod watch;

pub use error::RegistryError;
pub use sink::RegistrySink;
pub use source::RegistrySource;
