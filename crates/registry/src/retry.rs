//! When and how often requests are repeated.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

use super::error::{LONG_WAIT, RegistryError};

/// How often a request is repeated.
const RETRIES: usize = 8;
/// The longest `Retry-After` that is honored. A registry that asks for more is overloaded for too long to wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Repeats a request while it fails for a passing reason. Delays grow, are not shorter than the registry asks for, and
/// are random, so that many clients do not return at the same time.
pub(crate) async fn retrying<T, F: Future<Output = Result<T, RegistryError>>>(
    attempt: impl FnMut() -> F,
) -> Result<T, RegistryError> {
    attempt.retry(builder()).when(RegistryError::is_transient).adjust(as_asked).notify(announce).await
}

/// The delays between attempts, for a caller that makes the attempts itself.
pub(crate) struct RetryDelays(ExponentialBackoff);

impl RetryDelays {
    /// Starts with the shortest delay.
    pub(crate) fn new() -> Self {
        Self(builder().build())
    }

    /// Returns the delay after an error; `None` if that was the last attempt, or the registry asks for a longer delay
    /// than [`LONGEST_WAIT`].
    pub(crate) fn after(&mut self, error: &RegistryError) -> Option<Duration> {
        let wait = as_asked(error, self.0.next());
        if let Some(wait) = wait {
            announce(error, wait);
        }
        wait
    }
}

/// Logs a delay. A long one is a warning, because users could take it for a hang.
fn announce(error: &RegistryError, wait: Duration) {
    if wait >= LONG_WAIT {
        tracing::warn!(%error, "waiting for {}", humantime::format_duration(Duration::from_secs(wait.as_secs())));
    } else {
        tracing::info!(%error, ?wait, "trying again");
    }
}

/// Returns the next delay, but at least what the registry asks for; `None` if there is no next one, or the registry
/// asks for more than [`LONGEST_WAIT`].
fn as_asked(error: &RegistryError, next: Option<Duration>) -> Option<Duration> {
    let asked = error.wait().unwrap_or_default();
    next.map(|wait| wait.max(asked)).filter(|_| asked <= LONGEST_WAIT)
}

fn builder() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(RETRIES)
}
