//! `docker-daemon:`: an image of a Docker daemon, in the form of `docker save` and `docker load`. Source: Docker Engine
//! API, `/images/{name}/get` and `/images/load`.

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
use super::staging::{StagedPlace, StagedSink, Staging};
use crate::image::Descriptor;
use crate::layer::codec::Compression;
use crate::reference::ImageName;

/// How long a daemon may take to respond. It responds after it has unpacked the image, which may be large.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How many bytes are sent to the daemon at once.
const CHUNK: usize = 1 << 20;
/// How many chunks may wait to be sent.
const WAITING: usize = 4;

/// Opens an image of the daemon. The daemon sends an image as one stream, which is stored in a spool.
///
/// # Errors
/// If the daemon cannot be reached, or does not have the image.
pub async fn open(name: &ImageName, access: &Access) -> Result<Box<dyn Source>, TransportError> {
    let action = format!("get `{name}` from the Docker daemon");
    let docker =
        connect().await.map_err(|source| TransportError::Daemon { action: action.clone(), source: source.into() })?;
    let mut stream = Box::pin(docker.export_image(&name.to_string())).peekable();
    // An error before the first byte is about the image. After a later one, the stream is broken.
    if let Some(Err(_)) = std::pin::Pin::new(&mut stream).peek().await
        && let Some(Err(source)) = stream.next().await
    {
        return Err(TransportError::Daemon { action, source: source.into() });
    }
    let spool = Spool::new(&access.work)?;
    let place = format!("`{name}` of the Docker daemon");
    let reader = SyncIoBridge::new(StreamReader::new(stream.map_err(io::Error::other)));
    let archive = tokio::task::spawn_blocking(move || Archive::copied(reader, place, spool));
    let archive = archive.await.map_err(|_| TransportError::Stopped)??;
    archive::source(archive, ArchiveKind::Docker, None)
}

/// Connects to the daemon at `DOCKER_HOST`, or the one on this machine, with the newest API version that both support.
async fn connect() -> Result<Docker, Error> {
    Docker::connect_with_defaults()?.with_timeout(PATIENCE).negotiate_version().await
}

/// A Docker daemon that loads an image.
pub struct DaemonPlace {
    docker: Docker,
    name: ImageName,
    tags: Vec<String>,
}

/// Connects to the daemon to write. `tags` are given to the image besides the tag of the name.
///
/// # Errors
/// If the daemon cannot be reached, the name has a digest, or a spool cannot be created.
pub async fn sink(
    name: &ImageName,
    tags: &[String],
    access: &Access,
) -> Result<StagedSink<DaemonPlace>, TransportError> {
    if name.digest.is_some() {
        return Err(TransportError::DigestDestination(name.to_string()));
    }
    let action = || "reach the Docker daemon".to_owned();
    let docker =
        connect().await.map_err(|source| TransportError::Daemon { action: action(), source: source.into() })?;
    let more = tags.iter().map(|tag| ImageName { tag: Some(tag.clone()), ..name.clone() }.to_string());
    let tags = [name.to_string()].into_iter().chain(more).collect();
    StagedSink::new(&access.work, DaemonPlace { docker, name: name.clone(), tags })
}

#[async_trait]
impl StagedPlace for DaemonPlace {
    /// A daemon unpacks the layers that it loads, so they are sent uncompressed.
    fn usual_compression(&self) -> Option<Compression> {
        Some(Compression::None)
    }

    async fn publish(&self, staging: &Staging, root: &Descriptor) -> Result<(), TransportError> {
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
        let sent = futures_util::stream::unfold(receiver, |mut receiver| async {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        });
        let failed = |source: Error| TransportError::Daemon {
            action: format!("load `{}` into the Docker daemon", self.name),
            source: source.into(),
        };
        let load = async {
            let answers = self.docker.import_image_stream(ImportImageOptions::default(), sent, None);
            // The daemon reports its progress line by line. An error is one of these lines.
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

/// Sends the bytes that are written.
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
