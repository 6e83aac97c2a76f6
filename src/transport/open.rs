//! Opens the source or sink of a reference.

use std::path::PathBuf;

use pydock_registry::{Logins, Tls};

use super::archive::{self, Archive, ArchiveKind, ArchiveOutput};
use super::daemon;
use super::error::TransportError;
use super::layout::{self, Folder, LayoutSource};
use super::registry::{RegistrySink, RegistrySource};
use super::{Sink, Source};
use crate::reference::Reference;

/// How images are reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// Logins to registries.
    pub logins: Logins,
    /// Registries, as `host[:port]`, whose certificates are not verified and that may use HTTP. Registries on this
    /// machine may always use HTTP.
    pub insecure: Vec<String>,
    /// Certificates besides those of the system.
    pub tls: Tls,
    /// The folder of temporary files that need not be next to the destination.
    pub work: PathBuf,
}

impl Access {
    /// Reaches images without logins. Temporary files go to `work` if there is no better place.
    pub fn anonymous(work: PathBuf) -> Self {
        Self { logins: Logins::default(), insecure: Vec::new(), tls: Tls::default(), work }
    }
}

/// Opens an image to read.
///
/// # Errors
/// If it cannot be opened, or is not an image.
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

/// Opens a destination. `tags` are given to the image besides the tag of the reference. `source` is where it came from.
///
/// # Errors
/// If nothing can be written to it.
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
            archive(ArchiveOutput::File(place.path.clone()), &place.tag)
        }
        Reference::DockerDaemon(name) => Ok(Box::new(daemon::sink(name, tags, access).await?)),
        Reference::Stdio => archive(ArchiveOutput::Stdout, &None),
    }
}

/// Returns the tags of an image in a layout or archive. An image without tags is found if it is the only one.
fn with_more(tag: &Option<String>, tags: &[String]) -> Vec<String> {
    tag.iter().chain(tags).cloned().collect()
}
