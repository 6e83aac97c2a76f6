//! Threads that compress chunks in the background.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A thread pool that several layers share. Idle threads sleep; a pool for finer-grained work would spin (see
/// docs/design/deflate.md).
#[derive(Clone)]
pub struct Workers {
    jobs: Sender<Job>,
    count: usize,
    /// The most chunks of one layer that may be in progress. It bounds the memory.
    pub(super) ahead: usize,
}

type Job = Box<dyn FnOnce() + Send>;

impl Workers {
    /// Starts threads for `layers` concurrent layers. Returns `None` if there would be only one thread, or threads
    /// cannot be started. The threads end when the last clone is dropped.
    pub fn start(threads: usize, layers: usize) -> Option<Self> {
        if threads < 2 {
            return None;
        }
        let (jobs, todo) = channel();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..threads {
            let todo = todo.clone();
            thread::Builder::new().name("compress".to_owned()).spawn(move || work(&todo)).ok()?;
        }
        let ahead = (2 * threads / layers.clamp(1, threads)).max(2);
        Some(Self { jobs, count: threads, ahead })
    }

    /// Returns the number of threads.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` on a thread. The channel receives the result.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (done, result) = sync_channel(1);
        let job = move || {
            // The caller may have given up.
            let _ = done.send(work());
        };
        // Fails only if no thread is left. Then the channel is closed, too.
        let _ = self.jobs.send(Box::new(job));
        result
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("count", &self.count).field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

/// Runs jobs until the queue is closed.
fn work(todo: &Mutex<Receiver<Job>>) {
    loop {
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic closes the channel of the result, so the caller notices it.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Waits for a result.
pub(super) fn wait<T>(result: &Receiver<io::Result<T>>) -> io::Result<T> {
    result.recv().map_err(|_| io::Error::other("a thread that compresses has died"))?
}
