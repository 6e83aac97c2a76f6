//! Pushes blobs: as one stream, in chunks where a registry takes no more at once, and on from where a connection broke.
//! Spec: distribution-spec, "Pushing blobs".

use std::io;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};

use super::client::Target;
use super::error::RegistryError;
use super::ranges;
use super::repository::Repository;
use super::retry::Waits;
use super::watch::Watch;
use crate::blob::{BlobFacts, ReadAt};
use crate::transport::slice::FileSlice;

/// A blob of at most so many bytes is sent with the request that ends its upload: one request less.
const SMALL: u64 = 256 << 10;
/// How much is sent at once, at first, to a registry, or a proxy before it, that finds a whole blob too large.
const CHUNK: u64 = 16 << 20;
/// The smallest chunk that is tried: nginx takes 1 MB unless it is told otherwise.
const SMALLEST_CHUNK: u64 = 512 << 10;
/// The smallest chunk that a registry takes, but for the last.
const MIN_CHUNK: &str = "oci-chunk-min-length";
/// How much of a file is read at once.
const READ: u64 = 256 << 10;
const BYTES: &str = "application/octet-stream";

/// A blob on its way, which can be read again.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    pub(super) repository: &'a Repository,
    pub(super) blob: BlobFacts,
    pub(super) content: &'a FileSlice,
}

/// Where an upload is, and how far.
struct Session {
    at: Target,
    sent: u64,
    chunk: u64,
    min_chunk: u64,
    resumed: bool,
}

impl Session {
    fn at(at: Target) -> Self {
        Self { at, sent: 0, chunk: u64::MAX, min_chunk: 0, resumed: false }
    }
}

impl Upload<'_> {
    /// Pushes the blob; `at` is where a registry that would not mount it wants it.
    pub(super) async fn push(&self, at: Option<Target>) -> Result<(), RegistryError> {
        let mut session = at.map(Session::at);
        let mut furthest = 0;
        let mut waits = Waits::new();
        loop {
            let Err(error) = self.advance(&mut session).await else { return Ok(()) };
            let sent = session.as_ref().map_or(0, |session| session.sent);
            if sent > furthest {
                furthest = sent;
                waits = Waits::new();
            }
            // What a registry kept of an upload that broke need not be what was sent: it reports that when the upload ends.
            let resumed = session.as_ref().is_some_and(|session| session.resumed);
            let is_forgotten = error.status() == Some(StatusCode::NOT_FOUND) && sent > 0;
            let spoiled = is_forgotten || resumed && error.status().is_some_and(|status| status.is_client_error());
            let lost_place = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
            if !error.is_transient() && !lost_place && !spoiled {
                return Err(error);
            }
            let Some(wait) = waits.after(&error) else { return Err(error) };
            tracing::info!(digest = %self.blob.digest, sent, %error, "going on with the upload where it broke");
            tokio::time::sleep(wait).await;
            // It may have come through, and only the answer been lost.
            if matches!(self.repository.has_blob_now(&self.blob.digest).await, Ok(true)) {
                return Ok(());
            }
            session = if spoiled { None } else { self.found_again(session).await };
        }
    }

    /// Sends all that is left.
    async fn advance(&self, place: &mut Option<Session>) -> Result<(), RegistryError> {
        let session = match place {
            Some(session) => session,
            None => place.insert(self.begin().await?),
        };
        if self.blob.size <= SMALL {
            return self.end(session, true).await;
        }
        while session.sent < self.blob.size {
            let Err(error) = self.send_chunk(session).await else { continue };
            match error.status().map(|status| status.as_u16()) {
                Some(413) if session.chunk > SMALLEST_CHUNK.max(session.min_chunk) => {
                    let chunk = CHUNK.min(session.chunk.min(self.blob.size) / 2).max(SMALLEST_CHUNK);
                    let begun = self.begin().await?;
                    *session = Session { chunk: chunk.max(begun.min_chunk), ..begun };
                }
                // A registry that takes whole blobs only.
                Some(404 | 405 | 415 | 501) if session.sent == 0 => {
                    *session = self.begin().await?;
                    return self.end(session, true).await;
                }
                _ => return Err(error),
            }
        }
        self.end(session, false).await
    }

    async fn begin(&self) -> Result<Session, RegistryError> {
        let target = self.repository.path("blobs/uploads/");
        let response = self.send(Method::POST, &target, |request| request.header(CONTENT_LENGTH, 0)).await?;
        let min_chunk = header(&response, MIN_CHUNK).and_then(|size| size.parse().ok()).unwrap_or(0);
        Ok(Session { min_chunk, ..Session::at(self.location(&response)?) })
    }

    /// Returns the session as the registry knows it; `None` if it has forgotten it.
    async fn found_again(&self, session: Option<Session>) -> Option<Session> {
        let mut session = session?;
        let found = self.ask_how_far(&mut session).await;
        if let Err(error) = &found {
            tracing::info!(digest = %self.blob.digest, %error, "beginning the upload anew");
        }
        found.ok().map(|()| session)
    }

    /// Sends the next chunk, or all that is left.
    async fn send_chunk(&self, session: &mut Session) -> Result<(), RegistryError> {
        let length = session.chunk.min(self.blob.size - session.sent);
        let range = format!("{}-{}", session.sent, session.sent + length - 1);
        let whole = length == self.blob.size;
        let slice = self.content.part(session.sent, length)?;
        let watch = Watch::new();
        let with_body = |request: RequestBuilder| {
            // Docker sends whole blobs without a range; every registry understands that.
            let request = if whole { request } else { request.header(CONTENT_RANGE, &range) };
            with_body(request, &slice, &watch)
        };
        let repository = self.repository;
        let sent = repository.client.send_once(Method::PATCH, &session.at, &repository.scopes, with_body);
        let sent = watch.wait_for(repository.client.host(), sent).await?;
        session.at = self.location(&sent)?;
        session.sent += length;
        Ok(())
    }

    /// Asks how much of the blob has arrived.
    async fn ask_how_far(&self, session: &mut Session) -> Result<(), RegistryError> {
        let response = self.send(Method::GET, &session.at, |request| request).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Err(self.repository.client.answer("something else than how far an upload is"));
        }
        let sent = ranges::arrived(header(&response, RANGE.as_str()).unwrap_or_default());
        if sent > self.blob.size || sent < session.sent {
            return Err(self.repository.client.answer("another length of an upload than was sent"));
        }
        session.sent = sent;
        session.resumed = true;
        if let Some(at) = Target::location(&response) {
            session.at = at;
        }
        Ok(())
    }

    /// Ends an upload; with its whole body, if nothing has been sent before.
    async fn end(&self, session: &Session, with_all: bool) -> Result<(), RegistryError> {
        let target = session.at.clone().with_query("digest", &self.blob.digest.to_string());
        let repository = self.repository;
        let watch = Watch::new();
        let request = |request: RequestBuilder| match with_all {
            true => with_body(request, self.content, &watch),
            false => {
                watch.sent(self.blob.size);
                request.header(CONTENT_LENGTH, 0)
            }
        };
        let sent = repository.client.send_once(Method::PUT, &target, &repository.scopes, request);
        watch.wait_for(repository.client.host(), sent).await.map(|_| ())
    }

    async fn send(
        &self,
        method: Method,
        target: &Target,
        request: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        self.repository.client.send_once(method, target, &self.repository.scopes, request).await
    }

    fn location(&self, response: &Response) -> Result<Target, RegistryError> {
        Target::location(response).ok_or_else(|| self.repository.client.answer("no location of an upload"))
    }
}

