//! Files that a run writes beside the image: the plan, the report, the digest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::failure::Failure;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    source: io::Error,
}

/// A file that appears together with the image. A file that cannot be written is detected before that.
#[derive(Debug)]
pub(crate) struct PendingFile {
    path: PathBuf,
    state: Mutex<PendingState>,
}

#[derive(Debug)]
enum PendingState {
    /// Written next to its final path, and renamed at the end.
    Beside(tempfile::NamedTempFile),
    /// A device or a pipe, which is written directly.
    InPlace(File),
    /// Nothing was written.
    Done,
}

impl PendingFile {
    /// Prepares a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::file("write", path, error);
        let state = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(there) if !there.is_file() => {
                PendingState::InPlace(File::options().write(true).open(path).map_err(failed)?)
            }
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let file =
                    tempfile::Builder::new().prefix(".pydock-").permissions(readable_by_all()).tempfile_in(folder);
                PendingState::Beside(file.map_err(failed)?)
            }
        };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// Writes the content.
    pub(crate) fn write(&self, text: &str) -> Result<(), FileError> {
        let mut state = self.lock();
        let written = match &mut *state {
            PendingState::Beside(file) => file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()),
            PendingState::InPlace(file) => file.write_all(text.as_bytes()),
            PendingState::Done => Ok(()),
        };
        written.map_err(|source| FileError { path: self.path.clone(), source })
    }

    /// Renames the file to its final path, or discards it if it is not wanted.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub(crate) fn finish(self, is_wanted: bool) -> Result<(), Failure> {
        let state = std::mem::replace(&mut *self.lock(), PendingState::Done);
        match state {
            PendingState::Beside(file) if is_wanted => {
                let placed = file.persist(&self.path).map_err(|error| error.error);
                placed.map(|_| ()).map_err(|error| Failure::file("write", &self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PendingState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn readable_by_all() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o644)
}
