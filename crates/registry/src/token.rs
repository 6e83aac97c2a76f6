//! Responses to the challenge of a registry: a password, or a token of its token server, which is renewed before it
//! expires.
//!
//! Sources: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication"; RFC 6750; RFC 7617.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http_auth::parse_challenges;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, Url};
use serde::Deserialize;

use super::error::RegistryError;
use super::logins::{Login, Secret};
use super::scopes::TokenScopes;

/// How many seconds a token without `expires_in` is valid.
const USUAL_LIFE: u64 = 60;
/// A token is renewed this long before it expires, because a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(10);
/// After how many seconds a token is renewed at the latest.
const MAX_LIFE: u64 = 24 * 60 * 60;
/// How many bytes of a token server's response are read. Tokens have some kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// The login to a registry, the scheme that the registry asks for, and tokens by scope.
#[derive(Debug)]
pub(crate) struct Tokens {
    login: Login,
    state: Mutex<TokenState>,
    /// Held while a token is requested, because concurrent requests need the same one.
    asking: tokio::sync::Mutex<()>,
}

/// What challenges and token servers returned so far.
#[derive(Debug, Default)]
struct TokenState {
    scheme: Option<AuthScheme>,
    tokens: HashMap<TokenScopes, CachedToken>,
}

/// The authentication scheme of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AuthScheme {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// A token as a header.
#[derive(Debug, Clone)]
struct CachedToken {
    header: HeaderValue,
    renew_at: Instant,
}

/// The response of a token server.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

/// How tokens are requested.
pub(crate) struct TokenServer<'a> {
    /// The client for token servers.
    pub http: &'a reqwest::Client,
    /// The registry, for error messages.
    pub host: &'a str,
    /// The client ID in OAuth2 requests.
    pub client_id: &'a str,
    /// Whether the registry itself is used without encryption.
    pub plain: bool,
}

impl Tokens {
    /// Creates an empty set of tokens.
    pub(crate) fn new(login: Login) -> Self {
        Self { login, state: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Returns the header `Authorization` that a request needs according to the challenges so far. Requests a token if
    /// none is valid for long enough.
    pub(crate) async fn header(
        &self,
        scopes: &TokenScopes,
        server: &TokenServer<'_>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let scheme = self.lock().scheme.clone();
        match scheme {
            None => Ok(None),
            Some(AuthScheme::Basic) => Ok(self.basic()),
            Some(AuthScheme::Bearer { realm, service }) => {
                let _asking = self.asking.lock().await;
                if let Some(token) = self.lock().tokens.get(scopes).filter(|token| token.renew_at > Instant::now()) {
                    return Ok(Some(token.header.clone()));
                }
                let token = self.ask(&realm, service.as_deref(), scopes, server).await?;
                let header = token.header.clone();
                self.lock().tokens.insert(scopes.clone(), token);
                Ok(Some(header))
            }
        }
    }

    /// Learns from the challenge to a request that was sent with the header `shown`. Returns whether the next header
    /// may be another one.
    pub(crate) fn learn(&self, challenge: &HeaderMap, scopes: &TokenScopes, shown: Option<&HeaderValue>) -> bool {
        let Some(scheme) = scheme_of(challenge) else { return false };
        let mut state = self.lock();
        let can_answer = match scheme {
            AuthScheme::Basic => shown.is_none() && matches!(self.login, Login::Password { .. }),
            // The token may have been revoked. Another request may have got a newer one.
            AuthScheme::Bearer { .. } => true,
        };
        if state.tokens.get(scopes).is_some_and(|token| Some(&token.header) == shown) {
            state.tokens.remove(scopes);
        }
        state.scheme = Some(scheme);
        can_answer
    }

    fn basic(&self) -> Option<HeaderValue> {
        let Login::Password { user, password } = &self.login else { return None };
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.reveal()));
        secret_header(&format!("Basic {pair}"))
    }

