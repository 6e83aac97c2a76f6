//! The redirects that are followed.

use reqwest::redirect::{Attempt, Policy};

/// The longest chain of redirects that is followed.
const MAX_REDIRECTS: usize = 10;

/// Why a redirect is not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefusedRedirect {
    #[error("the redirects form a loop")]
    Loop,
    #[error("there are more than {MAX_REDIRECTS} redirects")]
    TooMany,
    #[error("a token server may not redirect to another host")]
    OtherHost,
}

/// Follows redirects to any host: registries keep blobs elsewhere. reqwest removes the login if the host changes.
pub(crate) fn anywhere() -> Policy {
    Policy::custom(|attempt| match refused(&attempt) {
        Some(refused) => attempt.error(refused),
        None => attempt.follow(),
    })
}

/// Follows redirects within one host, with the same or better encryption. The body of a request for a token holds a
/// login, and a redirect may send it again.
pub(crate) fn to_same_host() -> Policy {
    Policy::custom(|attempt| {
        let same = attempt.previous().first().is_some_and(|first| {
            let (from, to) = (first, attempt.url());
            from.host() == to.host() && (from.origin() == to.origin() || to.scheme() == "https")
        });
        match refused(&attempt) {
            Some(refused) => attempt.error(refused),
            None if !same => attempt.error(RefusedRedirect::OtherHost),
            None => attempt.follow(),
        }
    })
}

fn refused(attempt: &Attempt<'_>) -> Option<RefusedRedirect> {
    if attempt.previous().contains(attempt.url()) {
        return Some(RefusedRedirect::Loop);
    }
    (attempt.previous().len() > MAX_REDIRECTS).then_some(RefusedRedirect::TooMany)
}
