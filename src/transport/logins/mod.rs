//! Logins to registries, from where Docker and podman keep them.
//!
//! Sources: docker-login(1), "Credential stores" and "Credential helpers"; containers-auth.json(5).

mod file;
mod helper;

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use file::LoginFile;
pub use helper::LoginError;

/// Something that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns it, to be sent to whom it is for.
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
    /// Not at all.
    Anonymous,
    /// As a user.
    Password {
        /// Whose password it is.
        user: String,
        /// The password, or a token that stands for it.
        password: Secret,
    },
    /// With what a token server gave for good (OAuth2: a refresh token).
    IdentityToken(Secret),
}

/// Logins by registry, or by a part of its repositories.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    typed: Option<Login>,
    files: Vec<LoginFile>,
}

impl Logins {
    /// Reads files like Docker's `config.json`; those that do not exist are left out. An earlier one goes before a later one.
    ///
    /// # Errors
    /// If one exists and is malformed.
    pub fn from_files(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self, LoginError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(LoginFile::read(&path)?);
        }
        Ok(Self { typed: None, files })
    }

    /// Logs in to every registry as this, whatever the files say.
    pub fn with_login(self, user: String, password: Secret) -> Self {
        Self { typed: Some(Login::Password { user, password }), ..self }
    }

    /// Returns how to log in to a registry for a repository; asks a credential helper if the files name one.
    ///
    /// # Errors
    /// If the helper fails.
    pub async fn of(&self, registry: &str, repository: &str) -> Result<Login, LoginError> {
        if let Some(login) = &self.typed {
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
