//! Errors of reading and writing images.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::image::document::MAX_DOCUMENT;

/// Why an image cannot be read or written: what was attempted, where, and the cause.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A file or folder cannot be used.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Standard input or output cannot be used.
    #[error("cannot {action} an archive")]
    Stdio {
        /// `read` or `write`.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A request to a registry failed.
    #[error("cannot {action}")]
    Registry {
        /// What was attempted, with the image's name.
        action: String,
        /// The cause.
        source: Box<pydock_registry::RegistryError>,
    },
    /// A request to the Docker daemon failed.
    #[error("cannot {action}")]
    Daemon {
        /// What was attempted.
        action: String,
        /// The cause.
        source: DaemonError,
    },
    /// A blob that a manifest lists does not exist.
    #[error("blob {digest} is missing from {place}")]
    MissingBlob {
        /// The digest.
        digest: Digest,
        /// Where it was searched.
        place: String,
    },
    /// The bytes of a blob cannot be copied.
    #[error("cannot copy blob {digest}")]
    Copy {
        /// The digest.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
    /// A document is too large, or does not match its descriptor.
    #[error("cannot read {what} {digest}")]
    Document {
        /// `manifest` or `config`.
        what: &'static str,
        /// The digest.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
    /// A layout or archive has no image with this tag.
    #[error("{place} has no image `{tag}`")]
    NoTag {
        /// The layout or archive.
        place: String,
        /// The requested tag.
        tag: String,
        /// The tags in it.
        tags: Vec<String>,
    },
    /// A layout or archive has several images, and the reference has no tag.
    #[error("{place} holds {} images, and the reference does not say which", .tags.len())]
    Ambiguous {
        /// The layout or archive.
        place: String,
        /// The tags in it.
        tags: Vec<String>,
    },
    /// A layout or archive has no image.
    #[error("{0} holds no image")]
    NoImage(String),
    /// A file is neither an OCI archive nor the output of `docker save`.
    #[error("{0} is no image archive: it has neither `index.json` nor `manifest.json`")]
    NoArchive(String),
    /// A JSON file of a layout or archive is malformed.
    #[error("`{file}` in {place} cannot be read")]
    Json {
        /// The layout or archive.
        place: String,
        /// The file.
        file: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// A JSON file of a layout or archive is too large.
    #[error("`{file}` in {place} is larger than {MAX_DOCUMENT} bytes")]
    TooLarge {
        /// The layout or archive.
        place: String,
        /// The file.
        file: String,
    },
    /// The sender of an image ended its stream too early.
    #[error("the stream of {place} broke")]
    Stream {
        /// The sender.
        place: String,
        /// The cause.
        source: io::Error,
    },
    /// An archive is not a tar file, or is damaged.
    #[error("{place} is a damaged archive")]
    Archive {
        /// The layout or archive.
        place: String,
        /// The cause.
        source: crate::layer::tar::TarError,
    },
    /// The files of a Docker archive do not match each other.
    #[error("{place} is a damaged Docker archive: {why}")]
    DockerArchive {
        /// The layout or archive.
        place: String,
        /// The cause.
        why: String,
    },
    /// The logins cannot be read.
    #[error(transparent)]
    Logins(#[from] pydock_registry::LoginError),
    /// The reference of the destination has a digest.
    #[error("`{0}` names a digest; a destination needs a tag")]
    DigestDestination(String),
    /// An I/O task was stopped.
    #[error("the work was stopped")]
    Stopped,
}

/// What the Docker daemon answered, or why it cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DaemonError(#[from] bollard::errors::Error);

impl TransportError {
    /// Returns a closure that adds action and path to an I/O error; for `map_err`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
