//! What the steps of a run share.

use std::sync::Arc;

use super::SlimError;
use super::destination::Destination;
use super::results::Results;
use super::select::Selection;
use super::source::OpenSource;
use super::threads::Threads;
use crate::image::Descriptor;
use crate::options::SlimOptions;
use crate::progress::{MeteredReader, Progress, Stage, StopOnDrop};
use crate::transport::{Access, BlobReader, FileSlice};

/// What the steps of a run share. Its threads stop when it is dropped.
pub(super) struct Session<'a> {
    pub(super) options: &'a SlimOptions,
    pub(super) access: &'a Access,
    pub(super) source: OpenSource,
    /// `None` in a dry run.
    pub(super) destination: Option<Destination>,
    pub(super) results: Results,
    pub(super) threads: Threads,
    pub(super) progress: Arc<dyn Progress>,
    stop: StopOnDrop,
}

impl<'a> Session<'a> {
    /// Opens the destination and the cache.
    ///
    /// # Errors
    /// If one of them cannot be opened.
    pub(super) async fn open(
        options: &'a SlimOptions,
        access: &'a Access,
        source: OpenSource,
        selection: &Selection,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, SlimError> {
        Ok(Self {
            options,
            access,
            source,
            results: Results::open(options.cache.as_ref(), selection)?,
            destination: Destination::open(options, access).await?,
            threads: Threads::new(options.threads),
            progress,
            stop: StopOnDrop::default(),
        })
    }

    /// Opens a blob, which is verified as it is read. Reads from it advance the progress.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn blob(
        &self,
        stage: Stage,
        what: &str,
        descriptor: &Descriptor,
    ) -> Result<BlobReader, SlimError> {
        let blob = self.source.blob(descriptor).await?;
        Ok(Box::new(self.meter(blob.verified(descriptor), stage, what, descriptor)))
    }

    /// Opens a blob for reads at any offset, if the source has it in a file. Reads from it advance the progress.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn slice(
        &self,
        stage: Stage,
        what: &str,
        descriptor: &Descriptor,
    ) -> Result<Option<MeteredReader<FileSlice>>, SlimError> {
        let slice = self.source.slice(descriptor).await?;
        Ok(slice.map(|slice| self.meter(slice, stage, what, descriptor)))
    }

    fn meter<R>(&self, reader: R, stage: Stage, what: &str, descriptor: &Descriptor) -> MeteredReader<R> {
        let meter = self.progress.begin(stage, what, descriptor.size);
        MeteredReader::new(reader, meter, self.stop.flag())
    }

    /// Returns whether documents are attached to the new image.
    pub(super) fn attaches(&self) -> bool {
        self.options.attach && self.destination.as_ref().is_some_and(Destination::takes_attachments)
    }
}
