//! A client of one registry: finds out how it is spoken to, logs in, tries again. Spec: distribution-spec.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::OnceCell;

use super::error::{self, RegistryError};
use super::redirects;
use super::retry::retrying;
use super::scopes::Scopes;
use super::token::{TokenServer, Tokens};
use crate::transport::open::Access;
use crate::transport::tls::Tls;

/// How long a registry may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How many challenges to one request are answered: the first, and that to a token which was taken back.
const MAX_ANSWERS: usize = 2;
/// Where Docker Hub's API is.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// The slowest that a body may go, in bytes a second; what is slower hangs.
const SLOWEST: u64 = 64 << 10;

/// Returns how long a request may take that sends so many bytes, or ends an upload of so many: registries read these again.
pub(super) fn patience(bytes: u64) -> Duration {
    2 * SILENCE + Duration::from_secs(bytes / SLOWEST)
}

/// A client of one registry.
#[derive(Debug)]
pub(super) struct Client {
    host: String,
    http: reqwest::Client,
    /// For requests with a body: a registry is silent as long as that is on its way.
    uploads: reqwest::Client,
    /// For token servers. Verifies certificates, also if the registry's own are not verified.
    token_servers: reqwest::Client,
    /// Whether the registry may be spoken to without encryption, if it does not know how to encrypt.
    may_be_plain: bool,
    base: OnceCell<Url>,
    tokens: Tokens,
}

impl Client {
    /// Makes a client of the registry `host[:port]`; the registry is not asked yet.
    pub(super) async fn new(host: &str, repository: &str, access: &Access) -> Result<Self, RegistryError> {
        let login = access.logins.of(host, repository).await?;
        let loopback = is_loopback(host);
        let unverified = access.insecure.iter().any(|named| named == host);
        let builder = || builder(&access.tls, loopback);
        let token_servers = builder().read_timeout(SILENCE).redirect(redirects::to_same_host()).build();
        let blobs = || builder().tls_danger_accept_invalid_certs(unverified).redirect(redirects::anywhere());
        let http = blobs().read_timeout(SILENCE).build();
        let uploads = blobs().build();
        Ok(Self {
            host: host.to_owned(),
            http: http.map_err(RegistryError::Tls)?,
            uploads: uploads.map_err(RegistryError::Tls)?,
            token_servers: token_servers.map_err(RegistryError::Tls)?,
            may_be_plain: loopback || unverified,
            base: OnceCell::new(),
            tokens: Tokens::new(login),
        })
    }

