//! `docker://`: an image in a registry, by the client of [`pydock_registry`].

mod sink;
mod source;

use pydock_registry::{Client, Options, RegistryError};

pub use sink::RegistrySink;
pub use source::RegistrySource;

use super::error::TransportError;
use super::open::Access;

/// Documents are limited before the rest of pydock reads them, so the two limits must be equal.
const _: () = assert!(pydock_registry::MAX_MANIFEST == crate::image::document::MAX_DOCUMENT);

/// Creates a client with the logins and certificates of a run.
fn client(access: &Access) -> Client {
    Client::new(Options {
        logins: access.logins.clone(),
        insecure: access.insecure.clone(),
        tls: access.tls.clone(),
        user_agent: concat!("pydock/", env!("CARGO_PKG_VERSION")).to_owned(),
    })
}

/// Returns a closure that adds what was attempted to an error; for `map_err`.
fn failed(action: String) -> impl FnOnce(RegistryError) -> TransportError {
    move |source| match source {
        RegistryError::Manifest { digest, source } => {
            TransportError::Document { what: "manifest", digest, source: source.into() }
        }
        source => TransportError::Registry { action, source: source.into() },
    }
}
