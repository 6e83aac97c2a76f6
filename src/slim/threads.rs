//! The threads of a run: how many layers are worked on at once, and who may use a thread that has no layer.

use std::cmp::Reverse;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use super::SlimError;
use crate::idle::IdleThreads;

/// A task on a layer, with its cost in any unit.
pub(super) type Task<'a, T> = (u64, BoxFuture<'a, Result<T, SlimError>>);

/// The threads of a run.
pub(super) struct Threads {
    count: usize,
    permits: Arc<Semaphore>,
}

impl Threads {
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(1);
        Self { count, permits: Arc::new(Semaphore::new(count)) }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the threads that have no layer to work on, now or later.
    pub(super) fn idle(&self) -> IdleThreads {
        let permits = self.permits.clone();
        IdleThreads::new(move || Some(Box::new(permits.clone().try_acquire_owned().ok()?)))
    }

    /// Runs tasks in parallel, and returns their results in the order of `tasks`. The most expensive start first, so
    /// that none of them runs alone at the end. The first error stops the others.
    pub(super) async fn run<T: Send>(&self, tasks: Vec<Task<'_, T>>) -> Result<Vec<T>, SlimError> {
        let mut tasks = tasks.into_iter().enumerate().collect::<Vec<_>>();
        tasks.sort_by_key(|(_, (cost, _))| Reverse(*cost));
        let started = tasks.into_iter().map(|(index, (_, task))| async move {
            let _permit = self.permits.acquire().await.map_err(|_| SlimError::Stopped)?;
            Ok::<_, SlimError>((index, task.await?))
        });
        let mut results = stream::iter(started).buffer_unordered(self.count).try_collect::<Vec<_>>().await?;
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

/// Runs work on a thread that may block.
///
/// # Errors
/// If the runtime has stopped.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SlimError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SlimError::Stopped)
}
