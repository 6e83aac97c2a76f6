//! Writes new images to the destination, blobs first, and makes them visible.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::blobs::push_blob;
use super::copy::copy_entries;
use super::destination::Destination;
use super::select::{Image, Member, Selection};
use super::session::Session;
use super::slimmed::{NewImage, SlimmedImage, marks};
use super::{Review, SlimError};
use crate::attach;
use crate::image::index::Index;
use crate::image::rebuild::Rebuilt;
use crate::image::{Descriptor, media_type};
use crate::outcome::{Note, Outcome};
use crate::reference::Reference;

/// How many blobs are pushed at once.
const AT_ONCE: usize = 3;

/// What is complete at the destination, but not visible.
pub(super) struct Pushed {
    pub(super) outcome: Outcome,
    /// The document that the destination is to point at; `None` in a dry run, or if a gate is not met.
    pub(super) root: Option<Root>,
}

/// The manifest or index that the destination is to point at.
pub(super) struct Root {
    pub(super) descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Root {
    pub(super) fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

/// Writes the blobs of new images, and the manifests that an index lists, if all gates are met.
///
/// # Errors
/// If the source cannot be read, or the destination cannot be written.
pub(super) async fn push(
    session: &Session<'_>,
    selection: Selection,
    slimmed: Vec<SlimmedImage>,
) -> Result<Pushed, SlimError> {
    let mut outcome = Outcome::new(selection.digest());
    let mut new = Vec::new();
    for SlimmedImage { outcome: image, new: of_image, notes } in slimmed {
        outcome.unmet.extend(session.options.gates.unmet(&image));
        outcome.images.push(image);
        outcome.notes.extend(notes);
        new.extend(of_image);
    }
    let Some(destination) = &session.destination else { return Ok(Pushed { outcome, root: None }) };
    let to = Some(destination).filter(|_| outcome.unmet.is_empty());
    let root = match selection {
        Selection::One(_) => push_one(session, to, new).await?,
        Selection::Index { index, members } => push_index(session, to, &index, members, new, &mut outcome).await?,
    };
    outcome.root = root.as_ref().map(|root| root.descriptor.clone());
    Ok(Pushed { outcome, root: root.filter(|_| to.is_some()) })
}

async fn push_one(
    session: &Session<'_>,
    to: Option<&Destination>,
    new: Vec<NewImage>,
) -> Result<Option<Root>, SlimError> {
    let Some(mut new) = new.into_iter().next() else { return Ok(None) };
    if let Some(to) = to {
        push_blobs(session, to, &mut new).await?;
    }
    Ok(Some(Root { descriptor: new.documents.descriptor, bytes: new.documents.manifest }))
}

async fn push_index(
    session: &Session<'_>,
    to: Option<&Destination>,
    index: &Index,
    members: Vec<Member>,
    new: Vec<NewImage>,
    outcome: &mut Outcome,
) -> Result<Option<Root>, SlimError> {
    let (mut entries, mut new) = (Vec::new(), new.into_iter());
    for member in members {
        match member {
            Member::Attestation(entry) => outcome.notes.push(Note::AttestationDropped { digest: entry.digest }),
            Member::Other { entry, why } => {
                let what = entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string);
                outcome.notes.push(Note::EntryCopied { entry: what, why });
                if let Some(to) = to {
                    copy_entries(session, to, std::slice::from_ref(&entry)).await?;
                }
                entries.push(entry);
            }
            Member::Image(image) => {
                let Some(mut new) = new.next() else { continue };
                if let Some(to) = to {
                    push_blobs(session, to, &mut new).await?;
                    to.put_manifest(&new.documents.descriptor, &new.documents.manifest).await?;
                }
                entries.push(index_entry(&image, &new.documents));
            }
        }
    }
    let marks = marks(session.options, outcome.images.iter().map(|image| &image.plan));
    Ok(Some(Root::new(media_type::OCI_INDEX, index.with_manifests(&entries, &marks))))
}

/// Writes the config and layers of a new image. Layers that did not change are copied from the source.
async fn push_blobs(session: &Session<'_>, to: &Destination, image: &mut NewImage) -> Result<(), SlimError> {
    let NewImage { documents, blobs } = image;
    let mut seen = HashSet::new();
    let layers = documents.layers.iter().filter(|layer| seen.insert(layer.digest));
    let layers = layers.map(|layer| (layer.clone(), blobs.remove(&layer.digest))).collect::<Vec<_>>();
    stream::iter(layers)
        .map(|(layer, blob)| async move { push_blob(session, to, &layer, blob).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    to.put_bytes(&documents.config_descriptor, &documents.config).await
}

/// Returns the index entry of a new image: the platform and annotations of the old entry, and the new digest.
fn index_entry(image: &Image, new: &Rebuilt) -> Descriptor {
    let mut entry = image.entry.clone().unwrap_or_else(|| new.descriptor.clone());
    entry.media_type.clone_from(&new.descriptor.media_type);
    entry.digest = new.descriptor.digest;
    entry.size = new.descriptor.size;
    entry
}

/// Makes the new image visible, after `review` accepted the outcome. An image that is slimmed in place is replaced only
/// if the tag still points at it.
///
/// # Errors
/// If `review` refuses, another run moved the tag, or the destination cannot be written.
pub(super) async fn publish(session: &Session<'_>, pushed: Pushed, review: Review<'_>) -> Result<Outcome, SlimError> {
    let Pushed { mut outcome, root } = pushed;
    if let Some(root) = &root {
        outcome.notes.extend(next_steps(session, &outcome, &root.descriptor).await);
    }
    review(&outcome).map_err(SlimError::Review)?;
    if let (Some(root), Some(to)) = (root, &session.destination) {
        if session.attaches() {
            for (subject, artifact) in attach::artifacts(session.options, &outcome) {
                to.attach(&subject, &artifact).await?;
            }
        }
        // Last, because nothing keeps others from moving a tag meanwhile.
        if session.options.is_in_place() && session.source.root_digest().await? != outcome.source {
            return Err(SlimError::Moved { image: session.source.name.clone(), expected: outcome.source });
        }
        to.finish(&root.descriptor, &root.bytes).await?;
    }
    session.results.settle().await?;
    Ok(outcome)
}

/// Returns notes on what a user may want to do next.
async fn next_steps(session: &Session<'_>, outcome: &Outcome, root: &Descriptor) -> Vec<Note> {
    let (options, source, mut notes) = (session.options, outcome.source, Vec::new());
    // Registries and layouts keep images without a tag.
    let keeps = matches!(options.source, Reference::Registry(_) | Reference::Layout(_));
    if options.is_in_place() && keeps && root.digest != source {
        notes.push(Note::Replaced { image: options.source.clone(), old: source });
    }
    if let Some(Reference::Registry(to)) = &options.destination
        && session.source.is_signed(&source).await
    {
        notes.push(Note::NotSigned { new: format!("{}/{}@{}", to.registry, to.repository, root.digest) });
    }
    notes
}
