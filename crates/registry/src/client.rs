//! The entry point: options, and repositories by name.

use std::sync::Arc;

use super::error::RegistryError;
use super::logins::Logins;
use super::name::ImageName;
use super::repository::Repository;
use super::scopes::TokenScopes;
use super::tls::Tls;

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Logins by registry.
    pub logins: Logins,
    /// Registries, as `host[:port]`, whose certificates are not verified and that may use HTTP. Registries on this
    /// machine may always use HTTP.
    pub insecure: Vec<String>,
    /// Certificates besides those of the system.
    pub tls: Tls,
    /// The header `User-Agent`, as `product/version`. The product is also the client ID in requests for OAuth2 tokens.
    pub user_agent: String,
}

impl Default for Options {
    /// No logins, no insecure registries, and the certificates of the system.
    fn default() -> Self {
        Self {
            logins: Logins::default(),
            insecure: Vec::new(),
            tls: Tls::default(),
            user_agent: concat!("pydock-registry/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A client of any number of registries. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    options: Arc<Options>,
}

impl Client {
    /// Creates a client. No registry is contacted yet.
    pub fn new(options: Options) -> Self {
        Self { options: options.into() }
    }

    /// Opens a repository to read. The login is looked up, but the registry is not contacted yet.
    ///
    /// # Errors
    /// If the login cannot be looked up, or the certificates or the user agent cannot be used.
    pub async fn repository(&self, name: &ImageName) -> Result<Repository, RegistryError> {
        Repository::open(name, TokenScopes::pull(name), &self.options).await
    }

    /// Opens a repository to read and write. `mount_from` is a repository of the same registry, from which blobs may be
    /// mounted: tokens then also permit to read it.
    ///
    /// # Errors
    /// As [`Client::repository`].
    pub async fn writable_repository(
        &self,
        name: &ImageName,
        mount_from: Option<&ImageName>,
    ) -> Result<Repository, RegistryError> {
        Repository::open(name, TokenScopes::push(name, mount_from), &self.options).await
    }
}
