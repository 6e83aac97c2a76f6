//! Logins to registries, from the files and credential helpers of Docker and podman.
//!
//! Sources: docker-login(1), "Credential stores" and "Credential helpers"; containers-auth.json(5).

mod file;
mod helper;

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use file::LoginFile;
pub use helper::LoginError;

/// A text that is never printed. `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How to log in to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Without a login.
    Anonymous,
    /// With the password of a user.
    Password {
        /// The name of the user.
        user: String,
        /// The password, or a token that replaces it.
        password: Secret,
    },
    /// With an identity token, which is a refresh token of OAuth2.
    IdentityToken(Secret),
}

/// Logins by registry, or by a part of its repositories.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    /// The login for every registry.
    everywhere: Option<Login>,
    files: Vec<LoginFile>,
}

impl Logins {
    /// Reads files in the format of Docker's `config.json` or podman's `auth.json`. Files that do not exist are
    /// skipped. An earlier file takes precedence over a later one.
    ///
    /// # Errors
    /// If a file exists, but cannot be read or is malformed.
    pub fn from_files(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self, LoginError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(LoginFile::read(&path)?);
        }
        Ok(Self { everywhere: None, files })
    }

    /// Uses one login for every registry instead of those in files. The caller must make sure that all registries that
    /// it uses may see the password.
    pub fn with_login(self, user: String, password: Secret) -> Self {
        Self { everywhere: Some(Login::Password { user, password }), ..self }
    }

    /// Returns the login for a repository. Runs a credential helper if a file names one for the registry.
    ///
    /// # Errors
    /// If the helper cannot be run, fails or does not respond.
    pub async fn of(&self, registry: &str, repository: &str) -> Result<Login, LoginError> {
        if let Some(login) = &self.everywhere {
            return Ok(login.clone());
        }
        for file in &self.files {
            if let Some(login) = file.login(registry, repository).await? {
                return Ok(login);
            }
        }
        Ok(Login::Anonymous)
    }
}
