//! Requests to one registry: detects HTTP or HTTPS, logs in, and repeats requests. Spec: distribution-spec.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::OnceCell;

use super::client::Options;
use super::error::{self, RegistryError};
use super::redirects;
use super::retry::retrying;
use super::scopes::TokenScopes;
use super::tls::Tls;
use super::token::{TokenServer, Tokens};

/// How long a registry may send nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How many challenges to one request are answered: the first, and one to a token that was revoked.
const MAX_ANSWERS: usize = 2;
/// The name of Docker Hub, and the host of its API.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// The lowest speed of a body, in bytes per second.
const SLOWEST: u64 = 64 << 10;

/// Returns how long a registry may take to respond to a body of this many bytes, or to the end of such an upload:
/// registries read the bytes again.
pub(crate) fn patience(bytes: u64) -> Duration {
    2 * SILENCE + Duration::from_secs(bytes / SLOWEST)
}

/// One registry, with the login for one of its repositories.
#[derive(Debug)]
pub(crate) struct RegistryHost {
    host: String,
    http: reqwest::Client,
    /// For requests with a body. It has no timeout, because a registry sends nothing while it receives a body.
    uploads: reqwest::Client,
    /// For token servers. It verifies certificates even if those of the registry are not verified.
    token_servers: reqwest::Client,
    /// Whether HTTP may be used if the registry does not support HTTPS.
    may_be_plain: bool,
    /// The client ID in OAuth2 requests.
    client_id: String,
    /// The URL of `/v2/`.
    base: OnceCell<Url>,
    tokens: Tokens,
}

impl RegistryHost {
    /// Looks up the login to the registry `host[:port]` for a repository. The registry is not contacted yet.
    pub(crate) async fn new(host: &str, repository: &str, options: &Options) -> Result<Self, RegistryError> {
        if HeaderValue::from_str(&options.user_agent).is_err() {
            return Err(RegistryError::UserAgent(options.user_agent.clone()));
        }
        let login = options.logins.of(host, repository).await?;
        let loopback = is_loopback(host);
        let unverified = options.insecure.iter().any(|named| named == host);
        let builder = || builder(options, loopback);
        let token_servers = builder().read_timeout(SILENCE).redirect(redirects::to_same_host()).build();
        let blobs = || builder().tls_danger_accept_invalid_certs(unverified).redirect(redirects::anywhere());
        let http = blobs().read_timeout(SILENCE).build();
        let uploads = blobs().build();
        Ok(Self {
            host: host.to_owned(),
            http: http.map_err(RegistryError::tls)?,
            uploads: uploads.map_err(RegistryError::tls)?,
            token_servers: token_servers.map_err(RegistryError::tls)?,
            may_be_plain: loopback || unverified,
            client_id: options.user_agent.split('/').next().unwrap_or_default().to_owned(),
            base: OnceCell::new(),
            tokens: Tokens::new(login),
        })
    }

    /// Returns the name of the registry, as `host[:port]`.
    pub(crate) fn name(&self) -> &str {
        &self.host
    }

    /// Sends a request, and repeats it while it fails for a passing reason. `request` completes the request.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &RequestTarget,
        scopes: &TokenScopes,
        request: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        retrying(|| self.send_once(method.clone(), target, scopes, &request)).await
    }

    /// Sends a request once, and again only if the registry asks for a login or for a newer token.
    pub(crate) async fn send_once(
        &self,
        method: Method,
        target: &RequestTarget,
        scopes: &TokenScopes,
        request: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let base = self.base.get_or_try_init(|| self.find_base()).await?;
        let url = target.url(base).ok_or_else(|| self.invalid("a location that is no URL"))?;
        // The login is for the registry only, not for other hosts that it names in `Location`.
        let own = url.origin() == base.origin();
        let server = TokenServer {
            http: &self.token_servers,
            host: &self.host,
            client_id: &self.client_id,
            plain: base.scheme() == "http",
        };
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
            // Only the registry may ask for the login, not a host to which it redirected the request.
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

    /// Creates the error for a response that the specification does not allow.
    pub(crate) fn invalid(&self, what: impl Into<String>) -> RegistryError {
        RegistryError::Answer { host: self.host.clone(), what: what.into() }
    }

    /// Detects whether the registry supports HTTPS. HTTP is tried only if it is allowed and HTTPS fails.
    async fn find_base(&self) -> Result<Url, RegistryError> {
        let host = if self.host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { &self.host };
        let url = |scheme: &str| {
            let url = format!("{scheme}://{host}/v2/").parse::<Url>();
            url.map_err(|_| self.invalid("a name that is no host"))
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
            // The response of a TLS server to a request without encryption.
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => {
                Err(RegistryError::connection(&self.host)(error))
            }
            Ok(_) => Ok(http),
            Err(error) => Err(RegistryError::connection(&self.host)(error)),
        }
    }
}

/// What is requested from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestTarget {
    /// A path below `/v2/`, with or without a query.
    Path(String),
    /// The URL in the header `Location` of a response.
    Location(Url),
}

impl RequestTarget {
    fn url(&self, base: &Url) -> Option<Url> {
        match self {
            Self::Path(path) => base.join(path).ok(),
            Self::Location(location) => {
                let mut location = location.clone();
                // A registry behind a proxy that ends TLS may not know that its clients use HTTPS.
                if location.host() == base.host() && base.scheme() == "https" {
                    location.set_scheme("https").ok()?;
                }
                Some(location)
            }
        }
    }

    /// Returns the URL in the header `Location` of a response. It may be relative.
    pub(crate) fn location(response: &Response) -> Option<Self> {
        let location = response.headers().get(reqwest::header::LOCATION)?.to_str().ok()?;
        Some(Self::Location(response.url().join(location).ok()?))
    }

    /// Adds a parameter to the query. A location may have a query already.
    pub(crate) fn with_query(self, key: &str, value: &str) -> Self {
        match self {
            Self::Path(path) => Self::Path(format!("{path}?{key}={value}")),
            Self::Location(mut url) => {
                url.query_pairs_mut().append_pair(key, value);
                Self::Location(url)
            }
        }
    }
}

fn builder(options: &Options, loopback: bool) -> reqwest::ClientBuilder {
    let Tls { authorities, identity } = &options.tls;
    let builder = reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(SILENCE)
        .tls_certs_merge(authorities.clone());
    let builder = match identity {
        Some(identity) => builder.identity(identity.clone()),
        None => builder,
    };
    // Hosts on this machine are not behind a proxy, as in Go's `net/http`.
    if loopback { builder.no_proxy() } else { builder }
}

/// Returns whether a registry is on this machine. Such registries may use HTTP, as in other tools.
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
        let url =
            |text: &str| RequestTarget::Location(text.parse().unwrap()).with_query("digest", "sha256:a").url(&base);
        let followed = |text: &str| url(text).unwrap().to_string();
        assert_eq!(followed("http://host:5000/up?_state=x"), "https://host:5000/up?_state=x&digest=sha256%3Aa");
        assert_eq!(followed("http://other/up"), "http://other/up?digest=sha256%3Aa");
        assert_eq!(RequestTarget::Path("a/b/tags/list".to_owned()).url(&base).unwrap().path(), "/v2/a/b/tags/list");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:80"].into_iter().all(is_loopback));
        assert!(!["localhost.example.com", "10.0.0.1:5000", "127.example.com"].iter().any(|host| is_loopback(host)));
    }
}
