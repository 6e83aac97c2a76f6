//! Progress reports of a long job.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::blob::ReadAt;

/// A stage of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A layer is read (and pulled).
    Scan,
    /// A layer is rewritten.
    Rewrite,
    /// A blob is written to the destination.
    Push,
}

/// Receives the progress of a job.
pub trait Progress: Send + Sync {
    /// Begins a piece of work of `total` bytes.
    fn begin(&self, stage: Stage, what: &str, total: u64) -> Box<dyn Meter>;
}

/// Receives the progress of one piece of work, which ends when this is dropped.
pub trait Meter: Send + Sync {
    /// Reports that more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Stage, _: &str, _: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }
}

impl Meter for Silent {
    fn advance(&self, _: u64) {}
}

/// Stops the threads of a run when it is dropped, however the run ends.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct StopOnDrop(Arc<AtomicBool>);

impl StopOnDrop {
    /// Returns a flag that becomes true when this is dropped.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A reader that reports to a meter and fails once the run has ended.
#[doc(hidden)]
pub struct MeteredReader<R> {
    inner: R,
    meter: Box<dyn Meter>,
    stop: Arc<AtomicBool>,
}

impl<R> MeteredReader<R> {
    /// Wraps `inner`.
    pub fn new(inner: R, meter: Box<dyn Meter>, stop: Arc<AtomicBool>) -> Self {
        Self { inner, meter, stop }
    }
}

impl<R: ReadAt> ReadAt for MeteredReader<R> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the job has ended"));
        }
        self.inner.read_at(buffer, offset)?;
        self.meter.advance(buffer.len() as u64);
        Ok(())
    }
}

impl<R: Read> Read for MeteredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the job has ended"));
        }
        let count = self.inner.read(buffer)?;
        self.meter.advance(count as u64);
        Ok(count)
    }
}
