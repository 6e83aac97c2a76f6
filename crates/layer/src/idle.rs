//! Offloads work to idle threads.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread::{self, JoinHandle};

/// Access to idle threads.
#[derive(Clone)]
pub struct IdleThreads(Arc<Ask>);

type Ask = dyn Fn() -> Option<Permit> + Send + Sync;

/// A thread in use. Dropping it returns the thread.
pub type Permit = Box<dyn Send>;

impl IdleThreads {
    /// Creates an instance. `ask` returns a permit if a thread is idle.
    pub fn new(ask: impl Fn() -> Option<Permit> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Starts an idle thread, if there is one. It calls `work` with the state from `state` and each item. At most
    /// `waiting` items wait for it, which bounds the memory.
    pub fn start<T, S>(
        &self,
        name: &str,
        waiting: usize,
        state: impl FnOnce() -> S,
        work: impl Fn(&mut S, &mut T) + Send + 'static,
    ) -> Option<Helper<T, S>>
    where
        T: Send + 'static,
        S: Send + 'static,
    {
        let permit = (self.0)()?;
        let (items, todo) = sync_channel::<T>(waiting);
        let (done, used) = channel();
        let mut state = state();
        let go_on = move || {
            let _permit = permit;
            for mut item in todo {
                work(&mut state, &mut item);
                // The receiver may have been dropped.
                let _ = done.send(item);
            }
            state
        };
        let worker = thread::Builder::new().name(name.to_owned()).spawn(go_on).ok()?;
        Some(Helper { items, used, worker })
    }
}

impl fmt::Debug for IdleThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdleThreads")
    }
}

/// A thread that processes items in order.
#[derive(Debug)]
pub struct Helper<T, S> {
    items: SyncSender<T>,
    used: Receiver<T>,
    worker: JoinHandle<S>,
}

impl<T, S> Helper<T, S> {
    /// Sends an item. Blocks while too many items wait.
    pub fn send(&self, item: T) {
        // Fails only if the worker panicked, which `finish` reports.
        let _ = self.items.send(item);
    }

    /// Sends an item, or returns it if too many items wait.
    pub fn offer(&self, item: T) -> Result<(), T> {
        match self.items.try_send(item) {
            Err(TrySendError::Full(item)) => Err(item),
            // See `send`.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Returns a processed item, so that its memory can be reused.
    pub fn used(&self) -> Option<T> {
        self.used.try_recv().ok()
    }

    /// Waits until all items are processed and returns the state.
    pub fn finish(self) -> S {
        drop(self.items);
        self.worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_given_back_when_all_is_done_or_nobody_wants_the_result() {
        for wants_result in [true, false] {
            let threads = Arc::new(());
            let permit = threads.clone();
            let idle = IdleThreads::new(move || Some(Box::new(permit.clone())));
            let helper = idle.start("test", 2, Vec::new, |seen, item: &mut u32| seen.push(*item)).unwrap();
            (0..10).for_each(|item| helper.send(item));
            drop(idle);
            if wants_result {
                assert_eq!(helper.finish(), (0..10).collect::<Vec<_>>());
            } else {
                drop(helper);
            }
            // A thread whose helper was dropped ends by itself.
            while Arc::strong_count(&threads) > 1 {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn an_item_is_given_back_if_too_many_wait() {
        let (go, wait) = sync_channel::<()>(0);
        let idle = IdleThreads::new(|| Some(Box::new(())));
        let work = move |seen: &mut Vec<u32>, item: &mut u32| {
            wait.recv().unwrap();
            seen.push(*item);
        };
        let helper = idle.start("test", 1, Vec::new, work).unwrap();
        helper.send(0);
        helper.send(1);
        // One item is being processed, and one waits.
        assert_eq!(helper.offer(2), Err(2));
        (0..2).for_each(|_| go.send(()).unwrap());
        assert_eq!(helper.finish(), [0, 1]);
    }

    #[test]
    fn nothing_is_started_without_an_idle_thread() {
        let idle = IdleThreads::new(|| None);
        assert!(idle.start("test", 2, || (), |(), _: &mut u32| ()).is_none());
    }
}
