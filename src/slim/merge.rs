//! Merges the scanned layers of an image to what a container sees.

use std::collections::HashMap;
use std::sync::Arc;

use super::SlimError;
use super::results::LayerScan;
use super::select::Image;
use super::session::Session;
use super::threads::blocking;
use crate::evidence::{Evidence, Facts, FileFacts, LayerDatabase};
use crate::layer::codec::SeekMap;
use crate::packages::{self, Texts};
use crate::rootfs::{EntryId, Fate, Merging, NodeKind, Rootfs};

/// The merged layers of an image.
pub(super) struct Merged {
    /// What a container sees.
    pub(super) rootfs: Rootfs,
    /// What its files say.
    pub(super) evidence: Evidence,
    /// Restart points of each layer, if this run read the layer and may rewrite it.
    pub(super) maps: Vec<Option<Arc<SeekMap>>>,
}

/// Merges layers, the lowest first.
///
/// # Errors
/// If a layer cannot be merged.
pub(super) async fn merge(session: &Session<'_>, image: &Image, layers: Vec<LayerScan>) -> Result<Merged, SlimError> {
    let config = image.config.clone();
    let merged = blocking(move || {
        let (mut merging, mut found, mut maps) = (Merging::default(), Vec::new(), Vec::new());
        for LayerScan { scanned, map } in layers {
            merging.apply(scanned.index)?;
            found.push(scanned.found);
            maps.push(map);
        }
        let rootfs = merging.finish();
        let evidence = Evidence::new(&rootfs, &config, visible(&rootfs, &found), databases(&rootfs, &found));
        Ok(Merged { rootfs, evidence, maps })
    });
    let image = || session.source.name.clone();
    merged.await?.map_err(|source: crate::rootfs::RootfsError| SlimError::Merge {
        number: source.layer() + 1,
        image: image(),
        source,
    })
}

/// Returns what each layer says of installed packages, the lowest first.
fn databases(rootfs: &Rootfs, found: &[HashMap<u32, Arc<FileFacts>>]) -> Vec<LayerDatabase> {
    let of_layer = |(layer, found): (usize, &HashMap<u32, Arc<FileFacts>>)| {
        let texts = found.iter().filter_map(|(&index, facts)| {
            let node = rootfs.owner(EntryId { layer: layer as u32, index })?;
            let path = rootfs.path(node);
            packages::says_what_is_installed(&path.to_string()).then_some((path, facts.text.clone()?))
        });
        let texts = texts.collect::<Texts>();
        (!texts.is_empty()).then_some(LayerDatabase { layer, texts })
    };
    found.iter().enumerate().filter_map(of_layer).collect()
}

/// Returns what was found in the files that a container sees, by node; each name of a hard link has its file's.
fn visible(rootfs: &Rootfs, found: &[HashMap<u32, Arc<FileFacts>>]) -> Facts {
    let mut facts = Facts::default();
    for layer in 0..rootfs.layers().len() {
        for id in rootfs.ids(layer) {
            let Fate::Visible(node) = rootfs.fate(id) else { continue };
            let NodeKind::File { data: EntryId { layer, index } } = rootfs.node(node).kind else { continue };
            if let Some(found) = found[layer as usize].get(&index) {
                facts.insert(node, found.clone());
            }
        }
    }
    facts
}
