//! Why a registry could not be asked, or said no.

use std::error::Error;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use super::redirects::Refused;
use crate::digest::Digest;
use crate::transport::logins::LoginError;

/// How many bytes of an error's body are read: registries answer with a line or two, proxies with pages.
const MAX_BODY: usize = 64 << 10;
/// A pause that is worth a word.
pub(super) const LONG_WAIT: Duration = Duration::from_secs(60);
/// How many characters of a body that is not a registry's are shown.
const MAX_SHOWN: usize = 200;

/// Why a registry could not be asked, or said no. URLs are left out, for their queries may hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nobody answers, or the connection broke.
    #[error("{host} cannot be reached, or broke the connection")]
    Connection {
        /// The registry, or its token server.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An upload stood still for minutes.
    #[error("{host} took nothing of an upload for minutes")]
    Stalled {
        /// The registry.
        host: String,
    },
    /// It answered with an error.
    #[error("{host} {} {status}{}{}", asked(.method, .path, .redirected_to), said(.message), wanted(.wait))]
    Status {
        /// The registry, or its token server.
        host: String,
        /// What was asked.
        method: Method,
        /// The URL's path.
        path: Box<str>,
        /// The host that it redirected the request to, if that gave the answer.
        redirected_to: Option<Box<str>>,
        /// The answer.
        status: StatusCode,
        /// What it said.
        message: Option<Box<str>>,
        /// How long it wants to be left alone, in its `Retry-After`.
        wait: Option<Duration>,
    },
    /// It answered with something that the specification does not allow.
    #[error("{host} answered with {what}")]
    Answer {
        /// The registry, or its token server.
        host: String,
        /// What is wrong.
        what: String,
    },
    /// What it stored is not what it was sent.
    #[error("{host} stored a manifest as {actual} that is {expected}")]
    Stored {
        /// The registry.
        host: String,
        /// What was sent.
        expected: Digest,
        /// What it says.
        actual: String,
    },
    /// A password may not be sent where the registry wants it.
    #[error("{host} wants its password sent to `{realm}`, which is not encrypted")]
    Realm {
        /// The registry.
        host: String,
        /// The token server.
        realm: String,
    },
    /// The options for TLS cannot be used.
    #[error("the certificates cannot be used")]
    Tls(#[source] reqwest::Error),
    /// A file of authorities has none.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// The login cannot be found out.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A blob that is pushed cannot be read.
    #[error("the blob cannot be read")]
    Blob(#[from] std::io::Error),
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    code: String,
    #[serde(default)]
    message: String,
}

impl RegistryError {
    pub(super) fn connection(host: &str) -> impl Fn(reqwest::Error) -> Self {
        move |source| {
            let host = host.to_owned();
            match refused_redirect(&source) {
                Some(why) => Self::Answer { host, what: format!("redirects that are not followed: {why}") },
                None => Self::Connection { host, source: source.without_url() },
            }
        }
    }

    /// Reads the answer of a host that the registry `host` redirected a request to.
    pub(super) async fn redirected(host: &str, method: Method, response: Response) -> Self {
        let url = response.url();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let other = format!("{}{port}", url.host_str().unwrap_or_default());
        let mut error = Self::of(host, method, response).await;
        if let Self::Status { redirected_to, .. } = &mut error {
            *redirected_to = Some(other.into());
        }
        error
    }

    /// Reads what an answer that is no success says.
    pub(super) async fn of(host: &str, method: Method, mut response: Response) -> Self {
        let (status, path) = (response.status(), response.url().path().into());
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
        Self::Status { host: host.to_owned(), method, path, redirected_to: None, status, message, wait }
    }

    /// Returns the status that the registry answered with, if it did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Tells whether the registry's certificate was not accepted, or ours not by it.
    pub fn is_certificate(&self) -> bool {
        matches!(self, Self::Connection { source, .. } if is_certificate(source))
    }

    /// Tells whether the same request may be answered otherwise a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } => !self.is_certificate(),
            Self::Stalled { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// Reports whether the registry wants to be left alone for longer than a run waits.
    pub fn asks_for_too_long_a_wait(&self) -> bool {
        self.wait().is_some_and(|wait| wait > super::retry::LONGEST_WAIT)
    }

    /// Returns how long the registry wants to be left alone.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// Words a request.
fn asked(method: &Method, path: &str, redirected_to: &Option<Box<str>>) -> String {
    match redirected_to {
        Some(other) => format!("redirected {method} {path} to {other}, which answered with"),
        None => format!("answered {method} {path} with"),
    }
}

/// Words an answer's text.
fn said(message: &Option<Box<str>>) -> String {
    message.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

/// Words for how long a registry wants to be left alone, if that is long.
fn wanted(wait: &Option<Duration>) -> String {
    match wait.filter(|wait| *wait >= LONG_WAIT) {
        Some(wait) => {
            format!(" (it asks for a pause of {})", humantime::format_duration(Duration::from_secs(wait.as_secs())))
        }
        None => String::new(),
    }
}

/// Reports whether the other side's certificate was not accepted, or ours not by it. Such an error does not pass.
pub(super) fn is_certificate(error: &reqwest::Error) -> bool {
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
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<Refused>());
    refused.map(Refused::to_string)
}

/// Returns the causes of an error, the nearest first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause_of(cause))
}

/// Returns the cause of an error. `io::Error` hides the one that it wraps.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as &'a (dyn Error + 'static)),
        None => error.source(),
    }
}

/// `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// Puts the errors of the specification's envelope into words, or the start of any other text.
fn message(body: &[u8]) -> Option<String> {
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(body) {
        let words = envelope.errors.iter().map(|error| match error.message.as_str() {
            "" => error.code.clone(),
            message => format!("{} ({message})", error.code),
        });
        return Some(words.collect::<Vec<_>>().join(", ")).filter(|words| !words.is_empty());
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    // Pages for browsers say nothing that the status does not.
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
