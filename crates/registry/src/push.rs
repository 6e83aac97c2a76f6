//! Uploads blobs: in one request, or in chunks if the registry refuses that. An upload that breaks is resumed.
//! Spec: distribution-spec, "Pushing blobs".

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use pydock_layer::blob::{BlobFacts, ReadAt};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};

use super::error::RegistryError;
use super::host::RequestTarget;
use super::ranges;
use super::repository::Repository;
use super::retry::RetryDelays;
use super::watch::UploadWatch;

/// A blob of at most this many bytes is sent with the request that ends its upload, to save a request.
const SMALL: u64 = 256 << 10;
/// The size of the first chunk for a registry, or a proxy, that refuses the whole blob as too large.
const CHUNK: u64 = 16 << 20;
/// The smallest chunk that is tried. nginx's default limit is 1 MB.
const SMALLEST_CHUNK: u64 = 512 << 10;
/// The header with the smallest chunk that a registry accepts, except for the last one.
/// Spec: distribution-spec, "Pushing a blob in chunks".
const MIN_CHUNK: &str = "oci-chunk-min-length";
/// How many bytes of a blob are read at once.
const READ: u64 = 256 << 10;
const BYTES: &str = "application/octet-stream";

/// The upload of one blob.
pub(crate) struct Upload<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) blob: BlobFacts,
    pub(crate) content: Arc<dyn ReadAt>,
}

/// The state of an upload.
struct UploadSession {
    /// Where the next request is sent.
    at: RequestTarget,
    /// How many bytes have arrived.
    sent: u64,
    /// The size of the next chunk.
    chunk: u64,
    /// The smallest chunk that the registry accepts.
    min_chunk: u64,
    /// Whether the registry reported how many bytes have arrived.
    resumed: bool,
}

impl UploadSession {
    fn at(at: RequestTarget) -> Self {
        Self { at, sent: 0, chunk: u64::MAX, min_chunk: 0, resumed: false }
    }
}

