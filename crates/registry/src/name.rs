//! Names of images in registries. Source: distribution/reference, "Grammar".

use std::fmt;
use std::str::FromStr;

use pydock_layer::digest::Digest;

/// The name of an image in a registry: `[host/]repository[:tag][@digest]`.
///
/// ```
/// use pydock_registry::ImageName;
/// let name: ImageName = "app".parse().unwrap();
/// assert_eq!(name.to_string(), "docker.io/library/app:latest");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// The host, with a port if given. `docker.io` if the name has no host.
    pub registry: String,
    /// The repository, including `library/` for Docker Hub's official images.
    pub repository: String,
    /// The tag. `latest` if neither a tag nor a digest is given.
    pub tag: Option<String>,
    /// The digest after `@`.
    pub digest: Option<Digest>,
}

/// A manifest of a repository. Spec: distribution-spec, "Pulling manifests".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ManifestRef {
    /// By tag.
    Tag(String),
    /// By digest.
    Digest(Digest),
}

/// Why a string is not an [`ImageName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The digest is malformed.
    #[error("{0}")]
    Digest(String),
    /// The tag is malformed.
    #[error("tag `{0}` is not 1 to 128 of `A-Za-z0-9_.-`")]
    Tag(String),
    /// The repository is malformed.
    #[error("repository `{0}` is not lower-case letters, digits and `._-/`")]
    Repository(String),
}

impl ImageName {
    /// Returns the manifest that the name means. A digest takes precedence over a tag.
    pub fn manifest_ref(&self) -> ManifestRef {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => ManifestRef::Digest(*digest),
            (None, Some(tag)) => ManifestRef::Tag(tag.clone()),
            (None, None) => ManifestRef::Tag("latest".to_owned()),
        }
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    /// Parses `[host/]repository[:tag][@digest]`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let digest = |digest: &str| digest.parse::<Digest>().map_err(|error| NameError::Digest(error.to_string()));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, text)) => (rest, Some(digest(text)?)),
            None => (text, None),
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if let Some(tag) = tag.as_deref().filter(|tag| !is_tag(tag)) {
            return Err(NameError::Tag(tag.to_owned()));
        }
        let (registry, repository) = match rest.split_once('/') {
            Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), repository.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), rest.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{rest}")),
        };
        if !repository.split('/').all(is_repository_part) {
            return Err(NameError::Repository(repository));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { registry, repository, tag, digest })
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_repository_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(plain) && part.ends_with(plain) && part.chars().all(|c| plain(c) || "._-".contains(c))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ManifestRef {
    /// Writes the tag or the digest, as in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_takes_precedence_over_a_tag() {
        let digest = Digest::of(b"");
        let both: ImageName = format!("host:1/a:1@{digest}").parse().unwrap();
        assert_eq!(both.to_string(), format!("host:1/a:1@{digest}"));
        assert_eq!(both.manifest_ref(), ManifestRef::Digest(digest));
        assert_eq!("a/b:1".parse::<ImageName>().unwrap().manifest_ref(), ManifestRef::Tag("1".to_owned()));
    }

    #[test]
    fn a_malformed_name_is_an_error_that_names_its_part() {
        let error = |text: &str| text.parse::<ImageName>().expect_err(text);
        assert_eq!(error("App"), NameError::Repository("library/App".to_owned()));
        assert_eq!(error("app:"), NameError::Tag(String::new()));
        assert!(matches!(error("app@sha256:1"), NameError::Digest(_)));
    }
}
