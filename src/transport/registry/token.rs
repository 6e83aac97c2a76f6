//! Answers to a registry's challenge: basic, or a token of its token server, renewed before it expires.
//!
//! Source: distribution's token authentication and OAuth2 documents, RFC 6750 and RFC 7617.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http_auth::parse_challenges;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, Url};
use serde::Deserialize;

use super::error::RegistryError;
use super::scopes::Scopes;
use crate::transport::logins::{Login, Secret};

/// How long a token lives that does not say so.
const USUAL_LIFE: u64 = 60;
/// A token is renewed when it has so long to live: a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(10);
/// The longest life that is believed: a token that lasts longer is renewed anyway.
const MAX_LIFE: u64 = 24 * 60 * 60;
/// How many bytes of a token server's answer are read. Tokens have some kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// Who asks for tokens.
const CLIENT_ID: &str = "pydock";

/// What a registry wants to see, and what it was shown.
#[derive(Debug)]
pub(super) struct Tokens {
    login: Login,
    state: Mutex<TokenState>,
    /// Held while a token is asked for: requests at the same time want the same one.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct TokenState {
    scheme: Option<Scheme>,
    tokens: HashMap<Scopes, CachedToken>,
}

/// How a registry wants to be shown a login.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Debug, Clone)]
struct CachedToken {
    header: HeaderValue,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

/// Where tokens are asked for.
pub(super) struct TokenServer<'a> {
    /// A client that may be used for any host.
    pub http: &'a reqwest::Client,
    /// The registry, for messages.
    pub host: &'a str,
    /// Whether the registry itself is spoken to without encryption.
    pub plain: bool,
}

impl Tokens {
    /// Answers challenges with a login.
    pub(super) fn new(login: Login) -> Self {
        Self { login, state: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Returns the header that a request needs, as far as challenges have told; asks for a token if there is none that lasts.
    pub(super) async fn header(
        &self,
        scopes: &Scopes,
        server: &TokenServer<'_>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let scheme = self.lock().scheme.clone();
        match scheme {
            None => Ok(None),
            Some(Scheme::Basic) => Ok(self.basic()),
            Some(Scheme::Bearer { realm, service }) => {
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

    /// Learns from the challenge that answered a request, which had shown `shown`. Tells whether there is something else to show.
    pub(super) fn learn(&self, challenge: &HeaderMap, scopes: &Scopes, shown: Option<&HeaderValue>) -> bool {
        let Some(scheme) = scheme_of(challenge) else { return false };
        let mut state = self.lock();
        let can_answer = match scheme {
            Scheme::Basic => shown.is_none() && matches!(self.login, Login::Password { .. }),
            // The token may have been taken back; that of another request may be newer.
            Scheme::Bearer { .. } => true,
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
        scopes: &Scopes,
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
                form.extend([("client_id", CLIENT_ID), ("scope", &scope)]);
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
        // A token that lives for less than the margin is used at least once.
        let renew_at = Instant::now() + life.saturating_sub(MARGIN).max(life / 2);
        Ok(CachedToken { header, renew_at })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TokenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a token server's answer. What it says is left out of errors: it may be a token.
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

/// A registry may offer several schemes; tokens are the better one.
fn scheme_of(headers: &HeaderMap) -> Option<Scheme> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        for challenge in parse_challenges(value.to_str().ok()?).ok()? {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(Scheme::Bearer { realm: param("realm")?, service: param("service") });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Scheme::Basic);
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
        let bearer = Scheme::Bearer { realm: "https://auth.io/token".to_owned(), service: Some("a, b".to_owned()) };
        assert_eq!(scheme_of(&both), Some(bearer));
        assert_eq!(scheme_of(&challenge("basic realm=x")), Some(Scheme::Basic));
        assert_eq!(scheme_of(&challenge("Negotiate")), None);
        assert_eq!(scheme_of(&challenge("\"")), None);
    }

    #[test]
    fn a_challenge_that_was_answered_already_is_not_answered_again() {
        let name = "host.io/a:1".parse().unwrap();
        let scopes = Scopes::pull(&name);
        let basic = challenge("basic realm=x");
        let tokens = Tokens::new(Login::Password { user: "u".to_owned(), password: "p".to_owned().into() });
        assert!(tokens.learn(&basic, &scopes, None));
        assert!(!tokens.learn(&basic, &scopes, tokens.basic().as_ref()));
        assert!(!Tokens::new(Login::Anonymous).learn(&basic, &scopes, None));
    }
}
