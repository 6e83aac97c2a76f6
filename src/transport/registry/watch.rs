//! Requests that send a body: they may take as long as bytes move.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::client::patience;
use super::error::RegistryError;

/// How long an upload may stand still. A slow line takes minutes to drain the buffers between here and there.
const STALL: Duration = Duration::from_secs(300);

/// When a body moved last.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Mutex<Moved>>);

#[derive(Debug)]
struct Moved {
    at: Instant,
    /// How long nothing may happen from then on.
    patience: Duration,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Moved { at: Instant::now(), patience: STALL })))
    }

    /// Notes that a part of a body was taken.
    pub(super) fn moved(&self) {
        self.set(STALL);
    }

    /// Notes that all of a body of `size` bytes was taken: the registry may read it again before it answers.
    pub(super) fn sent(&self, size: u64) {
        self.set(patience(size));
    }

    fn set(&self, patience: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Moved { at: Instant::now(), patience };
    }

    fn deadline(&self) -> Instant {
        let moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.at + moved.patience
    }

    /// Waits for a request's answer as long as its body moves.
    pub(super) async fn wait_for<T>(
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
        let watch = Watch::new();
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
