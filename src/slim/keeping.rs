//! What goes into the cache while other work goes on.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// Writes to the cache that are under way.
#[derive(Default)]
pub(super) struct Keeping(Mutex<JoinSet<()>>);

impl Keeping {
    /// Starts one, on a thread that may block.
    pub(super) fn start(&self, write: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn_blocking(write);
    }

    /// Waits for all of them.
    pub(super) async fn settle(&self) {
        let under_way = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        under_way.join_all().await;
    }
}
