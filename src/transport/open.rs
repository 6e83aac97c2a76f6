//! From a reference to the source or sink that it means.

use std::path::PathBuf;

use pydock_registry::{Logins, Tls};

use super::archive::{self, Archive, ArchiveKind, Output};
use super::daemon;
use super::error::TransportError;
use super::layout::{self, Folder, LayoutSource};
use super::registry::{RegistrySink, RegistrySource};
use super::{Sink, Source};
use crate::reference::Reference;

/// What it takes to reach images.
#[derive(Debug, Clone)]
pub struct Access {
    /// Logins to registries.
    pub logins: Logins,
    /// Registries whose certificates are not verified, and which may speak HTTP; those on this machine may anyway.
    pub insecure: Vec<String>,
    /// Certificates.
    pub tls: Tls,
    /// Where temporary files go that have no better place.
    pub work: PathBuf,
}

/// Opens an image to read.
///
/// # Errors
/// If it is not there, or not an image.
pub async fn open(reference: &Reference, access: &Access) -> Result<Box<dyn Source>, TransportError> {
    match reference {
        Reference::Registry(name) => Ok(Box::new(RegistrySource::new(name.clone(), access).await?)),
        Reference::Layout(place) => Ok(Box::new(LayoutSource::new(Folder(place.path.clone()), place.tag.clone()))),
        Reference::OciArchive(place) => {
            archive::source(Archive::open(&place.path, &access.work)?, ArchiveKind::Oci, place.tag.clone())
        }
        Reference::DockerArchive(place) => {
            archive::source(Archive::open(&place.path, &access.work)?, ArchiveKind::Docker, place.tag.clone())
        }
        Reference::DockerDaemon(name) => daemon::open(name, access).await,
        Reference::Stdio => archive::source(Archive::from_stdin(&access.work)?, ArchiveKind::Any, None),
    }
}

/// Opens a place to write an image to. `tags` are given beside the reference's own; `source` is where it came from.
///
/// # Errors
/// If nothing can be written there.
pub async fn create(
    reference: &Reference,
    tags: &[String],
    source: &Reference,
    access: &Access,
) -> Result<Box<dyn Sink>, TransportError> {
    let archive = |output, tag: &Option<String>| {
        let sink = archive::sink(output, with_more(tag, tags), &access.work)?;
        Ok(Box::new(sink) as Box<dyn Sink>)
    };
    match reference {
        Reference::Registry(name) => {
            let from = match source {
                Reference::Registry(from) => Some(from),
                _ => None,
            };
            Ok(Box::new(RegistrySink::new(name.clone(), tags, from, access).await?))
        }
        Reference::Layout(place) => Ok(Box::new(layout::sink(place.path.clone(), with_more(&place.tag, tags))?)),
        Reference::OciArchive(place) | Reference::DockerArchive(place) => {
            archive(Output::File(place.path.clone()), &place.tag)
        }
        Reference::DockerDaemon(name) => Ok(Box::new(daemon::sink(name, tags, access).await?)),
        Reference::Stdio => archive(Output::Stdout, &None),
    }
}

/// Returns the tags of an image in a layout or archive; one without any is found as the only one there.
fn with_more(tag: &Option<String>, tags: &[String]) -> Vec<String> {
    tag.iter().chain(tags).cloned().collect()
}
