//! References to images: `transport:location`, as in skopeo.
//!
//! Source of the syntax: containers-transports(5). [`ImageName`] parses the names of images in registries.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use pydock_registry::ImageName;

/// The location of an image.
///
/// ```
/// use pydock::reference::Reference;
/// let bare: Reference = "app:1".parse().unwrap();
/// assert_eq!(bare.to_string(), "docker://docker.io/library/app:1");
/// assert!("oci:dir:tag".parse::<Reference>().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `docker://host/repo:tag`, or just `host/repo:tag`: an image in a registry.
    Registry(ImageName),
    /// `oci:dir[:tag]`: an OCI image layout.
    Layout(TaggedPath),
    /// `oci-archive:file[:tag]`: a tar archive of an OCI image layout.
    OciArchive(TaggedPath),
    /// `docker-archive:file[:tag]`: the output of `docker save`.
    DockerArchive(TaggedPath),
    /// `docker-daemon:name[:tag]`: an image of the local Docker daemon, or of the daemon at `DOCKER_HOST`.
    DockerDaemon(ImageName),
    /// `-`: an archive on standard input or output.
    Stdio,
}

/// A path with an optional tag after a colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedPath {
    /// The file or folder.
    pub path: PathBuf,
    /// The tag or full image name after the path.
    pub tag: Option<String>,
}

/// Why a string is not a [`Reference`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is no reference: {why}")]
pub struct ReferenceError {
    /// The invalid text.
    pub text: String,
    /// The reason.
    pub why: String,
    /// The closest valid form.
    pub nearest: Option<String>,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|why| ReferenceError { text: text.to_owned(), why, nearest: nearest(text) })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text == "-" {
        return Ok(Reference::Stdio);
    }
    if let Some(name) = text.strip_prefix("docker://") {
        return Ok(Reference::Registry(image_name(name)?));
    }
    let tagged = |location: &str| -> Result<TaggedPath, String> {
        let (path, tag) = match location.split_once(':') {
            Some((path, tag)) => (path, Some(tag.to_owned())),
            None => (location, None),
        };
        if path.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if tag.as_deref() == Some("") {
            return Err("the tag is empty".to_owned());
        }
        Ok(TaggedPath { path: path.into(), tag })
    };
    match text.split_once(':') {
        Some(("oci", location)) => Ok(Reference::Layout(tagged(location)?)),
        Some(("oci-archive", location)) => Ok(Reference::OciArchive(tagged(location)?)),
        Some(("docker-archive", location)) => Ok(Reference::DockerArchive(tagged(location)?)),
        Some(("docker-daemon", name)) => Ok(Reference::DockerDaemon(image_name(name)?)),
        Some(("docker", _)) => Err("`docker:` wants two slashes after it".to_owned()),
        Some((transport, rest)) if rest.starts_with("//") => Err(format!("transport `{transport}` is not known")),
        _ => Ok(Reference::Registry(image_name(text)?)),
    }
}

fn image_name(text: &str) -> Result<ImageName, String> {
    text.parse::<ImageName>().map_err(|error| error.to_string())
}

/// Guesses the intended reference: tries common mistakes in order until a guess parses.
fn nearest(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let after_scheme = trimmed.split_once("://").map(|(_, rest)| rest);
    let mut guesses = vec![trimmed.to_owned(), trimmed.trim_end_matches([':', '/', '@']).to_owned()];
    if let Some(name) = trimmed.strip_prefix("docker:") {
        guesses.push(format!("docker://{}", name.trim_start_matches('/')));
    }
    for (slip, transport) in [("oci-layout:", "oci:"), ("oci-dir:", "oci:"), ("docker-tar:", "docker-archive:")] {
        if let Some(location) = trimmed.strip_prefix(slip) {
            guesses.push(format!("{transport}{}", location.trim_start_matches("//")));
        }
    }
    guesses.extend(after_scheme.map(|name| format!("docker://{name}")));
    let lower = guesses.iter().map(|guess| guess.to_lowercase()).collect::<Vec<_>>();
    guesses.extend(lower);
    guesses.into_iter().find(|guess| guess != text && parse(guess).is_ok())
}

impl fmt::Display for TaggedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) => write!(f, "docker://{name}"),
            Self::Layout(place) => write!(f, "oci:{place}"),
            Self::OciArchive(place) => write!(f, "oci-archive:{place}"),
            Self::DockerArchive(place) => write!(f, "docker-archive:{place}"),
            Self::DockerDaemon(name) => write!(f, "docker-daemon:{name}"),
            Self::Stdio => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn references_parse_as_skopeo_and_docker_users_write_them() {
        for (text, printed) in [
            ("app", "docker://docker.io/library/app:latest"),
            ("me/app:1", "docker://docker.io/me/app:1"),
            ("localhost/app:1", "docker://localhost/app:1"),
            ("localhost:5000/a/b:1.2_x-y", "docker://localhost:5000/a/b:1.2_x-y"),
            ("docker://ghcr.io/a/b", "docker://ghcr.io/a/b:latest"),
            ("oci:dir", "oci:dir"),
            ("oci:/a/dir:tag", "oci:/a/dir:tag"),
            ("oci-archive:a.tar:x", "oci-archive:a.tar:x"),
            ("docker-daemon:app:1", "docker-daemon:docker.io/library/app:1"),
            ("docker-archive:a.tar:repo/name:1", "docker-archive:a.tar:repo/name:1"),
            ("-", "-"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), printed);
        }
        let digest = Digest::of(b"");
        let by_digest: Reference = format!("host:1/a@{digest}").parse().unwrap();
        assert_eq!(by_digest.to_string(), format!("docker://host:1/a@{digest}"));
    }

    #[test]
    fn a_reference_that_does_not_parse_names_the_nearest_form() {
        for (text, nearest) in [
            ("App:1", Some("app:1")),
            ("docker:app:1", Some("docker://app:1")),
            ("docker:/host.io/app", Some("docker://host.io/app")),
            ("https://ghcr.io/a/b:1", Some("docker://ghcr.io/a/b:1")),
            ("oci-layout://dir/x", None),
            (" app:1", Some("app:1")),
            ("app:", Some("app")),
            ("oci:", None),
            ("", None),
        ] {
            let error = text.parse::<Reference>().expect_err(text);
            if nearest.is_some() {
                assert_eq!(error.nearest.as_deref(), nearest, "{text}");
            }
        }
    }
}