    /// Returns the registry's name.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Makes a request, and makes it again while it fails for a passing reason. `request` makes it from a URL.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &Target,
        scopes: &Scopes,
        request: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        retrying(|| self.send_once(method.clone(), target, scopes, &request)).await
    }

    /// Makes a request once; again only if the registry wants to see a login first, or a newer one.
    pub(super) async fn send_once(
        &self,
        method: Method,
        target: &Target,
        scopes: &Scopes,
        request: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let base = self.base.get_or_try_init(|| self.find_base()).await?;
        let url = target.url(base).ok_or_else(|| self.answer("a location that is no URL"))?;
        // A login is for the registry alone, wherever it sends its clients.
        let own = url.origin() == base.origin();
        let server = TokenServer { http: &self.token_servers, host: &self.host, plain: base.scheme() == "http" };
        let http = if [Method::PATCH, Method::PUT].contains(&method) { &self.uploads } else { &self.http };
        let mut answers = 0;
        loop {
            let mut call = request(http.request(method.clone(), url.clone()));
            let login = if own { self.tokens.header(scopes, &server).await? } else { None };
            if let Some(login) = &login {
                call = call.header(AUTHORIZATION, login);
            }
            let response = call.send().await.map_err(RegistryError::connection(&self.host))?;
            if response.status().is_success() {
                return Ok(response);
            }
            // Only the registry may ask for the login, not a host that it redirected the request to.
            let is_redirected = response.url().origin() != url.origin();
            let is_challenge = response.status() == StatusCode::UNAUTHORIZED && own && !is_redirected;
            if is_challenge && answers < MAX_ANSWERS && self.tokens.learn(response.headers(), scopes, login.as_ref()) {
                answers += 1;
                continue;
            }
            return Err(match is_redirected {
                true => RegistryError::redirected(&self.host, method, response).await,
                false => RegistryError::of(&self.host, method, response).await,
            });
        }
    }

    /// Words an answer that the specification does not allow.
    pub(super) fn answer(&self, what: impl Into<String>) -> RegistryError {
        RegistryError::Answer { host: self.host.clone(), what: what.into() }
    }

    /// Finds out whether the registry speaks HTTPS; HTTP is tried only where that is allowed, and only if it does not.
    async fn find_base(&self) -> Result<Url, RegistryError> {
        let host = if self.host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { &self.host };
        let url = |scheme: &str| {
            let url = format!("{scheme}://{host}/v2/").parse::<Url>();
            url.map_err(|_| self.answer("a name that is no host"))
        };
        let https = url("https")?;
        if !self.may_be_plain {
            return Ok(https);
        }
        let Err(error) = self.http.get(https.clone()).send().await else { return Ok(https) };
        if error::is_certificate(&error) {
            return Err(RegistryError::connection(&self.host)(error));
        }
        let http = url("http")?;
        let answer = self.http.get(http.clone()).send().await;
        match answer {
            // What a TLS server says to somebody who does not encrypt.
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => {
                Err(RegistryError::connection(&self.host)(error))
            }
            Ok(_) => Ok(http),
            Err(error) => Err(RegistryError::connection(&self.host)(error)),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A path below `/v2/`, which may have a query.
    Path(String),
    /// Where an answer's `Location` points.
    Location(Url),
}

impl Target {
    fn url(&self, base: &Url) -> Option<Url> {
        match self {
            Self::Path(path) => base.join(path).ok(),
            Self::Location(location) => {
                let mut location = location.clone();
                // A registry behind a proxy that encrypts may not know that it is spoken to by HTTPS.
                if location.host() == base.host() && base.scheme() == "https" {
                    location.set_scheme("https").ok()?;
                }
                Some(location)
            }
        }
    }

    /// Returns where an answer's `Location` points; it may be relative.
    pub(super) fn location(response: &Response) -> Option<Self> {
        let location = response.headers().get(reqwest::header::LOCATION)?.to_str().ok()?;
        Some(Self::Location(response.url().join(location).ok()?))
    }

    /// Adds to the query, which a location may have already.
    pub(super) fn with_query(self, key: &str, value: &str) -> Self {
        match self {
            Self::Path(path) => Self::Path(format!("{path}?{key}={value}")),
            Self::Location(mut url) => {
                url.query_pairs_mut().append_pair(key, value);
                Self::Location(url)
            }
        }
    }
}

fn builder(tls: &Tls, loopback: bool) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("pydock/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(SILENCE)
        .tls_certs_merge(tls.authorities.clone());
    let builder = match &tls.identity {
        Some(identity) => builder.identity(identity.clone()),
        None => builder,
    };
    // What is on this machine is not behind a proxy, as Go's clients have it.
    if loopback { builder.no_proxy() } else { builder }
}

/// Registries on this machine may speak HTTP, as for every other tool.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_followed_as_it_is_but_for_a_lost_encryption() {
        let base: Url = "https://host:5000/v2/".parse().unwrap();
        let url = |text: &str| Target::Location(text.parse().unwrap()).with_query("digest", "sha256:a").url(&base);
        let followed = |text: &str| url(text).unwrap().to_string();
        assert_eq!(followed("http://host:5000/up?_state=x"), "https://host:5000/up?_state=x&digest=sha256%3Aa");
        assert_eq!(followed("http://other/up"), "http://other/up?digest=sha256%3Aa");
        assert_eq!(Target::Path("a/b/tags/list".to_owned()).url(&base).unwrap().path(), "/v2/a/b/tags/list");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:80"].into_iter().all(is_loopback));
        assert!(!["localhost.example.com", "10.0.0.1:5000", "127.example.com"].iter().any(|host| is_loopback(host)));
    }
}
