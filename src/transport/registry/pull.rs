//! Pulls blobs. A broken connection is made again, and reading goes on where it ended.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::error::RegistryError;
use super::ranges;
use super::repository::{Repository, failed};
use super::retry::{Waits, retrying};
use crate::digest::Digest;

/// How many chunks may wait for their reader: each is of up to some hundred KiB, and several layers are pulled at once.
const WAITING: usize = 8;

/// Starts to pull a blob. The first answer is awaited, so that a blob that is not there is told at once.
pub(super) async fn pull(repository: &Repository, digest: Digest) -> Result<PullReader, RegistryError> {
    let response = retrying(|| ask(repository, &digest, 0)).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let repository = repository.clone();
    tokio::spawn(async move {
        if let Err(error) = pump(&repository, &digest, response, &sender).await {
            let error = failed(format!("pull blob {digest} of `{}`", repository.name))(error);
            let _ = sender.send(Err(io::Error::other(error))).await;
        }
    });
    Ok(PullReader { receiver, current: Bytes::new() })
}

/// Asks for a blob from a byte on. What a registry that knows no ranges sends in front of it is skipped by the caller.
async fn ask(repository: &Repository, digest: &Digest, from: u64) -> Result<Response, RegistryError> {
    let with_range = |request: reqwest::RequestBuilder| match from {
        0 => request,
        from => request.header(RANGE, format!("bytes={from}-")),
    };
    repository.client.send_once(Method::GET, &repository.blob_path(digest), &repository.scopes, with_range).await
}

/// Passes a blob's bytes on, from as many answers as it takes.
async fn pump(
    repository: &Repository,
    digest: &Digest,
    first: Response,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), RegistryError> {
    let (mut position, mut skip) = (0_u64, 0_u64);
    let mut stream = first.bytes_stream();
    let mut waits = Waits::new();
    loop {
        let broken = match stream.next().await {
            None => return Ok(()),
            Some(Ok(mut chunk)) => {
                let skipped = skip.min(chunk.len() as u64);
                chunk.advance(skipped as usize);
                skip -= skipped;
                position += chunk.len() as u64;
                if !chunk.is_empty() {
                    // Whoever gets on may stumble again.
                    waits = Waits::new();
                }
                if sender.send(Ok(chunk)).await.is_err() {
                    // Nobody reads any more.
                    return Ok(());
                }
                continue;
            }
            Some(Err(error)) => RegistryError::connection(repository.client.host())(error),
        };
        let Some(wait) = waits.after(&broken) else { return Err(broken) };
        tracing::info!(%digest, position, error = %broken, "going on where the connection broke");
        tokio::time::sleep(wait).await;
        let response = retrying(|| ask(repository, digest, position)).await?;
        skip = match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(position) => 0,
            StatusCode::OK => position,
            _ => return Err(repository.client.answer("another part of the blob than it was asked for")),
        };
        stream = response.bytes_stream();
    }
}

fn starts_at(response: &Response) -> Option<u64> {
    ranges::first(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
}

/// Reads, on a thread that may block, what a task pulls meanwhile.
pub(super) struct PullReader {
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
