//! Compresses runs of new bytes in chunks. The chunk boundaries depend neither on how the bytes arrive nor on which
//! thread compresses them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use super::Compression;
use super::bits::BitWriter;
use super::fresh::{Blocks, CHUNK};
use super::inflate::WINDOW;
use super::workers::{self, Workers};

/// The default level for seams (libdeflate). Seams have few bytes, but compressing them is most of the work where cuts
/// are close together (see docs/design/deflate.md).
const SEAM_LEVEL: u32 = 2;

/// Compresses runs of new bytes.
pub(super) struct Packer {
    level: u32,
    seam_level: u32,
    workers: Option<Workers>,
    is_in_run: bool,
    /// Bytes of the run that do not fill a chunk yet.
    rest: Vec<u8>,
    /// The bytes that precede them, at most [`WINDOW`].
    before: Vec<u8>,
    /// Chunks that are being compressed, in order.
    underway: VecDeque<Receiver<io::Result<Blocks>>>,
}

impl Packer {
    /// Creates a packer. `level` is a level of libdeflate; `None` selects the defaults.
    pub(super) fn new(level: Option<u32>, workers: Option<Workers>) -> Self {
        Self {
            level: level.unwrap_or(Compression::Gzip.usual_level()),
            seam_level: level.unwrap_or(SEAM_LEVEL),
            workers,
            is_in_run: false,
            rest: Vec::new(),
            before: Vec::new(),
            underway: VecDeque::new(),
        }
    }

    /// Adds bytes to the run. `tail` ends with the bytes that precede the run; it is used only when a run begins.
    pub(super) fn add(&mut self, mut bytes: &[u8], tail: &[u8], output: &mut BitWriter<impl Write>) -> io::Result<()> {
        if !bytes.is_empty() && !self.is_in_run {
            self.stand_after(tail);
            self.is_in_run = true;
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.rest.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() == CHUNK {
                self.pack_chunk(output)?;
            }
        }
        Ok(())
    }

    /// Ends the run and writes all of it.
    pub(super) fn end(&mut self, output: &mut BitWriter<impl Write>) -> io::Result<()> {
        self.end_at(self.level, output)
    }

    /// Ends a run before copied symbols. Bytes that do not fill a chunk are a seam.
    pub(super) fn end_seam(&mut self, output: &mut BitWriter<impl Write>) -> io::Result<()> {
        self.end_at(self.seam_level, output)
    }

    fn end_at(&mut self, level: u32, output: &mut BitWriter<impl Write>) -> io::Result<()> {
        self.is_in_run = false;
        if self.rest.is_empty() {
            return self.write_done(0, output);
        }
        let last = Blocks::new(level, &self.before, &self.rest)?;
        self.rest.clear();
        self.write_done(0, output)?;
        last.write(output)
    }

    fn pack_chunk(&mut self, output: &mut BitWriter<impl Write>) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.rest);
        self.stand_after(&chunk);
        let Some(workers) = &self.workers else {
            Blocks::new(self.level, &[], &chunk)?.write(output)?;
            self.rest = chunk;
            self.rest.clear();
            return Ok(());
        };
        let (level, ahead) = (self.level, workers.ahead);
        self.underway.push_back(workers.run(move || Blocks::new(level, &[], &chunk)));
        self.write_done(ahead, output)
    }

    /// Queues the blocks that `make` returns after all earlier ones. The next bytes start a new run.
    pub(super) fn place(
        &mut self,
        make: impl FnOnce() -> Blocks + Send + 'static,
        output: &mut BitWriter<impl Write>,
    ) -> io::Result<()> {
        let Some(workers) = &self.workers else { return make().write(output) };
        let ahead = workers.ahead;
        self.underway.push_back(workers.run(move || Ok(make())));
        self.write_done(ahead, output)
    }

    fn stand_after(&mut self, bytes: &[u8]) {
        self.before.clear();
        self.before.extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW)..]);
    }

    /// Writes finished chunks until at most `ahead` are in progress.
    fn write_done(&mut self, ahead: usize, output: &mut BitWriter<impl Write>) -> io::Result<()> {
        while self.underway.len() > ahead
            && let Some(first) = self.underway.pop_front()
        {
            workers::wait(&first)?.write(output)?;
        }
        Ok(())
    }
}
