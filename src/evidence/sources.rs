//! Parses the Python sources of a layer, on another thread as soon as one is idle.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::collect::FileFacts;
use crate::budget::Budget;
use crate::digest::Digest;
use crate::idle::{Helper, IdleThreads};

/// How many sources may wait for the thread. Each has at most [`super::python::MAX_SOURCE`] bytes.
const WAITING: usize = 8;

/// Python sources that were parsed before, by the digest of their content. An image often holds a module several times
/// (two Pythons of one version, vendored packages), and evidence costs mostly parsing. Facts from one layer are trusted
/// in another, so the hash must be free of collisions.
#[derive(Debug, Clone, Default)]
pub struct SeenSources(Arc<Mutex<HashMap<Digest, Arc<FileFacts>>>>);

impl SeenSources {
    /// Parses a source, or returns the facts of an identical one.
    fn read(&self, source: &[u8], budget: &Budget) -> Arc<FileFacts> {
        // If a thread panicked while it held the lock, the map still holds only complete entries.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Digest::of(source);
        if let Some(facts) = lock().get(&key) {
            return facts.clone();
        }
        let facts = Arc::new(FileFacts::of_python(source, budget));
        lock().insert(key, facts.clone());
        facts
    }
}

/// What was found in sources, by the index of their entry.
type FoundFacts = HashMap<u32, Arc<FileFacts>>;

/// Reads the sources of one layer.
#[derive(Debug, Default)]
pub(super) struct SourceReader {
    seen: SeenSources,
    idle: Option<IdleThreads>,
    found: FoundFacts,
    helper: Option<Helper<UnparsedSource, FoundFacts>>,
    /// Memory that is reused for the next source.
    buffer: Vec<u8>,
    budget: Budget,
}

#[derive(Debug)]
struct UnparsedSource {
    entry: u32,
    text: Vec<u8>,
}

impl SourceReader {
    /// Creates a reader that shares facts with readers of other layers.
    pub(super) fn new(seen: SeenSources, idle: Option<IdleThreads>) -> Self {
        Self { seen, idle, ..Self::default() }
    }

    /// Charges what is found in sources to the image's budget.
    pub(super) fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Returns an empty buffer for a source.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let used = self.helper.as_ref().and_then(|helper| Some(helper.used()?.text));
        let mut buffer = used.unwrap_or_else(|| mem::take(&mut self.buffer));
        buffer.clear();
        buffer
    }

    pub(super) fn read(&mut self, entry: u32, text: Vec<u8>) {
        if self.helper.is_none() {
            self.helper = self.idle.as_ref().and_then(|idle| {
                let (seen, budget) = (self.seen.clone(), self.budget.clone());
                let read = move |found: &mut FoundFacts, source: &mut UnparsedSource| {
                    found.insert(source.entry, seen.read(&source.text, &budget));
                };
                idle.start("python", WAITING, FoundFacts::new, read)
            });
        }
        let source = UnparsedSource { entry, text };
        // If the other thread is busy, the source is read here: no thread waits while there is work.
        let left = match &self.helper {
            Some(helper) => helper.offer(source),
            None => Err(source),
        };
        if let Err(UnparsedSource { entry, text }) = left {
            self.found.insert(entry, self.seen.read(&text, &self.budget));
            self.buffer = text;
        }
    }

    /// Returns what was found in all sources.
    pub(super) fn finish(self) -> FoundFacts {
        let mut found = self.found;
        found.extend(self.helper.map(Helper::finish).unwrap_or_default());
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn what_sources_say_does_not_depend_on_when_a_thread_is_idle() {
        let found = [0, 3, 99].map(|refusals| {
            let asked = AtomicU32::new(0);
            let ask = move || (asked.fetch_add(1, Ordering::Relaxed) >= refusals).then(|| Box::new(()) as _);
            let mut reader = SourceReader::new(SeenSources::default(), Some(IdleThreads::new(ask)));
            for entry in 0..20 {
                let mut text = reader.buffer();
                text.extend_from_slice(format!("import module{}", entry / 2).as_bytes());
                reader.read(entry, text);
            }
            reader.finish()
        });
        assert_eq!(found[0].len(), 20);
        assert!(Arc::ptr_eq(&found[0][&4], &found[0][&5]));
        assert!(found.iter().all(|other| *other == found[0]));
    }
}
