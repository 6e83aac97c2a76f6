//! A file, or a part of one, that holds a blob.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use crate::blob::ReadAt;

/// Some bytes of an open file.
#[derive(Debug)]
pub struct FileSlice {
    /// The file.
    pub file: File,
    /// Where the bytes start.
    pub start: u64,
    /// How many they are.
    pub size: u64,
}

impl FileSlice {
    /// All bytes of a file.
    ///
    /// # Errors
    /// If its size cannot be had.
    pub fn whole(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, start: 0, size })
    }

    /// Returns some of the bytes, as a slice of its own.
    ///
    /// # Errors
    /// If there are not so many, or the file cannot be opened once more.
    pub fn part(&self, from: u64, size: u64) -> io::Result<Self> {
        if from.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { file: self.file.try_clone()?, start: self.start + from, size })
    }

    /// Returns a reader from the first byte to the last.
    ///
    /// # Errors
    /// If the file cannot be positioned.
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
