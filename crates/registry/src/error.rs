//! Errors of requests to registries.

use std::error::Error;
use std::time::Duration;

use pydock_layer::blob::Mismatch;
use pydock_layer::digest::Digest;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use super::logins::LoginError;
use super::redirects::RefusedRedirect;

/// How many bytes of the body of an error response are read. Registries send some lines, proxies whole pages.
const MAX_BODY: usize = 64 << 10;
/// The shortest delay that is reported.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(60);
/// How many characters are shown of a body that is not in the format of the specification.
const MAX_SHOWN: usize = 200;

/// Why a request to a registry failed. URLs are left out, because their queries may hold secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The host cannot be reached, or the connection broke.
    #[error("{host} cannot be reached, or broke the connection")]
    Connection {
        /// The registry or its token server, as `host[:port]`.
        host: String,
        /// The cause.
        source: HttpError,
    },
    /// An upload made no progress for minutes.
    #[error("{host} took nothing of an upload for minutes")]
    Stalled {
        /// The registry, as `host[:port]`.
        host: String,
    },
    /// The host responded with an error status.
    #[error("{host} {} {}{}{}", asked(.method, .path, .redirected_to), status_line(*.status), said(.message), wanted(.wait))]
    Status {
        /// The registry or its token server, as `host[:port]`.
        host: String,
        /// The method of the request.
        method: String,
        /// The path of the URL.
        path: Box<str>,
        /// The host that responded, as `host[:port]`, if the request was redirected to another host.
        redirected_to: Option<Box<str>>,
        /// The status code.
        status: u16,
        /// The errors in the body, or the start of another body.
        message: Option<Box<str>>,
        /// The delay that the host asks for in `Retry-After`.
        wait: Option<Duration>,
    },
    /// The host responded with something that the specification does not allow.
    #[error("{host} answered with {what}")]
    Answer {
        /// The registry or its token server, as `host[:port]`.
        host: String,
        /// What the host responded with.
        what: String,
    },
    /// The registry stored a manifest under another digest.
    #[error("{host} stored a manifest as {actual} that is {expected}")]
    Stored {
        /// The registry, as `host[:port]`.
        host: String,
        /// The digest of the manifest.
        expected: Digest,
        /// The digest that the registry reports.
        actual: String,
    },
    /// The registry names a token server without encryption.
    #[error("{host} wants its password sent to `{realm}`, which is not encrypted")]
    Realm {
        /// The registry, as `host[:port]`.
        host: String,
        /// The URL of the token server.
        realm: String,
    },
    /// The certificates cannot be used.
    #[error("the certificates cannot be used")]
    Tls(#[source] HttpError),
    /// A text that should hold certificate authorities has none.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// The login cannot be looked up.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A blob that is uploaded cannot be read.
    #[error("the blob cannot be read")]
    Blob(#[from] std::io::Error),
    /// A manifest that was pulled by digest has another digest.
    #[error("manifest {digest} cannot be read")]
    Manifest {
        /// The requested digest.
        digest: Digest,
        /// The cause.
        source: Mismatch,
    },
    /// A manifest that should refer to another one is malformed.
    #[error("the manifest is not JSON with a `subject`")]
    Subject,
    /// The user agent has characters that a header cannot hold.
    #[error("`{0}` cannot be used as a user agent")]
    UserAgent(String),
}

/// Why HTTP or TLS failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HttpError(reqwest::Error);

impl HttpError {
    /// Wraps an error without its URL.
    pub(crate) fn new(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

/// The body of an error response. Spec: distribution-spec, "Error Codes".
#[derive(Deserialize)]
struct ErrorEnvelope {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    code: String,
    #[serde(default)]
    message: String,
}

impl RegistryError {
    /// Returns a closure that wraps an error of reqwest; for `map_err`.
    pub(crate) fn connection(host: &str) -> impl Fn(reqwest::Error) -> Self {
        move |source| {
            let host = host.to_owned();
            match refused_redirect(&source) {
                Some(why) => Self::Answer { host, what: format!("redirects that are not followed: {why}") },
                None => Self::Connection { host, source: HttpError::new(source) },
            }
        }
    }

    /// Wraps an error in certificates; for `map_err`.
    pub(crate) fn tls(error: reqwest::Error) -> Self {
        Self::Tls(HttpError::new(error))
    }

    /// Reads the error response of a host to which the registry `host` redirected a request.
    pub(crate) async fn redirected(host: &str, method: Method, response: Response) -> Self {
        let url = response.url();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let other = format!("{}{port}", url.host_str().unwrap_or_default());
        let mut error = Self::of(host, method, response).await;
        if let Self::Status { redirected_to, .. } = &mut error {
            *redirected_to = Some(other.into());
        }
        error
    }

    /// Reads an error response.
    pub(crate) async fn of(host: &str, method: Method, mut response: Response) -> Self {
        let (status, path) = (response.status().as_u16(), response.url().path().into());
        let wait =
            response.headers().get(reqwest::header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                break;
            }
        }
        let message = message(&body).map(Into::into);
        let method = method.to_string();
        Self::Status { host: host.to_owned(), method, path, redirected_to: None, status, message, wait }
    }

    /// Returns the HTTP status code, if the error is an error response.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns whether the certificate of the registry or that of the client was rejected.
    pub fn is_certificate(&self) -> bool {
        matches!(self, Self::Connection { source, .. } if is_certificate(&source.0))
    }

    /// Returns whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } => !self.is_certificate(),
            Self::Stalled { .. } => true,
            Self::Status { status, .. } => {
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// Returns whether the registry asks for a longer delay than the client waits: more than two minutes.
    pub fn asks_for_too_long_a_wait(&self) -> bool {
        self.wait().is_some_and(|wait| wait > super::retry::LONGEST_WAIT)
    }

    /// Returns the delay that the registry asks for.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// Formats a request.
fn asked(method: &str, path: &str, redirected_to: &Option<Box<str>>) -> String {
    match redirected_to {
        Some(other) => format!("redirected {method} {path} to {other}, which answered with"),
        None => format!("answered {method} {path} with"),
    }
}

/// Formats a status code with its name.
fn status_line(status: u16) -> String {
    StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string())
}

/// Formats a message of a host.
fn said(message: &Option<Box<str>>) -> String {
    message.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

/// Formats the delay that a registry asks for, if it is long.
fn wanted(wait: &Option<Duration>) -> String {
    match wait.filter(|wait| *wait >= LONG_WAIT) {
        Some(wait) => {
            format!(" (it asks for a pause of {})", humantime::format_duration(Duration::from_secs(wait.as_secs())))
        }
        None => String::new(),
    }
}

/// Returns whether the certificate of the server or that of the client was rejected. Such an error does not pass.
pub(crate) fn is_certificate(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref::<rustls::Error>(),
            Some(
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::NoCertificatesPresented
                    | rustls::Error::AlertReceived(
                        rustls::AlertDescription::BadCertificate
                            | rustls::AlertDescription::UnsupportedCertificate
                            | rustls::AlertDescription::CertificateRevoked
                            | rustls::AlertDescription::CertificateExpired
                            | rustls::AlertDescription::CertificateUnknown
                            | rustls::AlertDescription::CertificateRequired
                            | rustls::AlertDescription::UnknownCA
                    )
            )
        )
    })
}

/// Returns why a redirect was not followed, if that is the error.
fn refused_redirect(error: &reqwest::Error) -> Option<String> {
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<RefusedRedirect>());
    refused.map(RefusedRedirect::to_string)
}

