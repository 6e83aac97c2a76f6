//! The whole report as JSON; its schema is `docs/report.schema.json`.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::rebuild::LayerChange;
use crate::layer::codec::Compression;
use crate::outcome::{ImageOutcome, LayerOutcome, Outcome};
use crate::plan::{Edited, Kept, KeptPackage, Removed, RemovedPackage};
use crate::request::Request;
use crate::rootfs_path::RootfsPath;
use crate::savings::Saving;

/// Version of the format; raised when a key changes its meaning or goes.
pub const VERSION: u32 = 1;

/// What a run did. Sizes are in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the format.
    pub version: u32,
    /// Version of pydock.
    pub pydock: String,
    /// The image that was read.
    pub source: Place,
    /// The image that was written; none in a dry run.
    pub destination: Option<Place>,
    /// Whether the new image was written: not in a dry run, nor when a gate was not met.
    pub written: bool,
    /// Which layers became one.
    pub squash: String,
    /// What became of each image; an index has several.
    pub images: Vec<ImageReport>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// The gates that were not met, in words.
    pub unmet_gates: Vec<String>,
}

/// A reference and what it points at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// The reference.
    pub reference: String,
    /// Digest of its manifest or index.
    pub digest: Digest,
}

/// What became of one image.
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
    /// What became of each layer.
    pub layers: Vec<LayerReport>,
    /// Paths that went.
    pub removed: Vec<Removed>,
    /// Paths that a rule names but that stayed.
    pub kept: Vec<Kept>,
    /// Files that got another content: package databases, RECORD files.
    pub edited: Vec<EditedReport>,
    /// Operating-system packages that went.
    pub removed_packages: Vec<RemovedPackage>,
    /// Operating-system packages that stayed, and why.
    pub kept_packages: Vec<KeptPackage>,
    /// What could not be read, and so is evidence of nothing, or not of all.
    pub unread: Vec<String>,
}

/// A file that got another content.
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
    /// Bytes of the compressed layers.
    pub packed: u64,
    /// Bytes of the decompressed layers.
    pub bytes: u64,
}

/// What became of one layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// Digest of the old blob.
    pub source_digest: Digest,
    /// Size of the old blob.
    pub packed_before: u64,
    /// Size of the old layer, decompressed.
    pub bytes_before: u64,
    /// Its line of history.
    pub created_by: Option<String>,
    /// `kept`, `rewritten`, `dropped`, or none in a dry run.
    pub change: Option<String>,
    /// Digest of the new blob.
    pub digest: Option<Digest>,
    /// Size of the new blob.
    pub packed_after: Option<u64>,
    /// Size of the new layer, decompressed.
    pub bytes_after: Option<u64>,
    /// How the new blob is compressed, if it was made anew.
    pub compression: Option<Compression>,
}

impl Report {
    /// Tells what a run did.
    pub fn new(request: &Request, outcome: &Outcome) -> Self {
        let destination = request.destination.as_ref().zip(outcome.root.as_ref());
        Self {
            version: VERSION,
            pydock: env!("CARGO_PKG_VERSION").to_owned(),
            source: Place { reference: request.source.to_string(), digest: outcome.source },
            destination: destination
                .map(|(reference, root)| Place { reference: reference.to_string(), digest: root.digest }),
            written: outcome.root.is_some() && outcome.unmet.is_empty(),
            squash: request.squash.to_string(),
            images: outcome.images.iter().map(ImageReport::new).collect(),
            notes: outcome.notes.clone(),
            unmet_gates: outcome.unmet.clone(),
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
        let after = image.packed_after().zip(image.bytes_after());
        let left = image.layers.iter().filter(|layer| layer.change != Some(LayerChange::Drop)).count();
        Self {
            platform: image.platform.clone(),
            source_digest: image.source,
            digest: image.new.as_ref().map(|new| new.digest),
            before: Sizes { layers: image.layers.len(), packed: image.packed_before(), bytes: image.bytes_before() },
            after: after.map(|(packed, bytes)| Sizes { layers: left, packed, bytes }),
            savings: image.savings.clone(),
            layers: image.layers.iter().map(LayerReport::new).collect(),
            removed: image.plan.removed.clone(),
            kept: image.plan.kept.clone(),
            edited: image.plan.edits.iter().map(EditedReport::new).collect(),
            removed_packages: image.plan.removed_packages.clone(),
            kept_packages: image.plan.kept_packages.clone(),
            unread: image.plan.unread.clone(),
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
            packed_before: layer.source.size,
            bytes_before: layer.bytes,
            created_by: layer.created_by.clone(),
            change: None,
            digest: None,
            packed_after: None,
            bytes_after: None,
            compression: None,
        };
        match &layer.change {
            None => {}
            Some(LayerChange::Keep) => {
                report.change = Some("kept".to_owned());
                report.digest = Some(layer.source.digest);
                report.packed_after = Some(layer.source.size);
                report.bytes_after = Some(layer.bytes);
            }
            Some(LayerChange::Replace { layer, compression, .. }) => {
                report.change = Some("rewritten".to_owned());
                report.digest = Some(layer.blob.digest);
                report.packed_after = Some(layer.blob.size);
                report.bytes_after = Some(layer.tar.size);
                report.compression = Some(*compression);
            }
            Some(LayerChange::Drop) => report.change = Some("dropped".to_owned()),
        }
        report
    }
}
