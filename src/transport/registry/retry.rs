//! When and how often a request is made again.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

use super::error::{LONG_WAIT, RegistryError};

/// How often a request is made again.
const RETRIES: usize = 8;
/// The longest that is waited because a registry says so; who wants more is overloaded for longer than a run should last.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Makes a request again while it fails for a passing reason: later each time, at random so that many clients do not come back
/// at once, and not before the registry wants it.
pub(super) async fn retrying<T, F: Future<Output = Result<T, RegistryError>>>(
    attempt: impl FnMut() -> F,
) -> Result<T, RegistryError> {
    attempt.retry(builder()).when(RegistryError::is_transient).adjust(as_asked).notify(announce).await
}

/// The waits between attempts to get on, for who makes the attempts.
pub(super) struct Waits(ExponentialBackoff);

impl Waits {
    /// From the first on.
    pub(super) fn new() -> Self {
        Self(builder().build())
    }

    /// Returns how long to wait after an error; `None` if that was the last attempt, or the registry wants too long a wait.
    pub(super) fn after(&mut self, error: &RegistryError) -> Option<Duration> {
        let wait = as_asked(error, self.0.next());
        if let Some(wait) = wait {
            announce(error, wait);
        }
        wait
    }
}

/// Logs that a request is made again; a long wait is a warning, so that nobody takes it for a hang.
fn announce(error: &RegistryError, wait: Duration) {
    if wait >= LONG_WAIT {
        tracing::warn!(%error, "waiting for {}", humantime::format_duration(Duration::from_secs(wait.as_secs())));
    } else {
        tracing::info!(%error, ?wait, "trying again");
    }
}

/// Returns the next wait, but no less than the registry asks for; `None` if there is none, or it asks for too much.
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
