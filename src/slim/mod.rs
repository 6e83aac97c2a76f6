//! The flow, as one function that reads like the design.
//!
//! ```text
//! reference ──> source ──> scan ──> rootfs ──> plan ──> rewrite ──> sink
//! ```

mod base;
mod error;
mod images;
mod job;
mod keeping;
mod pile;
mod push;
mod recipe;
mod rewrite;
mod scan;
mod shared;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub use error::SlimError;

use crate::attach;
use crate::cache::{Cache, Place};
use crate::digest::Digest;
use crate::explain::explain;
use crate::image::base::layers_by_history;
use crate::image::index::Index;
use crate::image::rebuild::{LayerChange, Rebuilt, rebuild};
use crate::image::{Descriptor, Marks, marks, media_type};
use crate::inventory::Inventory;
use crate::layer::codec::SeekMap;
use crate::layering::{OutputLayer, Squash, groups, layering};
use crate::outcome::{ImageOutcome, LayerOutcome, Outcome};
use crate::plan::{Naming, Plan, plan};
use crate::profile::{RuleBook, Rules};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::request::{Choice, Decision, Request};
use crate::rootfs::Rootfs;
use crate::saved_plan::SavedPlan;
use crate::savings::{Saving, savings};
use crate::slim::images::{Image, Member, Selection};
use crate::slim::job::Job;
use crate::slim::push::Destination;
use crate::slim::rewrite::{MadeBlob, Wanted};
use crate::slim::scan::Scanned;
use crate::transport::{self, Access, TransportError};

/// Looks at the outcome of a run before the new image becomes visible; an error leaves the destination as it was. It is called
/// once, also if there is no destination or a gate is not met.
pub type Review<'a> = &'a (dyn Fn(&Outcome) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Sync);

