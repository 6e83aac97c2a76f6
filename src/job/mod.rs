//! The steps of the flow that do I/O, one file each; `slim.rs` calls them in order.

pub mod base;
pub mod error;
pub mod images;
mod keeping;
mod pile;
pub mod push;
mod recipe;
pub mod rewrite;
pub mod scan;
mod shared;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use error::SlimError;

use images::Member;
use keeping::Keeping;
use shared::Shared;

use crate::budget::Budget;
use crate::cache::Cache;
use crate::idle::IdleThreads;
use crate::image::Descriptor;
use crate::progress::{MeteredReader, Progress, Stage, StopOnDrop};
use crate::transport::{BlobReader, Source, TransportError};

/// What all steps of one job share.
pub struct Job {
    /// Where the image comes from.
    pub source: Arc<dyn Source>,
    /// The source's name, for messages.
    pub image: String,
    /// What earlier runs learned and made, if it is kept.
    pub cache: Option<Arc<Cache>>,
    /// What the documents of the source may cost.
    documents: Budget,
    shared: Shared,
    keeping: Keeping,
    progress: Arc<dyn Progress>,
    threads: Arc<Semaphore>,
    thread_count: usize,
    stop: StopOnDrop,
}

impl Job {
    /// Makes a job that works on `threads` layers at once. Dropping it stops its threads.
    pub fn new(source: Box<dyn Source>, image: String, threads: usize, progress: Arc<dyn Progress>) -> Self {
        Self {
            source: source.into(),
            image,
            cache: None,
            documents: Budget::default(),
            shared: Shared::default(),
            keeping: Keeping::default(),
            progress,
            threads: Arc::new(Semaphore::new(threads.max(1))),
            thread_count: threads,
            stop: StopOnDrop::default(),
        }
    }

    /// Uses a cache.
    pub fn with_cache(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// Scans and makes layers once that several images of an index share.
    pub fn sharing(self, members: &[Member]) -> Self {
        Self { shared: Shared::of(members), ..self }
    }

    /// Returns the threads that have no layer to work on, now or later.
    fn idle_threads(&self) -> IdleThreads {
        let threads = self.threads.clone();
        IdleThreads::new(move || Some(Box::new(threads.clone().try_acquire_owned().ok()?)))
    }

    /// Asks the cache, if there is one, on a thread that may block.
    async fn ask_cache<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Cache) -> T + Send + 'static,
    ) -> Result<Option<T>, TransportError> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let asked = tokio::task::spawn_blocking(move || ask(&cache)).await;
        asked.map(Some).map_err(|_| TransportError::Stopped)
    }

    /// Puts something into the cache, if there is one, while other work goes on.
    fn keep(&self, put: impl FnOnce(&Cache) + Send + 'static) {
        if let Some(cache) = self.cache.clone() {
            self.keeping.start(move || put(&cache));
        }
    }

    /// Waits for what goes into the cache, if there is one, and makes it as small as it has to be.
    ///
    /// # Errors
    /// If the job was stopped.
    pub async fn settle_cache(&self) -> Result<(), SlimError> {
        self.keeping.settle().await;
        self.ask_cache(Cache::trim).await?;
        Ok(())
    }

    /// Opens a blob, which is verified as it is read; reading it is told to the progress and ends when the job does.
    async fn open(&self, stage: Stage, what: &str, descriptor: &Descriptor) -> Result<BlobReader, TransportError> {
        let blob = self.source.blob(descriptor).await?;
        Ok(Box::new(self.meter(blob.verified(descriptor), stage, what, descriptor)))
    }

    fn meter<R>(&self, reader: R, stage: Stage, what: &str, descriptor: &Descriptor) -> MeteredReader<R> {
        let meter = self.progress.begin(stage, what, descriptor.size);
        MeteredReader::new(reader, meter, self.stop.flag())
    }

    /// Runs tasks in parallel and returns their results in order. Each comes with what it may cost, in whatever unit: the most
    /// expensive start first, so that no thread is left alone with one at the end. At the first error the others are
    /// stopped.
    async fn in_parallel<T: Send + 'static>(
        &self,
        tasks: Vec<(u64, impl Future<Output = Result<T, SlimError>> + Send + 'static)>,
    ) -> Result<Vec<T>, SlimError> {
        let mut set = JoinSet::new();
        let mut results = tasks.iter().map(|_| None).collect::<Vec<_>>();
        let mut tasks = tasks.into_iter().enumerate().collect::<Vec<_>>();
        tasks.sort_by_key(|(_, (cost, _))| std::cmp::Reverse(*cost));
        let mut todo = tasks.into_iter().map(|(index, (_, task))| (index, task)).peekable();
        // A task starts when there is a thread for it: spawned all at once, they would not start in order.
        while todo.peek().is_some() || !set.is_empty() {
            tokio::select! {
                permit = self.threads.clone().acquire_owned(), if todo.peek().is_some() => {
                    let permit = permit.map_err(|_| TransportError::Stopped)?;
                    let Some((index, task)) = todo.next() else { continue };
                    set.spawn(async move {
                        let _permit = permit;
                        Ok::<_, SlimError>((index, task.await?))
                    });
                }
                Some(joined) = set.join_next() => {
                    let (index, result) = joined.map_err(|_| TransportError::Stopped)??;
                    results[index] = Some(result);
                }
            }
        }
        Ok(results.into_iter().flatten().collect())
    }
}

/// Runs layer work on a thread that may block.
async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<Result<T, E>, TransportError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| TransportError::Stopped)
}
