//! Scopes of tokens. Source: distribution, "Docker Registry Token Scope and Access".

use super::name::ImageName;

/// The scopes that a request needs: for its own repository, and for the one from which blobs are mounted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenScopes(Vec<String>);

impl TokenScopes {
    /// Returns the scope to read a repository.
    pub(crate) fn pull(name: &ImageName) -> Self {
        Self(vec![format!("repository:{}:pull", name.repository)])
    }

    /// Returns the scopes to read and write a repository, and to read another one.
    pub(crate) fn push(name: &ImageName, from: Option<&ImageName>) -> Self {
        let mut scopes = vec![format!("repository:{}:pull,push", name.repository)];
        scopes.extend(from.map(|from| format!("repository:{}:pull", from.repository)));
        Self(scopes)
    }

    /// Returns the scopes, one for each repository.
    pub(crate) fn each(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