/// Slims an image.
///
/// Opens the source, and for each image of it: scans the layers, merges them to a rootfs, plans what can go, and
/// rewrites the layers that change. Then, if the gates are met, writes everything to the destination, manifests last.
///
/// # Errors
/// As [`SlimError`] says; then the destination is as it was.
pub async fn slim(
    request: &Request,
    access: &Access,
    progress: Arc<dyn Progress>,
    review: Review<'_>,
) -> Result<Outcome, SlimError> {
    let name = request.source.to_string();
    let source = transport::open(&request.source, access).await;
    let source = source.map_err(|source| SlimError::Source { image: name.clone(), source })?;
    let cache = open_cache(request.cache.as_ref())?;
    let mut job = Job::new(source, name, request.threads, progress).with_cache(cache);
    let selection = job.select(&request.platform).await?;
    let destination = open_destination(request, access).await?;
    if let Selection::Index { members, .. } = &selection {
        job = job.sharing(members);
    }

    let job = Arc::new(job);
    let mut run = Run::new(request, access, &job, destination.as_ref(), source_digest(&selection));
    let root = match selection {
        selection if run.was_slimmed(&selection) => run.copy(&selection).await?,
        Selection::One(image) => {
            let slimmed = run.slim_image(&image).await?;
            run.push_image(slimmed).await?
        }
        Selection::Index { index, members } => {
            let mut slimmed = Vec::new();
            for member in &members {
                slimmed.push(match member {
                    Member::Image(image) => run.slim_image(image).await?,
                    _ => None,
                });
            }
            run.push_index(&index, members, slimmed).await?
        }
    };
    if let Some(root) = &root {
        run.note_what_follows(&root.descriptor).await;
    }
    review(&run.outcome).map_err(SlimError::Review)?;
    if let Some(root) = root {
        run.publish(root).await?;
    }
    let outcome = run.outcome;
    job.settle_cache().await?;
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

/// The document that the destination is to point at.
struct Root {
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Root {
    fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

impl<'a> Run<'a> {
    fn new(
        request: &'a Request,
        access: &'a Access,
        job: &'a Arc<Job>,
        destination: Option<&'a Destination>,
        source: Digest,
    ) -> Self {
        let outcome = Outcome { source, root: None, images: Vec::new(), notes: Vec::new(), unmet: Vec::new() };
        Self { request, access, job, destination, outcome }
    }

    /// Tells whether pydock has made this image, and is not asked to slim it again.
    fn was_slimmed(&self, selection: &Selection) -> bool {
        let is_ours = |document| marks::source_digest(document).is_some();
        let marked = match selection {
            Selection::One(image) => is_ours(&image.manifest.json),
            Selection::Index { index, .. } => is_ours(&index.json),
        };
        let by_rules = matches!(self.request.decision, Decision::Rules(_));
        marked && by_rules && !self.request.again && self.destination.is_some()
    }

    /// Passes an image on as it is.
    async fn copy(&mut self, selection: &Selection) -> Result<Option<Root>, SlimError> {
        self.outcome
            .notes
            .push("pydock has slimmed this image before; it is copied as it is (--again slims it again)".to_owned());
        let too_large = |image: &Image| {
            let size = image.stack.layers.iter().map(|layer| layer.descriptor.size).sum();
            self.request.gates.too_large(&image.platform(), size)
        };
        self.outcome.unmet = selection.images().filter_map(too_large).collect();
        let Some(to) = self.destination.filter(|_| self.outcome.unmet.is_empty()) else { return Ok(None) };
        let root = match selection {
            Selection::One(image) => {
                self.job.pass_on_blobs(&image.manifest, to).await?;
                Root::new(&image.manifest.media_type, image.manifest.bytes.clone())
            }
            Selection::Index { index, .. } => {
                self.job.pass_on(&index.manifests, to).await?;
                Root::new(&index.media_type, index.bytes.clone())
            }
        };
        self.outcome.root = Some(root.descriptor.clone());
        Ok(Some(root))
    }

    /// Scans, plans and rewrites one image; in a dry run, scans and plans.
    async fn slim_image(&mut self, image: &Image) -> Result<Option<Slimmed>, SlimError> {
        let spool = self.destination.map(|destination| destination.sink.spool());
        let (naming, saved) = match &self.request.decision {
            Decision::Rules(choice) => (naming(choice, image)?, None),
            Decision::Saved(plans) => (Naming::default(), Some(self.saved_plan(plans, image)?)),
        };
        let Scanned { rootfs, evidence, maps } =
            self.job.scan(image, self.request.decision.takes_evidence(), spool).await?;
        let base = self.base_layers(image).await?;
        let rootfs = Arc::new(rootfs);
        let inventory = self.attaches().then(|| Inventory::new(&rootfs, &evidence));
        let plan = match saved {
            Some(plan) => plan.clone(),
            None => {
                let (rootfs, config) = (rootfs.clone(), image.config.clone());
                let plan = tokio::task::spawn_blocking(move || plan(&rootfs, &config, base, naming, evidence));
                plan.await.map_err(|_| TransportError::Stopped)?
            }
        };
        let inventory = inventory.map(|inventory| inventory.without(&plan));
        let groups = groups(self.request.squash, image.stack.layers.len(), base.unwrap_or(0));
        let (savings, outputs) = self.apply(&plan, image, &rootfs, &groups)?;
        let slimmed = self.rewrite(image, &plan, outputs, &maps).await?;
        self.record(image, &rootfs, plan, savings, inventory, slimmed.as_ref());
        Ok(slimmed.map(|(slimmed, _)| slimmed))
    }

    fn saved_plan<'p>(&self, plans: &'p SavedPlan, image: &Image) -> Result<&'p Plan, SlimError> {
        let plan = plans.of(Digest::of(&image.manifest.bytes));
        plan.map_err(|source| SlimError::Plan { image: self.job.image.clone(), source })
    }

    /// Returns how many layers are the base image's. Only `--squash app` has to know it: for a plan, history is asked unless the person
    /// names the base.
    async fn base_layers(&mut self, image: &Image) -> Result<Option<usize>, SlimError> {
        if self.request.squash != Squash::App && self.request.base.is_none() {
            return Ok(layers_by_history(&image.config, &image.stack));
        }
        let base = self.job.base(image, self.request.base.as_ref(), self.access).await?;
        if self.request.squash == Squash::App {
            self.outcome.notes.push(format!(
                "{}: the base image is the lowest {} of {} layers, found by {}",
                image.platform(),
                base.layers,
                image.stack.layers.len(),
                base.found_by
            ));
        }
        Ok(Some(base.layers))
    }

    /// Tells what a plan saves, and what it makes of the layers.
    fn apply(
        &self,
        plan: &Plan,
        image: &Image,
        rootfs: &Rootfs,
        groups: &[Range<usize>],
    ) -> Result<(Vec<Saving>, Vec<OutputLayer>), SlimError> {
        let misfit = |source| SlimError::PlanPath { image: self.job.image.clone(), source };
        let removed = plan.removed_nodes(rootfs).map_err(misfit)?;
        let edited = plan.edited_nodes(rootfs).map_err(misfit)?;
        let packed = image.stack.layers.iter().map(|layer| layer.descriptor.size).collect::<Vec<_>>();
        Ok(rayon::join(|| savings(rootfs, plan, &packed), || layering(rootfs, &removed, &edited, groups)))
    }

    async fn rewrite(
        &mut self,
        image: &Image,
        plan: &Plan,
        outputs: Vec<OutputLayer>,
        maps: &[Option<Arc<SeekMap>>],
    ) -> Result<Option<(Slimmed, Vec<LayerChange>)>, SlimError> {
        let Some(destination) = self.destination else { return Ok(None) };
        let spool = destination.sink.spool();
        let wanted = Wanted {
            compression: self.request.compression.or(destination.sink.usual_compression()),
            recompress: self.request.recompress,
            level: self.request.compression_level,
        };
        let new = self.job.rewrite(image, outputs, maps, wanted, spool).await?;
        let rebuilt = rebuild(&image.manifest, &image.config, &image.stack, &new.changes, &self.marks([plan]));
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
        inventory: Option<Inventory>,
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
            new: slimmed.map(|(slimmed, _)| slimmed.rebuilt.descriptor.clone()),
            layers: layers.collect(),
            savings,
            explanations: self.request.explain.iter().map(|path| explain(&plan, rootfs, path)).collect(),
            inventory,
            plan,
        };
        self.outcome.unmet.extend(self.request.gates.unmet(&outcome));
        self.outcome.images.push(outcome);
    }

    /// Returns what new documents tell of the run; by plan, so that applying a saved one gives the same.
    fn marks<'p>(&self, plans: impl IntoIterator<Item = &'p Plan>) -> Marks {
        let profiles = plans.into_iter().flat_map(Plan::profiles).map(str::to_owned).collect();
        let source_name = match &self.request.source {
            Reference::Registry(name) => Some(name.to_string()),
            _ => None,
        };
        let created = self.request.created.map(|time| humantime::format_rfc3339_seconds(time).to_string());
        Marks { source_name, profiles, created }
    }

    async fn push_image(&mut self, slimmed: Option<Slimmed>) -> Result<Option<Root>, SlimError> {
        let (Some(Slimmed { rebuilt, blobs }), Some(to)) = (slimmed, self.destination) else {
            return Ok(None);
        };
        self.outcome.root = Some(rebuilt.descriptor.clone());
        if !self.outcome.unmet.is_empty() {
            return Ok(None);
        }
        self.job.push_blobs(&rebuilt, blobs, to).await?;
        Ok(Some(Root { descriptor: rebuilt.descriptor, bytes: rebuilt.manifest }))
    }

    async fn push_index(
        &mut self,
        index: &Index,
        members: Vec<Member>,
        slimmed: Vec<Option<Slimmed>>,
    ) -> Result<Option<Root>, SlimError> {
        let mut entries = Vec::new();
        let to = self.destination.filter(|_| self.outcome.unmet.is_empty());
        for (member, slimmed) in members.into_iter().zip(slimmed) {
            match (member, slimmed) {
                (Member::Attestation(entry), _) => self.outcome.notes.push(format!(
                    "the attestation {} was dropped: it speaks of an image that will no longer be",
                    entry.digest
                )),
                (Member::Other { entry, why }, _) => {
                    let what = entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string);
                    self.outcome
                        .notes
                        .push(format!("{what} is copied unchanged: {why}; `--platform` selects one image"));
                    if let Some(to) = to {
                        self.job.pass_on(std::slice::from_ref(&entry), to).await?;
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
        if self.destination.is_none() {
            return Ok(None);
        }
        let root = Root::new(
            media_type::OCI_INDEX,
            index.with_manifests(&entries, &self.marks(self.outcome.images.iter().map(|image| &image.plan))),
        );
        self.outcome.root = Some(root.descriptor.clone());
        Ok(to.map(|_| root))
    }

    /// Makes the new image visible; in place of the old one only if that is still where it was.
    async fn publish(&mut self, root: Root) -> Result<(), SlimError> {
        let Some(to) = self.destination else { return Ok(()) };
        if self.attaches() {
            for (subject, artifact) in attach::artifacts(self.request, &self.outcome) {
                self.job.attach(&subject, &artifact, to).await?;
            }
        }
        // Last, for nothing keeps others from moving a tag meanwhile.
        if self.request.is_in_place() && self.job.root_digest().await? != self.outcome.source {
            return Err(SlimError::Moved { image: self.job.image.clone(), expected: self.outcome.source });
        }
        self.job.publish(&root.descriptor, &root.bytes, to).await
    }

    /// Tells whether documents are attached to the new image.
    fn attaches(&self) -> bool {
        self.request.attach && self.destination.is_some_and(|to| to.sink.takes_attachments())
    }

    /// Notes what a person may want to do next.
    async fn note_what_follows(&mut self, root: &Descriptor) {
        let source = self.outcome.source;
        // Registries and layouts keep what no tag points at.
        let keeps = matches!(self.request.source, Reference::Registry(_) | Reference::Layout(_));
        if self.request.is_in_place() && keeps && root.digest != source {
            let note = format!("`pydock undo {} --to {source}` brings the old image back", self.request.source);
            self.outcome.notes.push(note);
        }
        if let Some(Reference::Registry(to)) = &self.request.destination
            && self.job.is_signed(&source).await
        {
            self.outcome.notes.push(format!(
                "the old image is signed, and signatures do not carry over: `cosign sign {}/{}@{}` signs the new one",
                to.registry, to.repository, root.digest
            ));
        }
    }
}

/// Makes the rules for an image.
fn naming(choice: &Choice, image: &Image) -> Result<Naming, SlimError> {
    let env = |name: &str| image.config.env_value(name).map(str::to_owned);
    let mut rules = vec![Rules::new("--remove", choice.remove.clone(), &[])?];
    for profile in &choice.profiles {
        rules.push(Rules::of_profile(profile, &env)?);
    }
    let keep = Rules::new("--keep", choice.keep.clone(), &[])?;
    Ok(Naming::new(RuleBook::new(rules)?, RuleBook::new(vec![keep])?))
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
    match transport::create(reference, &request.tags, &request.source, access).await {
        Ok(sink) => Ok(Some(Destination { sink, name })),
        Err(source) => Err(SlimError::Destination { destination: name, source }),
    }
}
