//! Copies images unchanged, with all that they point at.

use std::collections::HashSet;

use super::SlimError;
use super::blobs::push_blob;
use super::destination::Destination;
use super::publish::{Pushed, Root};
use super::select::{Image, Selection};
use super::session::Session;
use crate::digest::Digest;
use crate::image::document::{DocumentError, MAX_NESTED_INDEXES};
use crate::image::{Descriptor, Document, Manifest, media_type};
use crate::options::PlanSource;
use crate::outcome::{Note, Outcome};

/// Returns whether an image is copied: pydock made it, and the options do not ask to slim it again.
pub(super) fn is_copied(session: &Session<'_>, selection: &Selection) -> bool {
    let by_rules = matches!(session.options.plan, PlanSource::Rules(_));
    selection.is_slim() && by_rules && !session.options.again && session.destination.is_some()
}

/// Copies what was selected.
///
/// # Errors
/// If the source cannot be read, or the destination cannot be written.
pub(super) async fn copy(session: &Session<'_>, selection: &Selection) -> Result<Pushed, SlimError> {
    let mut outcome = Outcome::new(selection.digest());
    outcome.notes.push(Note::AlreadySlim);
    let too_large = |image: &Image| {
        let size = image.stack.layers.iter().map(|layer| layer.descriptor.size).sum();
        session.options.gates.too_large(&image.platform(), size)
    };
    outcome.unmet = selection.images().filter_map(too_large).collect();
    let Some(to) = session.destination.as_ref().filter(|_| outcome.unmet.is_empty()) else {
        return Ok(Pushed { outcome, root: None });
    };
    let root = match selection {
        Selection::One(image) => {
            copy_blobs(session, to, &image.manifest).await?;
            Root::new(&image.manifest.media_type, image.manifest.bytes.clone())
        }
        Selection::Index { index, .. } => {
            copy_entries(session, to, &index.manifests).await?;
            Root::new(&index.media_type, index.bytes.clone())
        }
    };
    outcome.root = Some(root.descriptor.clone());
    Ok(Pushed { outcome, root: Some(root) })
}

/// Copies entries of an index, each document once, however often it is listed.
///
/// # Errors
/// If the source cannot be read, the destination cannot be written, or indexes are nested too deep.
pub(super) async fn copy_entries(
    session: &Session<'_>,
    to: &Destination,
    entries: &[Descriptor],
) -> Result<(), SlimError> {
    copy_unseen(session, to, entries, &mut HashSet::new(), 0).await
}

async fn copy_unseen(
    session: &Session<'_>,
    to: &Destination,
    entries: &[Descriptor],
    seen: &mut HashSet<Digest>,
    depth: usize,
) -> Result<(), SlimError> {
    if depth > MAX_NESTED_INDEXES {
        return Err(SlimError::Document { image: session.source.name.clone(), source: DocumentError::Nested });
    }
    for entry in entries {
        if !seen.insert(entry.digest) {
            continue;
        }
        let (document, bytes) = session.source.copied_document(entry).await?;
        match document {
            Document::Manifest(manifest) => copy_blobs(session, to, &manifest).await?,
            Document::Index(index) => Box::pin(copy_unseen(session, to, &index.manifests, seen, depth + 1)).await?,
        }
        to.put_manifest(entry, &bytes).await?;
    }
    Ok(())
}

async fn copy_blobs(session: &Session<'_>, to: &Destination, manifest: &Manifest) -> Result<(), SlimError> {
    // Layers of Windows are at URLs that the manifest names, not in the registry.
    let is_in_source = |layer: &&Descriptor| !media_type::is_foreign(&layer.media_type);
    for blob in manifest.layers.iter().filter(is_in_source).chain([&manifest.config]) {
        push_blob(session, to, blob, None).await?;
    }
    Ok(())
}
