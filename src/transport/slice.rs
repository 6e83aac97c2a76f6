//! A blob in a file or in a part of a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use crate::blob::ReadAt;

/// A range of bytes of an open file.
#[derive(Debug)]
pub struct FileSlice {
    /// The file.
    pub file: File,
    /// The offset of the first byte.
    pub start: u64,
    /// The number of bytes.
    pub size: u64,
}

impl FileSlice {
    /// Returns all bytes of a file.
    ///
    /// # Errors
    /// If its size cannot be read.
    pub fn whole(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, start: 0, size })
    }

    /// Returns `size` of the bytes, starting at offset `from`.
    ///
    /// # Errors
    /// If there are fewer bytes, or the file handle cannot be duplicated.
    pub fn part(&self, from: u64, size: u64) -> io::Result<Self> {
        if from.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { file: self.file.try_clone()?, start: self.start + from, size })
    }

    /// Returns a reader of all bytes.
    ///
    /// # Errors
    /// If the file cannot seek.
    pub fn reader(mut self) -> io::Result<impl Read + Send> {
        self.file.seek(SeekFrom::Start(self.start))?;
        Ok(self.file.take(self.size))
    }
}

impl ReadAt for FileSlice {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, self.start + offset)
    }
}