    async fn ask(
        &self,
        realm: &str,
        service: Option<&str>,
        scopes: &TokenScopes,
        server: &TokenServer<'_>,
    ) -> Result<CachedToken, RegistryError> {
        let invalid = |what: &str| RegistryError::Answer { host: server.host.to_owned(), what: what.to_owned() };
        let url: Url = realm.parse().map_err(|_| invalid("a token server that is no URL"))?;
        let has_secret = !matches!(self.login, Login::Anonymous);
        if url.scheme() != "https" && has_secret && !server.plain {
            return Err(RegistryError::Realm { host: server.host.to_owned(), realm: realm.to_owned() });
        }
        let host = url.host_str().unwrap_or(server.host).to_owned();
        let service = service.map(|service| ("service", service));
        let (method, request) = match &self.login {
            Login::IdentityToken(token) => {
                let scope = scopes.each().collect::<Vec<_>>().join(" ");
                let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token.reveal())];
                form.extend([("client_id", server.client_id), ("scope", &scope)]);
                form.extend(service);
                (Method::POST, server.http.post(url).form(&form))
            }
            login => {
                let mut query = scopes.each().map(|scope| ("scope", scope)).collect::<Vec<_>>();
                query.extend(service);
                if let Login::Password { user, .. } = login {
                    query.push(("account", user));
                }
                let request = server.http.get(url).query(&query);
                let request = match self.basic() {
                    Some(header) => request.header(AUTHORIZATION, header),
                    None => request,
                };
                (Method::GET, request)
            }
        };
        let response = request.send().await.map_err(RegistryError::connection(&host))?;
        if !response.status().is_success() {
            return Err(RegistryError::of(&host, method, response).await);
        }
        let answer = read_answer(response, &host).await?;
        let invalid = |what: &str| RegistryError::Answer { host: host.clone(), what: what.to_owned() };
        let token = answer.token.or(answer.access_token).filter(|token| !token.reveal().is_empty());
        let token = token.ok_or_else(|| invalid("no token"))?;
        let header = secret_header(&format!("Bearer {}", token.reveal()))
            .ok_or_else(|| invalid("a token of control characters"))?;
        let life = Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFE).min(MAX_LIFE));
        // A token that is valid for less than the margin is used at least once.
        let renew_at = Instant::now() + life.saturating_sub(MARGIN).max(life / 2);
        Ok(CachedToken { header, renew_at })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TokenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a token server's response. Errors do not quote it, because it may be a token.
async fn read_answer(mut response: Response, host: &str) -> Result<TokenAnswer, RegistryError> {
    let invalid = |what: &str| RegistryError::Answer { host: host.to_owned(), what: what.to_owned() };
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(RegistryError::connection(host))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(invalid("an endless token"));
        }
    }
    serde_json::from_slice(&bytes).map_err(|_| invalid("something else than a token"))
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Returns the scheme of a challenge. Tokens take precedence over passwords.
fn scheme_of(headers: &HeaderMap) -> Option<AuthScheme> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        for challenge in parse_challenges(value.to_str().ok()?).ok()? {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(AuthScheme::Bearer { realm: param("realm")?, service: param("service") });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(AuthScheme::Basic);
            }
        }
    }
    basic
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_better_scheme_of_a_challenge_is_taken() {
        let both = challenge(r#"Basic realm="r", Bearer realm="https://auth.io/token",service="a, b",error="x""#);
        let bearer = AuthScheme::Bearer { realm: "https://auth.io/token".to_owned(), service: Some("a, b".to_owned()) };
        assert_eq!(scheme_of(&both), Some(bearer));
        assert_eq!(scheme_of(&challenge("basic realm=x")), Some(AuthScheme::Basic));
        assert_eq!(scheme_of(&challenge("Negotiate")), None);
        assert_eq!(scheme_of(&challenge("\"")), None);
    }

    #[test]
    fn a_challenge_that_was_answered_already_is_not_answered_again() {
        let name = "host.io/a:1".parse().unwrap();
        let scopes = TokenScopes::pull(&name);
        let basic = challenge("basic realm=x");
        let tokens = Tokens::new(Login::Password { user: "u".to_owned(), password: "p".to_owned().into() });
        assert!(tokens.learn(&basic, &scopes, None));
        assert!(!tokens.learn(&basic, &scopes, tokens.basic().as_ref()));
        assert!(!Tokens::new(Login::Anonymous).learn(&basic, &scopes, None));
    }
}
