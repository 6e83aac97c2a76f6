//! Documents attached to a new image: provenance (how it was made), report (what was removed), SBOM (what is left).
//! Pure.
//!
//! Spec: image-spec `manifest.md`, "Guidelines for Artifact Usage".

pub mod provenance;
pub mod sbom;

use crate::image::Descriptor;
use crate::image::artifact::Artifact;
use crate::options::SlimOptions;
use crate::outcome::{ImageOutcome, Outcome};
use crate::report::Report;

/// Media type of the report.
const REPORT: &str = "application/vnd.pydock.report.v2+json";

/// Returns the artifacts to attach, each with its subject. Every changed image gets all three documents, an index gets
/// a report on the whole index.
pub fn artifacts(options: &SlimOptions, outcome: &Outcome) -> Vec<(Descriptor, Artifact)> {
    let mut artifacts = Vec::new();
    let mut report = Report::new(options, outcome);
    for (image, of_image) in outcome.images.iter().zip(std::mem::take(&mut report.images)) {
        let Some(new) = image.new.as_ref().filter(|new| new.digest != image.source) else { continue };
        report.images = vec![of_image];
        artifacts.extend(of_one(options, image, new, &report));
    }
    artifacts.extend(of_index(options, outcome));
    artifacts
}

fn of_one(
    options: &SlimOptions,
    image: &ImageOutcome,
    new: &Descriptor,
    report: &Report,
) -> Vec<(Descriptor, Artifact)> {
    let mut artifacts = vec![
        Artifact::new(REPORT, report.to_json().into_bytes()),
        provenance::artifact(options, new, image.source, &image.plan),
    ];
    artifacts.extend(image.inventory.as_ref().map(sbom::artifact));
    artifacts.into_iter().map(|artifact| (new.clone(), artifact)).collect()
}

/// Returns the report on a new index as a whole, which users may query by itself.
fn of_index(options: &SlimOptions, outcome: &Outcome) -> Option<(Descriptor, Artifact)> {
    let root = outcome.root.as_ref().filter(|root| root.digest != outcome.source)?;
    let is_index = outcome.images.iter().all(|image| image.new.as_ref() != Some(root));
    let report = Report::new(options, outcome).to_json().into_bytes();
    is_index.then(|| (root.clone(), Artifact::new(REPORT, report)))
}
