//! The flow, as one function that reads like the design.
//!
//! ```text
//! reference ──> source ──> scan ──> rootfs ──> plan ──> rewrite ──> sink
//! ```
//!
//! Each step is a function of one file, with the same name. It takes the output of the step before.

mod base;
mod blobs;
mod copy;
mod destination;
mod error;
mod layering;
mod merge;
mod plan;
mod publish;
mod recipe;
mod results;
mod rewrite;
mod scan;
mod select;
mod session;
mod slimmed;
mod source;
mod threads;

use std::sync::Arc;

pub use error::SlimError;

use base::base;
use copy::{copy, is_copied};
use layering::layering;
use merge::merge;
use plan::{Planner, plan};
use publish::{publish, push};
use rewrite::rewrite;
use scan::scan;
use select::select;
use session::Session;
use source::OpenSource;

use crate::explain::Explanation;
use crate::options::SlimOptions;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::rootfs_path::RootfsPath;
use crate::transport::Access;

/// Sees the outcome of a run before the new image becomes visible. An error leaves the destination unchanged. It is
/// called once, also in a dry run and if a gate is not met.
pub type Review<'a> = &'a (dyn Fn(&Outcome) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Sync);

/// Slims an image, or all images of an index. Without a destination, nothing is written: a dry run.
///
/// # Errors
/// As [`SlimError`] describes. The destination is then unchanged.
pub async fn slim(
    options: &SlimOptions,
    access: &Access,
    progress: Arc<dyn Progress>,
    review: Review<'_>,
) -> Result<Outcome, SlimError> {
    let source = OpenSource::open(&options.source, access).await?;
    let selection = select(&source, &options.platform).await?;
    let session = Session::open(options, access, source, &selection, progress).await?;
    if is_copied(&session, &selection) {
        let copied = copy(&session, &selection).await?;
        return publish(&session, copied, review).await;
    }
    let mut slimmed = Vec::new();
    for image in selection.images() {
        let planner = Planner::new(&session, image)?;
        let base = base(&session, image).await?;
        let layers = scan(&session, image).await?;
        let merged = merge(&session, image, layers).await?;
        let planned = plan(&session, image, merged, base, planner).await?;
        let layered = layering(&session, image, planned).await?;
        slimmed.push(rewrite(&session, image, layered).await?);
    }
    let pushed = push(&session, selection, slimmed).await?;
    publish(&session, pushed, review).await
}

/// Plans what would be removed, and writes nothing.
///
/// # Errors
/// As [`SlimError`] describes.
pub async fn plan_only(
    options: &SlimOptions,
    access: &Access,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, SlimError> {
    let options = SlimOptions { destination: None, ..options.clone() };
    slim(&options, access, progress, &|_| Ok(())).await
}

/// Explains why paths are kept or removed: for each image its platform, and one explanation for each path.
///
/// # Errors
/// As [`SlimError`] describes.
pub async fn explain(
    options: &SlimOptions,
    paths: &[RootfsPath],
    access: &Access,
    progress: Arc<dyn Progress>,
) -> Result<Vec<(String, Vec<Explanation>)>, SlimError> {
    let options = SlimOptions { explain: paths.to_vec(), ..options.clone() };
    let outcome = plan_only(&options, access, progress).await?;
    Ok(outcome.images.into_iter().map(|image| (image.platform, image.explanations)).collect())
}
