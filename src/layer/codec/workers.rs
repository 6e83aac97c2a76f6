//! Threads that compress chunks while others read on.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rayon::ThreadPool;

/// Threads that several layers share.
#[derive(Debug, Clone)]
pub struct Workers {
    pool: Arc<ThreadPool>,
    /// How many chunks of one layer may be on their way; with it memory is bounded.
    pub(super) ahead: usize,
}

impl Workers {
    /// Starts threads for so many layers at once; `None` if there would be but one, or they cannot be had.
    pub fn start(threads: usize, layers: usize) -> Option<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "compress".to_owned());
        // Who waits for the result is told by the channel.
        let pool = pool.panic_handler(|_| {});
        let pool = (threads > 1).then(|| pool.build().ok()).flatten()?;
        let ahead = (2 * threads / layers.clamp(1, threads)).max(2);
        Some(Self { pool: pool.into(), ahead })
    }

    /// Returns how many threads there are.
    pub(super) fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Has something done; the result comes by the channel.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (done, result) = sync_channel(1);
        self.pool.spawn(move || {
            // Who asked may have given up.
            let _ = done.send(work());
        });
        result
    }
}

/// Waits for a result.
pub(super) fn wait<T>(result: &Receiver<io::Result<T>>) -> io::Result<T> {
    result.recv().map_err(|_| io::Error::other("a thread that compresses has died"))?
}
