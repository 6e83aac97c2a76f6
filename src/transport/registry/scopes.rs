//! What a token is asked for. Source: distribution's token scope documentation.

use crate::reference::ImageName;

/// The rights that a request needs: on its own repository, and on the one that blobs are mounted from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scopes(Vec<String>);

impl Scopes {
    /// The right to read a repository.
    pub(super) fn pull(name: &ImageName) -> Self {
        Self(vec![format!("repository:{}:pull", name.repository)])
    }

    /// The right to read and write a repository, and to read another.
    pub(super) fn push(name: &ImageName, from: Option<&ImageName>) -> Self {
        let mut scopes = vec![format!("repository:{}:pull,push", name.repository)];
        scopes.extend(from.map(|from| format!("repository:{}:pull", from.repository)));
        Self(scopes)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
