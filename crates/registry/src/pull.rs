//! Downloads blobs. If a connection breaks, the download is resumed at the next byte.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use pydock_layer::digest::Digest;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::error::RegistryError;
use super::ranges;
use super::repository::Repository;
use super::retry::{RetryDelays, retrying};

/// How many chunks may wait for their reader. A chunk has up to some hundred KiB, and several blobs are downloaded at
/// once.
const WAITING: usize = 8;

/// Starts to download a blob. Waits for the first response, so that a missing blob is reported at once.
pub(crate) async fn pull(repository: &Repository, digest: Digest) -> Result<PullReader, RegistryError> {
    let response = retrying(|| ask(repository, &digest, 0)).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let repository = repository.clone();
    tokio::spawn(async move {
        if let Err(error) = pump(&repository, &digest, response, &sender).await {
            let _ = sender.send(Err(io::Error::other(error))).await;
        }
    });
    Ok(PullReader { receiver, current: Bytes::new() })
}

/// Requests a blob from a byte on. A registry that does not support ranges sends the whole blob.
async fn ask(repository: &Repository, digest: &Digest, from: u64) -> Result<Response, RegistryError> {
    let with_range = |request: reqwest::RequestBuilder| match from {
        0 => request,
        from => request.header(RANGE, format!("bytes={from}-")),
    };
    repository.host.send_once(Method::GET, &repository.blob_path(digest), &repository.scopes, with_range).await
}

/// Sends the bytes of a blob to its reader, from as many responses as necessary.
async fn pump(
    repository: &Repository,
    digest: &Digest,
    first: Response,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), RegistryError> {
    let (mut position, mut skip) = (0_u64, 0_u64);
    let mut stream = first.bytes_stream();
    let mut delays = RetryDelays::new();
    loop {
        let broken = match stream.next().await {
            None => return Ok(()),
            Some(Ok(mut chunk)) => {
                let skipped = skip.min(chunk.len() as u64);
                chunk.advance(skipped as usize);
                skip -= skipped;
                position += chunk.len() as u64;
                if !chunk.is_empty() {
                    // Attempts are counted since the last progress.
                    delays = RetryDelays::new();
                }
                if sender.send(Ok(chunk)).await.is_err() {
                    // The reader was dropped.
                    return Ok(());
                }
                continue;
            }
            Some(Err(error)) => RegistryError::connection(repository.host.name())(error),
        };
        let Some(wait) = delays.after(&broken) else { return Err(broken) };
        tracing::info!(%digest, position, error = %broken, "going on where the connection broke");
        tokio::time::sleep(wait).await;
        let response = retrying(|| ask(repository, digest, position)).await?;
        skip = match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(position) => 0,
            StatusCode::OK => position,
            _ => return Err(repository.host.invalid("another part of the blob than it was asked for")),
        };
        stream = response.bytes_stream();
    }
}

fn starts_at(response: &Response) -> Option<u64> {
    ranges::first(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
}

/// Reads a blob that a task downloads at the same time. An error of the registry is a [`RegistryError`] inside of the
/// [`io::Error`].
///
/// # Panics
/// Reading panics on a thread of a Tokio runtime that must not block. Read it in `tokio::task::spawn_blocking`.
#[derive(Debug)]
pub struct PullReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for PullReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