/// What a registry did that was asked to mount a blob.
pub(super) enum Mount {
    Done,
    /// It wants the blob uploaded, here if it says where.
    Refused(Option<Target>),
}

/// Mounts a blob from another repository of the registry.
pub(super) async fn mount(repository: &Repository, blob: &BlobFacts, from: &str) -> Result<Mount, RegistryError> {
    let target = repository.path(&format!("blobs/uploads/?mount={}&from={from}", blob.digest));
    let request = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
    let response = repository.client.send(Method::POST, &target, &repository.scopes, request).await?;
    Ok(match response.status() {
        StatusCode::CREATED => Mount::Done,
        _ => Mount::Refused(Target::location(&response)),
    })
}

fn with_body(request: RequestBuilder, slice: &FileSlice, watch: &Watch) -> RequestBuilder {
    let request = request.header(CONTENT_TYPE, BYTES).header(CONTENT_LENGTH, slice.size);
    // A request that is made again reads the file again, while the old one may not know yet that it is over: each reads at
    // positions of its own.
    let first = slice.part(0, slice.size).map(|slice| (slice, 0));
    let watch = watch.clone();
    let chunks = stream::try_unfold((Some(first), watch), |(state, watch)| async move {
        let Some(next) = state else { return Ok(None) };
        let (slice, position) = next?;
        if position == slice.size {
            watch.sent(slice.size);
            return Ok(None);
        }
        watch.moved();
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; READ.min(slice.size - position) as usize];
            slice.read_at(&mut chunk, position)?;
            let next = position + chunk.len() as u64;
            Ok::<_, io::Error>((Bytes::from(chunk), (Some(Ok((slice, next))), watch)))
        });
        read.await.map_err(io::Error::other)?.map(Some)
    });
    request.body(Body::wrap_stream(chunks))
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}
