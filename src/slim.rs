//! The flow, as one function that reads like the design.
//!
//! ```text
//! reference ──> source ──> scan ──> rootfs ──> plan ──> rewrite ──> sink
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::{Cache, Place};
use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::explain::{Explanation, explain};
use crate::image::index::Index;
use crate::image::rebuild::{LayerChange, Rebuilt, rebuild};
use crate::image::{Descriptor, PlatformChoice, media_type};
use crate::job::images::{Image, Member, Selection};
use crate::job::push::Destination;
use crate::job::rewrite::{MadeBlob, Wanted};
use crate::job::scan::Scanned;
use crate::job::{Job, SlimError};
use crate::layer::codec::{BlockMap, Compression};
use crate::layering::{OutputLayer, Squash, groups, layering};
use crate::plan::{Plan, plan};
use crate::profile::{Profile, RuleBook, Rules};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::rootfs::Rootfs;
use crate::rootfs_path::RootfsPath;
use crate::saved_plan::{ImagePlan, SavedPlan, VERSION};
use crate::savings::{Saving, savings};
use crate::transport::{self, Access};

/// What to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image to slim.
    pub source: Reference,
    /// Where to write the new one; `None` for a dry run.
    pub destination: Option<Reference>,
    /// Which platforms of an index.
    pub platform: PlatformChoice,
    /// What decides what goes.
    pub decision: Decision,
    /// Which layers become one.
    pub squash: Squash,
    /// The base image, if the person names it.
    pub base: Option<Reference>,
    /// How new layers are compressed; `None`: gzip, and layers that stay are left as they are.
    pub compression: Option<Compression>,
    /// The level at which bytes are compressed; `None` for the compression's usual one.
    pub compression_level: Option<u32>,
    /// Whether what stays of rewritten layers is compressed anew, rather than copied in compressed blocks.
    pub recompress: bool,
    /// What the new image must reach to be written.
    pub gates: Gates,
    /// How many layers are worked on at once.
    pub threads: usize,
    /// Where earlier runs may have left what they learned and made, and where this one will.
    pub cache: Option<Place>,
    /// Paths to explain.
    pub explain: Vec<RootfsPath>,
}

/// What decides what goes.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Rules.
    Rules(Choice),
    /// A plan that was made before.
    Saved(SavedPlan),
}

/// Which rules.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Profiles, in the order in which they claim paths.
    pub profiles: Vec<Profile>,
    /// Globs of further paths that go.
    pub remove: Vec<String>,
    /// Globs of paths that stay, whatever a rule says.
    pub keep: Vec<String>,
}

/// What the new image must reach to be written. Sizes are those of the compressed layers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gates {
    /// At most this many bytes.
    pub max_size: Option<u64>,
    /// At least this much less.
    pub min_saving: Option<MinSaving>,
}

/// How much must be saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinSaving {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the old size.
    Percent(f64),
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Digest of the old manifest or index.
    pub source: Digest,
    /// Descriptor of the new manifest or index; `None` after a dry run.
    pub root: Option<Descriptor>,
    /// What became of each image.
    pub images: Vec<ImageOutcome>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// The gates that were not met, in words; if there are any, nothing was written.
    pub unmet: Vec<String>,
}

/// What became of one image.
#[derive(Debug, Clone)]
pub struct ImageOutcome {
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Digest of the old manifest.
    pub source: Digest,
    /// Digest of the new manifest; `None` after a dry run.
    pub digest: Option<Digest>,
    /// What became of each layer.
    pub layers: Vec<LayerOutcome>,
    /// What each profile saves.
    pub savings: Vec<Saving>,
    /// What goes and what stays.
    pub plan: Plan,
    /// Why the paths that were asked for stay or go.
    pub explanations: Vec<Explanation>,
}

/// What became of one layer. Sizes are in bytes.
#[derive(Debug, Clone)]
pub struct LayerOutcome {
    /// The old blob.
    pub source: Descriptor,
    /// Size of the old layer, decompressed.
    pub bytes: u64,
    /// Its line of history.
    pub created_by: Option<String>,
    /// What it became; `None` after a dry run.
    pub change: Option<LayerChange>,
}

impl ImageOutcome {
    /// Returns the compressed size of the old layers.
    pub fn packed_before(&self) -> u64 {
        self.layers.iter().map(|layer| layer.source.size).sum()
    }

