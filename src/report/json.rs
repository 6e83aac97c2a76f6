//! The complete report as JSON. Its schema is `docs/report.schema.json`.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::rebuild::LayerChange;
use crate::layer::codec::Compression;
use crate::options::SlimOptions;
use crate::outcome::{ImageOutcome, LayerOutcome, Outcome};
use crate::plan::{Edited, Kept, KeptPackage, Removed, RemovedPackage};
use crate::rootfs_path::RootfsPath;
use crate::savings::Saving;

/// Version of the format. It is raised when the meaning of a key changes or a key is removed.
pub const VERSION: u32 = 2;

/// What a run did. Sizes are in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the format.
    pub version: u32,
    /// Version of pydock.
    pub pydock: String,
    /// The image that was read.
    pub source: ImageDigest,
    /// The new image, written or not; none in a dry run.
    pub destination: Option<ImageDigest>,
    /// Whether the new image was written: not in a dry run, and not if a gate was not met.
    pub written: bool,
    /// Which layers were squashed.
    pub squash: String,
    /// The result for each image. An index has several.
    pub images: Vec<ImageReport>,
    /// Further notes.
    pub notes: Vec<String>,
    /// The gates that were not met, as messages.
    pub unmet_gates: Vec<String>,
}

/// A reference and the digest that it points to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageDigest {
    /// The reference.
    pub reference: String,
    /// Digest of its manifest or index.
    pub digest: Digest,
}

/// The result for one image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Digest of the old manifest.
    pub source_digest: Digest,
    /// Digest of the new manifest; none in a dry run.
    pub digest: Option<Digest>,
    /// Size before.
    pub before: Sizes,
    /// Size after; none in a dry run.
    pub after: Option<Sizes>,
    /// What each profile saves.
    pub savings: Vec<Saving>,
    /// The result for each layer.
    pub layers: Vec<LayerReport>,
    /// Removed paths.
    pub removed: Vec<Removed>,
    /// Paths that a rule matches but that were kept.
    pub kept: Vec<Kept>,
    /// Files with edited content: package databases, RECORD files.
    pub edited: Vec<EditedReport>,
    /// Removed operating-system packages.
    pub removed_packages: Vec<RemovedPackage>,
    /// Kept operating-system packages, each with the reason.
    pub kept_packages: Vec<KeptPackage>,
    /// Files that could not be read, or not completely, so that evidence may be missing.
    pub unread: Vec<String>,
}

/// A file with edited content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditedReport {
    /// The file.
    pub path: RootfsPath,
    /// Digest of its new content.
    pub digest: Digest,
    /// Size of its new content.
    pub size: usize,
}

/// The size of an image.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sizes {
    /// Number of layers.
    pub layers: usize,
    /// Compressed size of the layers.
    pub compressed: u64,
    /// Uncompressed size of the layers.
    pub uncompressed: u64,
}

/// The result for one layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// Digest of the old blob.
    pub source_digest: Digest,
    /// Size of the old blob.
    pub compressed_before: u64,
    /// Uncompressed size of the old layer.
    pub uncompressed_before: u64,
    /// Its line of history.
    pub created_by: Option<String>,
    /// `kept`, `rewritten`, `removed`, or none in a dry run.
    pub change: Option<String>,
    /// Digest of the new blob.
    pub digest: Option<Digest>,
    /// Size of the new blob.
    pub compressed_after: Option<u64>,
    /// Uncompressed size of the new layer.
    pub uncompressed_after: Option<u64>,
    /// How the new blob is compressed, if the layer was rewritten.
    pub compression: Option<Compression>,
}

impl Report {
    /// Creates the report of a run.
    pub fn new(options: &SlimOptions, outcome: &Outcome) -> Self {
        let destination = options.destination.as_ref().zip(outcome.root.as_ref());
        Self {
            version: VERSION,
            pydock: env!("CARGO_PKG_VERSION").to_owned(),
            source: ImageDigest { reference: options.source.to_string(), digest: outcome.source },
            destination: destination
                .map(|(reference, root)| ImageDigest { reference: reference.to_string(), digest: root.digest }),
            written: outcome.root.is_some() && outcome.unmet.is_empty(),
            squash: options.squash.to_string(),
            images: outcome.images.iter().map(ImageReport::new).collect(),
            notes: outcome.notes.iter().map(ToString::to_string).collect(),
            unmet_gates: outcome.unmet.iter().map(ToString::to_string).collect(),
        }
    }

    /// Returns the report as JSON.
    ///
    /// # Panics
    /// Never: a report has no value that JSON cannot hold.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| panic!("{error}")) + "\n"
    }
}

impl ImageReport {
    fn new(image: &ImageOutcome) -> Self {
        let after = image.compressed_after().zip(image.uncompressed_after());
        let left = image.layers.iter().filter(|layer| layer.change != Some(LayerChange::Drop)).count();
        Self {
            platform: image.platform.clone(),
            source_digest: image.source,
            digest: image.new.as_ref().map(|new| new.digest),
            before: Sizes {
                layers: image.layers.len(),
                compressed: image.compressed_before(),
                uncompressed: image.uncompressed_before(),
            },
            after: after.map(|(compressed, uncompressed)| Sizes { layers: left, compressed, uncompressed }),
            savings: image.savings.clone(),
            layers: image.layers.iter().map(LayerReport::new).collect(),
            removed: image.plan.removed.clone(),
            kept: image.plan.kept.clone(),
            edited: image.plan.edits.iter().map(EditedReport::new).collect(),
            removed_packages: image.plan.removed_packages.clone(),
            kept_packages: image.plan.kept_packages.clone(),
            unread: image.plan.unread.iter().map(ToString::to_string).collect(),
        }
    }
}

impl EditedReport {
    fn new(edit: &Edited) -> Self {
        let bytes = edit.content.0.as_slice();
        Self { path: edit.path.clone(), digest: Digest::of(bytes), size: bytes.len() }
    }
}

impl LayerReport {
    fn new(layer: &LayerOutcome) -> Self {
        let mut report = Self {
            source_digest: layer.source.digest,
            compressed_before: layer.source.size,
            uncompressed_before: layer.uncompressed,
            created_by: layer.created_by.clone(),
            change: None,
            digest: None,
            compressed_after: None,
            uncompressed_after: None,
            compression: None,
        };
        match &layer.change {
            None => {}
            Some(LayerChange::Keep) => {
                report.change = Some("kept".to_owned());
                report.digest = Some(layer.source.digest);
                report.compressed_after = Some(layer.source.size);
                report.uncompressed_after = Some(layer.uncompressed);
            }
            Some(LayerChange::Replace { layer, compression, .. }) => {
                report.change = Some("rewritten".to_owned());
                report.digest = Some(layer.blob.digest);
                report.compressed_after = Some(layer.blob.size);
                report.uncompressed_after = Some(layer.tar.size);
                report.compression = Some(*compression);
            }
            Some(LayerChange::Drop) => report.change = Some("removed".to_owned()),
        }
        report
    }
}
