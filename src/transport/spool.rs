//! Temporary blobs, in a folder that is removed at the end of the run.
//!
//! The folder holds a locked file. A run that was killed leaves its folder, but not its lock. The next run in the same
//! place finds that the file is not locked, and removes the folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::TransportError;
use super::slice::FileSlice;
use crate::blob::{BlobFacts, ReadAt, Scratch};

/// The prefix of the names of spools.
const PREFIX: &str = ".pydock-";
/// The name of the locked file.
const LOCK: &str = "lock";
/// A folder that has no lock after this time is abandoned.
const UNLOCKED_FOR: Duration = Duration::from_secs(60);

/// A folder for temporary blobs.
#[derive(Debug)]
pub struct Spool {
    folder: tempfile::TempDir,
    _lock: File,
    next: AtomicU64,
}

/// A finished blob in a spool.
#[derive(Debug)]
pub struct SpooledBlob {
    /// The path. The file is removed when the path is dropped.
    pub path: tempfile::TempPath,
    /// Digest and size.
    pub facts: BlobFacts,
}

impl Spool {
    /// Creates a spool in `place`, an existing folder, and removes the spools of killed runs in it.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn new(place: &Path) -> Result<Self, TransportError> {
        let make = || {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
            // The file is locked before it gets its name, so that another run never finds it unlocked.
            let unnamed = folder.path().join("lock.new");
            let lock = File::create(&unnamed)?;
            lock.lock()?;
            fs::rename(unnamed, folder.path().join(LOCK))?;
            Ok((folder, lock))
        };
        let (folder, lock) = make().map_err(TransportError::file("make a work folder in", place))?;
        if let Ok(own) = fs::metadata(folder.path()) {
            sweep(place, own.uid());
        }
        Ok(Self { folder, _lock: lock, next: AtomicU64::new(0) })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Creates a file without a name. It is removed when it is closed.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn scratch(&self) -> Result<ScratchFile, TransportError> {
        let file = tempfile::tempfile_in(self.path()).map_err(TransportError::file("write in", self.path()))?;
        Ok(ScratchFile(FileSlice { file, start: 0, size: 0 }))
    }

    /// Creates a file. It is removed when its path is dropped.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn file(&self) -> Result<(File, tempfile::TempPath), TransportError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path().join(format!("{number}.part"));
        let file = File::options()
            .write(true)
            .read(true)
            .create_new(true)
            .open(&path)
            .map_err(TransportError::file("create", &path))?;
        let path = tempfile::TempPath::try_from_path(&path).map_err(TransportError::file("create", &path))?;
        Ok((file, path))
    }
}

/// A file without a name.
#[derive(Debug)]
pub struct ScratchFile(FileSlice);

impl ReadAt for ScratchFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
}

impl Scratch for ScratchFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.0.size;
        self.0.file.write_all_at(bytes, start)?;
        self.0.size += bytes.len() as u64;
        Ok(start)
    }
}

/// Removes the abandoned spools of a user in `place`. Spools that cannot be removed are kept, because they do no harm.
fn sweep(place: &Path, user: u32) {
    let Ok(folders) = fs::read_dir(place) else { return };
    for folder in folders.flatten() {
        if folder.file_name().to_string_lossy().starts_with(PREFIX) && is_abandoned(&folder.path(), user) {
            tracing::debug!(folder = %folder.path().display(), "removing the work folder of a killed run");
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

fn is_abandoned(folder: &Path, user: u32) -> bool {
    // In a shared folder, other users can create such folders, with a link or a FIFO in them. Opening a FIFO blocks.
    // The folders of other users cannot be removed anyway.
    let Ok(metadata) = fs::symlink_metadata(folder) else { return false };
    if !metadata.is_dir() || metadata.uid() != user {
        return false;
    }
    let lock = folder.join(LOCK);
    match fs::symlink_metadata(&lock) {
        Ok(lock) if !lock.is_file() => return false,
        _ => {}
    }
    match File::open(lock) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => {
            let modified = metadata.modified();
            modified.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > UNLOCKED_FOR))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_is_removed_when_it_is_dropped_and_one_of_a_killed_run_by_the_next_run() {
        let place = tempfile::tempdir().unwrap();
        let count = || fs::read_dir(place.path()).unwrap().count();
        let killed = Spool::new(place.path()).unwrap();
        killed.file().unwrap().1.keep().unwrap();
        std::mem::forget(killed.folder);
        drop(killed._lock);
        let running = Spool::new(place.path()).unwrap();
        assert_eq!(count(), 1);
        drop(Spool::new(place.path()).unwrap());
        assert!(running.path().exists(), "the spool of a running job is kept");
        drop(running);
        assert_eq!(count(), 0);
    }
}