    /// Returns the decompressed size of the old layers.
    pub fn bytes_before(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }

    /// Returns the compressed size of the new layers; `None` after a dry run.
    pub fn packed_after(&self) -> Option<u64> {
        self.sum_after(|layer| layer.blob.size, |old| old.source.size)
    }

    /// Returns the decompressed size of the new layers; `None` after a dry run.
    pub fn bytes_after(&self) -> Option<u64> {
        self.sum_after(|layer| layer.tar.size, |old| old.bytes)
    }

    fn sum_after(
        &self,
        new: impl Fn(&crate::layer::rewrite::Rewritten) -> u64,
        kept: impl Fn(&LayerOutcome) -> u64,
    ) -> Option<u64> {
        let sizes = self.layers.iter().map(|layer| match layer.change.as_ref()? {
            LayerChange::Keep => Some(kept(layer)),
            LayerChange::Replace { layer, .. } => Some(new(layer)),
            LayerChange::Drop => Some(0),
        });
        sizes.sum()
    }
}

impl Outcome {
    /// Returns the plans of all images, as a file holds them.
    pub fn saved_plan(&self) -> SavedPlan {
        SavedPlan {
            version: VERSION,
            source: self.source,
            images: self
                .images
                .iter()
                .map(|image| ImagePlan {
                    manifest: image.source,
                    platform: image.platform.clone(),
                    plan: image.plan.clone(),
                })
                .collect(),
        }
    }
}

/// Slims an image.
///
/// Opens the source, and for each image of it: scans the layers, merges them to a rootfs, plans what can go, and
/// rewrites the layers that change. Then, if the gates are met, writes everything to the destination, manifests last.
///
/// # Errors
/// As [`SlimError`] says; then the destination is as it was.
pub async fn slim(request: &Request, access: &Access, progress: Arc<dyn Progress>) -> Result<Outcome, SlimError> {
    let name = request.source.to_string();
    let source = transport::open(&request.source, access).await;
    let source = source.map_err(|source| SlimError::Source { image: name.clone(), source })?;
    let cache = open_cache(request.cache.as_ref())?;
    let job = Arc::new(Job::new(source, name, request.threads, progress).with_cache(cache));
    let selection = job.select(&request.platform).await?;
    let destination = open_destination(request, access).await?;

    let mut run = Run {
        request,
        access,
        job: &job,
        destination: destination.as_ref(),
        outcome: Outcome {
            source: source_digest(&selection),
            root: None,
            images: Vec::new(),
            notes: Vec::new(),
            unmet: Vec::new(),
        },
    };
    match selection {
        Selection::One(image) => {
            let slimmed = run.slim_image(&image).await?;
            run.finish_image(slimmed).await?;
        }
        Selection::Index { index, members } => {
            let mut slimmed = Vec::new();
            for member in &members {
                slimmed.push(match member {
                    Member::Image(image) => run.slim_image(image).await?,
                    _ => None,
                });
            }
            run.finish_index(&index, members, slimmed).await?;
        }
    }
    let outcome = run.outcome;
    job.trim_cache().await?;
    Ok(outcome)
}

/// One run, as far as it has come.
struct Run<'a> {
    request: &'a Request,
    access: &'a Access,
    job: &'a Arc<Job>,
    destination: Option<&'a Destination>,
    outcome: Outcome,
}

/// A new image that has not been written yet.
struct Slimmed {
    rebuilt: Rebuilt,
    blobs: HashMap<Digest, MadeBlob>,
}