impl Upload<'_> {
    /// Uploads the blob. `at` is the upload that the registry opened instead of mounting the blob.
    pub(crate) async fn push(&self, at: Option<RequestTarget>) -> Result<(), RegistryError> {
        self.check_size()?;
        let mut session = at.map(UploadSession::at);
        let mut furthest = 0;
        let mut delays = RetryDelays::new();
        loop {
            let Err(error) = self.advance(&mut session).await else { return Ok(()) };
            let sent = session.as_ref().map_or(0, |session| session.sent);
            if sent > furthest {
                furthest = sent;
                delays = RetryDelays::new();
            }
            // A registry may have kept other bytes of a broken upload than were sent. It reports that at the end.
            let resumed = session.as_ref().is_some_and(|session| session.resumed);
            let is_forgotten = error.status() == Some(404) && sent > 0;
            let spoiled = is_forgotten || resumed && error.status().is_some_and(|status| (400..500).contains(&status));
            let lost_place = error.status() == Some(416);
            if !error.is_transient() && !lost_place && !spoiled {
                return Err(error);
            }
            let Some(wait) = delays.after(&error) else { return Err(error) };
            tracing::info!(digest = %self.blob.digest, sent, %error, "going on with the upload where it broke");
            tokio::time::sleep(wait).await;
            // The upload may be complete, and only the response was lost.
            if matches!(self.repository.has_blob_now(&self.blob.digest).await, Ok(true)) {
                return Ok(());
            }
            session = if spoiled { None } else { self.resumed(session).await };
        }
    }

    /// Reads the last byte, to find content that is too short before anything is sent.
    fn check_size(&self) -> Result<(), RegistryError> {
        match self.blob.size {
            0 => Ok(()),
            size => Ok(self.content.read_at(&mut [0], size - 1)?),
        }
    }

    /// Sends the rest of the blob.
    async fn advance(&self, place: &mut Option<UploadSession>) -> Result<(), RegistryError> {
        let session = match place {
            Some(session) => session,
            None => place.insert(self.begin().await?),
        };
        if self.blob.size <= SMALL {
            return self.end(session, true).await;
        }
        while session.sent < self.blob.size {
            let Err(error) = self.send_chunk(session).await else { continue };
            match error.status() {
                Some(413) if session.chunk > SMALLEST_CHUNK.max(session.min_chunk) => {
                    let chunk = CHUNK.min(session.chunk.min(self.blob.size) / 2).max(SMALLEST_CHUNK);
                    let begun = self.begin().await?;
                    *session = UploadSession { chunk: chunk.max(begun.min_chunk), ..begun };
                }
                // The registry accepts whole blobs only.
                Some(404 | 405 | 415 | 501) if session.sent == 0 => {
                    *session = self.begin().await?;
                    return self.end(session, true).await;
                }
                _ => return Err(error),
            }
        }
        self.end(session, false).await
    }

    /// Opens an upload.
    async fn begin(&self) -> Result<UploadSession, RegistryError> {
        let target = self.repository.path("blobs/uploads/");
        let response = self.send(Method::POST, &target, |request| request.header(CONTENT_LENGTH, 0)).await?;
        let min_chunk = header(&response, MIN_CHUNK).and_then(|size| size.parse().ok()).unwrap_or(0);
        Ok(UploadSession { min_chunk, ..UploadSession::at(self.location(&response)?) })
    }

    /// Returns the upload as the registry reports it; `None` if the registry does not know it any more.
    async fn resumed(&self, session: Option<UploadSession>) -> Option<UploadSession> {
        let mut session = session?;
        let found = self.ask_how_far(&mut session).await;
        if let Err(error) = &found {
            tracing::info!(digest = %self.blob.digest, %error, "restarting the upload");
        }
        found.ok().map(|()| session)
    }

    /// Sends the next chunk, which may be the rest of the blob.
    async fn send_chunk(&self, session: &mut UploadSession) -> Result<(), RegistryError> {
        let length = session.chunk.min(self.blob.size - session.sent);
        let range = format!("{}-{}", session.sent, session.sent + length - 1);
        let whole = length == self.blob.size;
        let part = session.sent..session.sent + length;
        let watch = UploadWatch::new();
        let with_body = |request: RequestBuilder| {
            // Docker sends whole blobs without a range, so every registry supports that.
            let request = if whole { request } else { request.header(CONTENT_RANGE, &range) };
            with_body(request, &self.content, part.clone(), &watch)
        };
        let repository = self.repository;
        let sent = repository.host.send_once(Method::PATCH, &session.at, &repository.scopes, with_body);
        let sent = watch.wait_for(repository.host.name(), sent).await?;
        session.at = self.location(&sent)?;
        session.sent += length;
        Ok(())
    }

    /// Requests how many bytes of the blob have arrived. Spec: distribution-spec, "Pushing a blob in chunks".
    async fn ask_how_far(&self, session: &mut UploadSession) -> Result<(), RegistryError> {
        let response = self.send(Method::GET, &session.at, |request| request).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Err(self.repository.host.invalid("something else than how far an upload is"));
        }
        let sent = ranges::arrived(header(&response, RANGE.as_str()).unwrap_or_default());
        if sent > self.blob.size || sent < session.sent {
            return Err(self.repository.host.invalid("another length of an upload than was sent"));
        }
        session.sent = sent;
        session.resumed = true;
        if let Some(at) = RequestTarget::location(&response) {
            session.at = at;
        }
        Ok(())
    }

    /// Ends an upload. `with_all` sends the whole blob in the same request.
    async fn end(&self, session: &UploadSession, with_all: bool) -> Result<(), RegistryError> {
        let target = session.at.clone().with_query("digest", &self.blob.digest.to_string());
        let repository = self.repository;
        let watch = UploadWatch::new();
        let request = |request: RequestBuilder| match with_all {
            true => with_body(request, &self.content, 0..self.blob.size, &watch),
            false => {
                watch.sent(self.blob.size);
                request.header(CONTENT_LENGTH, 0)
            }
        };
        let sent = repository.host.send_once(Method::PUT, &target, &repository.scopes, request);
        watch.wait_for(repository.host.name(), sent).await.map(|_| ())
    }

    async fn send(
        &self,
        method: Method,
        target: &RequestTarget,
        request: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        self.repository.host.send_once(method, target, &self.repository.scopes, request).await
    }

    fn location(&self, response: &Response) -> Result<RequestTarget, RegistryError> {
        RequestTarget::location(response).ok_or_else(|| self.repository.host.invalid("no location of an upload"))
    }
}

/// Adds a part of a blob as the body of a request. The body can be read while that of an earlier attempt is still open,
/// because each reads by offset.
fn with_body(
    request: RequestBuilder,
    content: &Arc<dyn ReadAt>,
    part: Range<u64>,
    watch: &UploadWatch,
) -> RequestBuilder {
    let (size, end) = (part.end - part.start, part.end);
    let request = request.header(CONTENT_TYPE, BYTES).header(CONTENT_LENGTH, size);
    let start = (content.clone(), watch.clone(), part.start);
    let chunks = stream::try_unfold(start, move |(content, watch, position)| async move {
        if position == end {
            watch.sent(size);
            return Ok(None);
        }
        watch.moved();
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; READ.min(end - position) as usize];
            content.read_at(&mut chunk, position)?;
            let next = position + chunk.len() as u64;
            Ok::<_, io::Error>((Bytes::from(chunk), (content, watch, next)))
        });
        read.await.map_err(io::Error::other)?.map(Some)
    });
    request.body(Body::wrap_stream(chunks))
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}
