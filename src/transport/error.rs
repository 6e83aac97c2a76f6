//! What can go wrong between pydock and a medium.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::image::document::MAX_DOCUMENT;

/// What was attempted, where, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A file or folder cannot be used.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard input or output cannot be used.
    #[error("cannot {action} an archive")]
    Stdio {
        /// `read` or `write`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A registry said no, or could not be reached.
    #[error("cannot {action}")]
    Registry {
        /// What was attempted, with the image's name.
        action: String,
        /// Why.
        source: Box<pydock_registry::RegistryError>,
    },
    /// The Docker daemon said no, or could not be reached.
    #[error("cannot {action}")]
    Daemon {
        /// What was attempted.
        action: String,
        /// Why.
        source: bollard::errors::Error,
    },
    /// A blob that a manifest lists is not there.
    #[error("blob {digest} is missing from {place}")]
    MissingBlob {
        /// Its digest.
        digest: Digest,
        /// Where it should be.
        place: String,
    },
    /// A blob's bytes cannot be passed on.
    #[error("cannot copy blob {digest}")]
    Copy {
        /// Its digest.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// A blob that is held in memory is too large, or not the descriptor's.
    #[error("cannot read {what} {digest}")]
    Document {
        /// `manifest` or `config`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// There is no image of this tag in a layout or archive.
    #[error("{place} has no image `{tag}`")]
    NoTag {
        /// Where.
        place: String,
        /// What was asked for.
        tag: String,
        /// What there is.
        tags: Vec<String>,
    },
    /// A layout or archive has several images, and no tag says which.
    #[error("{place} holds {} images, and the reference does not say which", .tags.len())]
    Ambiguous {
        /// Where.
        place: String,
        /// What there is.
        tags: Vec<String>,
    },
    /// A layout or archive has no image at all.
    #[error("{0} holds no image")]
    NoImage(String),
    /// A file is neither an OCI archive nor what `docker save` writes.
    #[error("{0} is no image archive: it has neither `index.json` nor `manifest.json`")]
    NoArchive(String),
    /// A JSON file of a layout or archive is malformed.
    #[error("`{file}` in {place} cannot be read")]
    Json {
        /// Where.
        place: String,
        /// Which file.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A JSON file of a layout or archive is too large.
    #[error("`{file}` in {place} is larger than {MAX_DOCUMENT} bytes")]
    TooLarge {
        /// Where.
        place: String,
        /// Which file.
        file: String,
    },
    /// An archive is no tar, or a damaged one.
    #[error("{place} is a damaged archive")]
    Archive {
        /// Where.
        place: String,
        /// Why.
        source: crate::layer::tar::TarError,
    },
    /// A Docker archive disagrees with itself.
    #[error("{place} is a damaged Docker archive: {why}")]
    DockerArchive {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
    /// Logins cannot be found out.
    #[error(transparent)]
    Logins(#[from] pydock_registry::LoginError),
    /// The destination names a digest.
    #[error("`{0}` names a digest; a destination needs a tag")]
    DigestDestination(String),
    /// An I/O task was stopped.
    #[error("the work was stopped")]
    Stopped,
}

impl TransportError {
    /// Returns a closure that words an I/O error on a path; for `map_err`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