impl Run<'_> {
    /// Scans, plans and rewrites one image; in a dry run, scans and plans.
    async fn slim_image(&mut self, image: &Image) -> Result<Option<Slimmed>, SlimError> {
        let spool = self.destination.map(|destination| destination.sink.spool());
        let Scanned { rootfs, evidence, maps } = self.job.scan(image, spool).await?;
        let plan = self.decide(image, &rootfs, evidence)?;
        let misfit = |source| SlimError::PlanPath { image: self.job.image.clone(), source };
        let removed = plan.removed_nodes(&rootfs).map_err(misfit)?;
        let edited = plan.edited_nodes(&rootfs).map_err(misfit)?;
        let base = self.base_layers(image).await?;
        let groups = groups(self.request.squash, image.stack.layers.len(), base);
        let packed = image.stack.layers.iter().map(|layer| layer.descriptor.size).collect::<Vec<_>>();
        let (savings, outputs) = rayon::join(
            || savings(&rootfs, &plan, &removed, &packed),
            || layering(&rootfs, &removed, &edited, &groups),
        );
        let slimmed = self.rewrite(image, outputs, &maps).await?;
        self.record(image, &rootfs, plan, savings, slimmed.as_ref());
        Ok(slimmed.map(|(slimmed, _)| slimmed))
    }

    fn decide(&self, image: &Image, rootfs: &Rootfs, evidence: Evidence) -> Result<Plan, SlimError> {
        let choice = match &self.request.decision {
            Decision::Rules(choice) => choice,
            Decision::Saved(saved) => {
                let manifest = Digest::of(&image.manifest.bytes);
                let plan =
                    saved.of(manifest).map_err(|source| SlimError::Plan { image: self.job.image.clone(), source })?;
                return Ok(plan.clone());
            }
        };
        let env = |name: &str| image.config.env_value(name).map(str::to_owned);
        let mut rules = vec![Rules::new("--remove", choice.remove.clone(), &[])?];
        for profile in &choice.profiles {
            rules.push(Rules::of_profile(profile, &env)?);
        }
        let rules = RuleBook::new(rules)?;
        let keep = RuleBook::new(vec![Rules::new("--keep", choice.keep.clone(), &[])?])?;
        Ok(plan(rootfs, &image.config, &rules, &keep, evidence))
    }

    async fn base_layers(&mut self, image: &Image) -> Result<usize, SlimError> {
        if self.request.squash != Squash::App {
            return Ok(0);
        }
        let base = self.job.base(image, self.request.base.as_ref(), self.access).await?;
        self.outcome.notes.push(format!(
            "{}: the base image is the lowest {} of {} layers, found by {}",
            image.platform(),
            base.layers,
            image.stack.layers.len(),
            base.found_by
        ));
        Ok(base.layers)
    }

    async fn rewrite(
        &mut self,
        image: &Image,
        outputs: Vec<OutputLayer>,
        maps: &[Option<Arc<BlockMap>>],
    ) -> Result<Option<(Slimmed, Vec<LayerChange>)>, SlimError> {
        let Some(destination) = self.destination else { return Ok(None) };
        let spool = destination.sink.spool();
        let wanted = Wanted {
            compression: self.request.compression,
            recompress: self.request.recompress,
            level: self.request.compression_level,
        };
        let new = self.job.rewrite(image, outputs, maps, wanted, spool).await?;
        let rebuilt = rebuild(&image.manifest, &image.config, &image.stack, &new.changes);
        if !image.stack.history_fits && !image.config.history().is_empty() {
            let note = "the history tells of another number of layers than there are; it is left out if layers go";
            self.outcome.notes.push(format!("{}: {note}", image.platform()));
        }
        let blobs = new.blobs;
        Ok(Some((Slimmed { rebuilt, blobs }, new.changes)))
    }

    fn record(
        &mut self,
        image: &Image,
        rootfs: &Rootfs,
        plan: Plan,
        savings: Vec<Saving>,
        slimmed: Option<&(Slimmed, Vec<LayerChange>)>,
    ) {
        let history = image.config.history();
        let created_by = |line: usize| history[line].get("created_by")?.as_str().map(str::to_owned);
        let layers = image.stack.layers.iter().enumerate().map(|(index, layer)| LayerOutcome {
            source: layer.descriptor.clone(),
            bytes: rootfs.layers()[index].size,
            created_by: layer.history.and_then(created_by),
            change: slimmed.map(|(_, changes)| changes[index].clone()),
        });
        let outcome = ImageOutcome {
            platform: image.platform(),
            source: Digest::of(&image.manifest.bytes),
            digest: slimmed.map(|(slimmed, _)| slimmed.rebuilt.descriptor.digest),
            layers: layers.collect(),
            savings,
            explanations: self.request.explain.iter().map(|path| explain(&plan, rootfs, path)).collect(),
            plan,
        };
        self.outcome.unmet.extend(self.request.gates.unmet(&outcome));
        self.outcome.images.push(outcome);
    }

    async fn finish_image(&mut self, slimmed: Option<Slimmed>) -> Result<(), SlimError> {
        let (Some(Slimmed { rebuilt, blobs }), Some(to)) = (slimmed, self.destination) else {
            return Ok(());
        };
        self.outcome.root = Some(rebuilt.descriptor.clone());
        if self.outcome.unmet.is_empty() {
            self.job.push_blobs(&rebuilt, blobs, to).await?;
            self.job.publish(&rebuilt.descriptor, &rebuilt.manifest, to).await?;
        }
        Ok(())
    }

    async fn finish_index(
        &mut self,
        index: &Index,
        members: Vec<Member>,
        slimmed: Vec<Option<Slimmed>>,
    ) -> Result<(), SlimError> {
        let mut entries = Vec::new();
        let to = self.destination.filter(|_| self.outcome.unmet.is_empty());
        for (member, slimmed) in members.into_iter().zip(slimmed) {
            match (member, slimmed) {
                (Member::Attestation(entry), _) => self.outcome.notes.push(format!(
                    "the attestation {} was dropped: it speaks of an image that will no longer be",
                    entry.digest
                )),
                (Member::Other(entry), _) => {
                    if let Some(to) = to {
                        self.job.pass_on(&entry, to).await?;
                    }
                    entries.push(entry);
                }
                (Member::Image(image), Some(Slimmed { rebuilt, blobs })) => {
                    if let Some(to) = to {
                        self.job.push_blobs(&rebuilt, blobs, to).await?;
                        self.job.push_manifest(&rebuilt, to).await?;
                    }
                    entries.push(index_entry(&image, &rebuilt));
                }
                (Member::Image(_), None) => {}
            }
        }
        if self.destination.is_some() {
            let bytes = index.with_manifests(&entries);
            let root = Descriptor::of(media_type::OCI_INDEX, &bytes);
            if let Some(to) = to {
                self.job.publish(&root, &bytes, to).await?;
            }
            self.outcome.root = Some(root);
        }
        Ok(())
    }
}

