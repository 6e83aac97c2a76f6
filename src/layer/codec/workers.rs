//! Threads that compress chunks while others read on.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Threads that several layers share. They sleep while there is nothing to do: those of a pool that is made for finer work look around for it
/// (docs/performance.md has the figures).
#[derive(Clone)]
pub struct Workers {
    jobs: Sender<Job>,
    count: usize,
    /// How many chunks of one layer may be on their way; with it memory is bounded.
    pub(super) ahead: usize,
}

type Job = Box<dyn FnOnce() + Send>;

impl Workers {
    /// Starts threads for so many layers at once; `None` if there would be but one, or they cannot be had. They end when nobody has this any more.
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

    /// Returns how many threads there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Has something done; the result comes by the channel.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (done, result) = sync_channel(1);
        let job = move || {
            // Who asked may have given up.
            let _ = done.send(work());
        };
        // It fails only if no thread is left, which the result tells.
        let _ = self.jobs.send(Box::new(job));
        result
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("count", &self.count).field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

/// Does jobs, until nobody has any more.
fn work(todo: &Mutex<Receiver<Job>>) {
    loop {
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Who waits for the result is told by the channel, which has ended then.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Waits for a result.
pub(super) fn wait<T>(result: &Receiver<io::Result<T>>) -> io::Result<T> {
    result.recv().map_err(|_| io::Error::other("a thread that compresses has died"))?
}
