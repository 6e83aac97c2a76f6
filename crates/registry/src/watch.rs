//! Timeouts of uploads: a request may take any time, as long as bytes of its body are sent.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::RegistryError;
use super::host::patience;

/// How long an upload may make no progress. A slow line takes minutes to drain the buffers on the way.
const STALL: Duration = Duration::from_secs(300);

/// Watches the progress of one upload.
#[derive(Debug, Clone)]
pub(crate) struct UploadWatch(Arc<Mutex<LastProgress>>);

#[derive(Debug)]
struct LastProgress {
    at: Instant,
    /// How long the upload may make no progress from then on.
    patience: Duration,
}

impl UploadWatch {
    /// Starts to watch.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(LastProgress { at: Instant::now(), patience: STALL })))
    }

    /// Records that a part of the body was sent.
    pub(crate) fn moved(&self) {
        self.set(STALL);
    }

    /// Records that the whole body of `size` bytes was sent. The registry may read all of it again before it responds.
    pub(crate) fn sent(&self, size: u64) {
        self.set(patience(size));
    }

    fn set(&self, patience: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = LastProgress { at: Instant::now(), patience };
    }

    fn deadline(&self) -> Instant {
        let moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.at + moved.patience
    }

    /// Waits for the response to a request as long as its body makes progress.
    ///
    /// # Errors
    /// If the request fails, or makes no progress for too long.
    pub(crate) async fn wait_for<T>(
        &self,
        host: &str,
        request: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let mut request = std::pin::pin!(request);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                answer = &mut request => return answer,
                () = tokio::time::sleep_until(deadline) => {}
            }
            if self.deadline() <= Instant::now() {
                return Err(RegistryError::Stalled { host: host.to_owned() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_take_hours_as_long_as_it_moves() {
        let watch = UploadWatch::new();
        let slow = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(200)).await;
                watch.moved();
            }
            watch.sent(1 << 30);
            tokio::time::sleep(Duration::from_secs(1000)).await;
            Ok(())
        };
        assert!(watch.wait_for("host", slow).await.is_ok());
        let stalled = watch.wait_for("host", std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(stalled, Err(RegistryError::Stalled { .. })));
    }
}