/// Returns the index entry of a new image: the old one's platform and annotations, the new one's digest.
fn index_entry(image: &Image, rebuilt: &Rebuilt) -> Descriptor {
    let mut entry = image.entry.clone().unwrap_or_else(|| rebuilt.descriptor.clone());
    entry.media_type.clone_from(&rebuilt.descriptor.media_type);
    entry.digest = rebuilt.descriptor.digest;
    entry.size = rebuilt.descriptor.size;
    entry
}

fn source_digest(selection: &Selection) -> Digest {
    match selection {
        Selection::One(image) => Digest::of(&image.manifest.bytes),
        Selection::Index { index, .. } => Digest::of(&index.bytes),
    }
}

fn open_cache(place: Option<&Place>) -> Result<Option<Arc<Cache>>, SlimError> {
    let Some(place) = place else { return Ok(None) };
    match Cache::open(place) {
        Ok(cache) => Ok(Some(cache.into())),
        Err(source) => Err(SlimError::Cache { folder: place.folder.display().to_string(), source }),
    }
}

async fn open_destination(request: &Request, access: &Access) -> Result<Option<Destination>, SlimError> {
    let Some(reference) = &request.destination else { return Ok(None) };
    let name = reference.to_string();
    match transport::create(reference, &request.source, access).await {
        Ok(sink) => Ok(Some(Destination { sink, name })),
        Err(source) => Err(SlimError::Destination { destination: name, source }),
    }
}

impl Gates {
    /// Returns the gates that an image does not meet, in words.
    fn unmet(&self, image: &ImageOutcome) -> Vec<String> {
        let Some(after) = image.packed_after() else { return Vec::new() };
        let before = image.packed_before();
        let saved = before.saturating_sub(after);
        let mut unmet = Vec::new();
        if let Some(limit) = self.max_size.filter(|&limit| after > limit) {
            unmet.push(format!("{}: {after} bytes are more than --max-size {limit}", image.platform));
        }
        let (missed, wanted) = match self.min_saving {
            Some(MinSaving::Bytes(bytes)) => (saved < bytes, format!("{bytes} bytes")),
            Some(MinSaving::Percent(percent)) => {
                ((saved as f64) * 100.0 < percent * before as f64, format!("{percent}%"))
            }
            None => (false, String::new()),
        };
        if missed {
            unmet.push(format!(
                "{}: saving {saved} of {before} bytes is less than --min-saving {wanted}",
                image.platform
            ));
        }
        unmet
    }
}