/// Returns the causes of an error, the direct cause first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause_of(cause))
}

/// Returns the cause of an error. An `io::Error` does not return the error that it wraps as its source.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as &'a (dyn Error + 'static)),
        None => error.source(),
    }
}

/// Parses `Retry-After`: a number of seconds or a date. Source: RFC 9110, 10.2.3.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// Formats the errors of a body in the format of the specification, or the start of another text.
fn message(body: &[u8]) -> Option<String> {
    if let Ok(envelope) = serde_json::from_slice::<ErrorEnvelope>(body) {
        let words = envelope.errors.iter().map(|error| match error.message.as_str() {
            "" => error.code.clone(),
            message => format!("{} ({message})", error.code),
        });
        return Some(words.collect::<Vec<_>>().join(", ")).filter(|words| !words.is_empty());
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    // Pages for browsers add nothing to the status.
    (!text.is_empty() && !text.starts_with('<')).then(|| text.chars().take(MAX_SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_body_is_put_into_words() {
        let envelope = br#"{"errors":[{"code":"DENIED","message":"no access"},{"code":"UNKNOWN","detail":[1]}]}"#;
        assert_eq!(message(envelope).as_deref(), Some("DENIED (no access), UNKNOWN"));
        assert_eq!(message(b"too many requests\n").as_deref(), Some("too many requests"));
        assert_eq!(message(b"<html>502</html>"), None);
        assert_eq!(message(b""), None);
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }
}
