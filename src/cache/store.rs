//! Named files in a folder. Each is written completely or not at all, and the least recently used are removed first.
//!
//! Several processes can use the folder at once: a file appears by a rename and never changes after that. An open file
//! can be read to its end even if it is removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::CacheLocation;

const LOCK: &str = "lock";
/// Prefix of files that are being written. A killed run leaves them behind.
const PART: &str = ".part-";
/// A part that was not written to for this long is abandoned.
const ABANDONED: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Store {
    place: CacheLocation,
}

impl Store {
    pub(super) fn open(place: &CacheLocation) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.folder)?;
        if fs::metadata(&place.folder)?.mode() & 0o022 != 0 {
            let folder = place.folder.display();
            tracing::warn!("other users can write to the cache `{folder}`, and so decide what images will hold");
        }
        Ok(Self { place: place.clone() })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.folder.join(name)
    }

    /// Opens a file and records its use.
    pub(super) fn open_file(&self, name: &str) -> Option<File> {
        let file = File::open(self.path(name)).ok()?;
        if let Err(error) = file.set_modified(SystemTime::now()) {
            tracing::debug!(name, %error, "cannot note that a file of the cache was used");
        }
        Some(file)
    }

    /// Writes a file unless it exists. Errors are only logged: a cache failure must not fail the run.
    pub(super) fn write(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) {
        let path = self.path(name);
        if path.exists() {
            return;
        }
        let write = || {
            let mut part = tempfile::Builder::new().prefix(PART).tempfile_in(&self.place.folder)?;
            fill(part.as_file_mut())?;
            if part.as_file().metadata()?.len() <= self.place.limit {
                part.persist(&path)?;
            }
            Ok::<_, io::Error>(())
        };
        if let Err(error) = write() {
            tracing::warn!(name, %error, "cannot write to the cache");
        }
    }

    pub(super) fn remove(&self, name: &str) {
        // Another run may have removed it.
        let _ = fs::remove_file(self.path(name));
    }

    pub(super) fn trim(&self) {
        let Ok(lock) = File::create(self.path(LOCK)) else { return };
        if lock.try_lock().is_err() {
            // Another run is trimming.
            return;
        }
        let mut files = self.files();
        files.sort_by_key(|file| file.used);
        let mut size = files.iter().map(|file| file.size).sum::<u64>();
        for file in files {
            let is_part = file.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PART));
            let is_abandoned = is_part && file.used.elapsed().is_ok_and(|age| age > ABANDONED);
            if is_abandoned || !is_part && size > self.place.limit {
                let _ = fs::remove_file(&file.path);
                size -= file.size;
            }
        }
    }

    fn files(&self) -> Vec<Stored> {
        let entries = fs::read_dir(&self.place.folder).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_name() != LOCK).filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(Stored { path: entry.path(), used: metadata.modified().ok()?, size: metadata.len() })
        });
        files.collect()
    }
}

/// A file of the store.
struct Stored {
    path: PathBuf,
    used: SystemTime,
    size: u64,
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn store(limit: u64) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&CacheLocation { folder: folder.path().join("a/b"), limit }).unwrap();
        (folder, store)
    }

    fn read(store: &Store, name: &str) -> Option<String> {
        let mut text = String::new();
        store.open_file(name)?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    fn used(store: &Store, name: &str, ago: u64) {
        let file = File::open(store.path(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(ago)).unwrap();
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_never_changes() {
        let (_folder, store) = store(100);
        store.write("a", |file| file.write_all(b"one"));
        store.write("a", |file| file.write_all(b"two"));
        store.write("b", |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        store.write("too large", |file| file.write_all(&[0; 101]));
        assert_eq!(read(&store, "a").as_deref(), Some("one"));
        assert_eq!(store.files().len(), 1);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_what_killed_runs_left() {
        let (_folder, store) = store(100);
        for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
            store.write(name, |file| file.write_all(&[0; 40]));
            used(&store, name, 100 - number as u64);
        }
        for (name, ago) in [(".part-old", 7200), (".part-new", 10)] {
            fs::write(store.path(name), "x").unwrap();
            used(&store, name, ago);
        }
        read(&store, "a");
        store.trim();
        let mut left = store.files().iter().map(|file| file.path.file_name().unwrap().to_owned()).collect::<Vec<_>>();
        left.sort();
        assert_eq!(left, [".part-new", "a", "c"]);
    }

    #[test]
    fn a_store_that_another_run_trims_is_left_to_it() {
        let (_folder, store) = store(1);
        fs::write(store.path("a"), "large").unwrap();
        let lock = File::create(store.path(LOCK)).unwrap();
        lock.lock().unwrap();
        store.trim();
        assert_eq!(store.files().len(), 1);
        drop(lock);
        store.trim();
        assert_eq!(store.files().len(), 0);
    }
}
