//! `docker-daemon:`: an image of a Docker daemon, as `docker save` and `docker load` pass it on. Source: Docker Engine API,
//! `/images/{name}/get` and `/images/load`.

use std::io::{self, Write};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::Source;
use super::archive::{self, Archive, ArchiveKind, write_archive};
use super::error::TransportError;
use super::open::Access;
use super::spool::Spool;
use super::staging::{Place, StagedSink, Staging};
use crate::image::Descriptor;
use crate::layer::codec::Compression;
use crate::reference::ImageName;

/// How long a daemon may take to answer: it does so when a large image is unpacked.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How much is sent to the daemon at once, and how many of these may wait.
const CHUNK: usize = 1 << 20;
const WAITING: usize = 4;

/// Opens an image of the daemon. Daemons give an image as one stream, which is kept in a spool.
///
/// # Errors
/// If the daemon cannot be reached, or has no such image.
pub async fn open(name: &ImageName, access: &Access) -> Result<Box<dyn Source>, TransportError> {
    let action = format!("get `{name}` from the Docker daemon");
    let docker = connect().await.map_err(|source| TransportError::Daemon { action: action.clone(), source })?;
    let mut stream = Box::pin(docker.export_image(&name.to_string())).peekable();
    // What the daemon says before the first byte is about the image; later, the stream broke.
    if let Some(Err(_)) = std::pin::Pin::new(&mut stream).peek().await
        && let Some(Err(source)) = stream.next().await
    {
        return Err(TransportError::Daemon { action, source });
    }
    let spool = Spool::new(&access.work)?;
    let place = format!("`{name}` of the Docker daemon");
    let reader = SyncIoBridge::new(StreamReader::new(stream.map_err(io::Error::other)));
    let archive = tokio::task::spawn_blocking(move || Archive::copied(reader, place, spool));
    let archive = archive.await.map_err(|_| TransportError::Stopped)??;
    archive::source(archive, ArchiveKind::Docker, None)
}

/// Connects to the daemon at `DOCKER_HOST`, or that on this machine, in the newest way that both know.
async fn connect() -> Result<Docker, Error> {
    Docker::connect_with_defaults()?.with_timeout(PATIENCE).negotiate_version().await
}

/// A Docker daemon that an image is loaded into.
pub struct DaemonPlace {
    docker: Docker,
    name: ImageName,
    tags: Vec<String>,
}

/// Connects to the daemon to write. `tags` are given beside the name's own.
///
/// # Errors
/// If it cannot be reached, the name has a digest, or there is no place for a spool.
pub async fn sink(
    name: &ImageName,
    tags: &[String],
    access: &Access,
) -> Result<StagedSink<DaemonPlace>, TransportError> {
    if name.digest.is_some() {
        return Err(TransportError::DigestDestination(name.to_string()));
    }
    let action = || "reach the Docker daemon".to_owned();
    let docker = connect().await.map_err(|source| TransportError::Daemon { action: action(), source })?;
    let more = tags.iter().map(|tag| ImageName { tag: Some(tag.clone()), ..name.clone() }.to_string());
    let tags = [name.to_string()].into_iter().chain(more).collect();
    StagedSink::new(&access.work, DaemonPlace { docker, name: name.clone(), tags })
}

#[async_trait]
impl Place for DaemonPlace {
    /// A daemon unpacks what it loads.
    fn usual_compression(&self) -> Option<Compression> {
        Some(Compression::None)
    }

    async fn publish(&self, staging: &Staging, root: &Descriptor) -> Result<(), TransportError> {
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
        let sent = futures_util::stream::unfold(receiver, |mut receiver| async {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        });
        let failed =
            |source| TransportError::Daemon { action: format!("load `{}` into the Docker daemon", self.name), source };
        let load = async {
            let answers = self.docker.import_image_stream(ImportImageOptions::default(), sent, None);
            // The daemon tells of its work line by line; an error among them ends it.
            answers.try_for_each(|_| async { Ok(()) }).await.map_err(failed)
        };
        let (blobs, root, tags) = (staging.take(), root.clone(), self.tags.clone());
        let write = tokio::task::spawn_blocking(move || {
            write_archive(blobs, &root, &tags, io::BufWriter::with_capacity(CHUNK, Sending(sender)))
        });
        let (loaded, written) = tokio::join!(load, write);
        loaded?;
        written
            .map_err(|_| TransportError::Stopped)?
            .map_err(|source| TransportError::Stdio { action: "write", source })
    }
}

/// Sends what is written.
struct Sending(mpsc::Sender<io::Result<Bytes>>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
