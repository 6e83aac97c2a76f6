//! Computes how much each profile saves. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::rootfs::{Fate, NodeMap, Rootfs};

/// The name for dropped entries that no container could see.
pub const SHADOWED: &str = "(hidden by later layers)";

/// What one profile saves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// The profile.
    pub profile: String,
    /// Number of removed layer entries.
    pub entries: u64,
    /// Uncompressed size of the entries, headers included.
    pub uncompressed: u64,
    /// Compressed size of the entries, measured in the old blobs. An estimate, because the new blobs compress slightly
    /// differently.
    pub compressed: u64,
}

/// Computes the savings per profile, the largest compressed size first. `compressed_sizes` are the sizes of the old blobs.
pub fn savings(rootfs: &Rootfs, plan: &Plan, compressed_sizes: &[u64]) -> Vec<Saving> {
    let nodes = rootfs.lookups(plan.removed.iter().map(|removed| &removed.path));
    let removed = nodes.zip(&plan.removed).filter_map(|(node, removed)| Some((node?, removed))).collect::<NodeMap<_>>();
    let mut by_profile: BTreeMap<&str, Saving> = BTreeMap::new();
    for (layer, &compressed_size) in compressed_sizes.iter().enumerate() {
        let mut entries = rootfs.entries(layer).peekable();
        while let Some((id, span)) = entries.next() {
            // In the compressed layer, an entry ends at the start of the next one.
            let compressed_end = entries.peek().map_or(compressed_size, |(_, next)| next.packed_start);
            let profile = match rootfs.fate(id) {
                Fate::Shadowed | Fate::Whiteout => SHADOWED,
                Fate::Visible(node) | Fate::Restated(node) => match removed.get(node) {
                    Some(removed) => &*removed.claim.profile,
                    None => continue,
                },
                Fate::NoPath => continue,
            };
            let saving = by_profile.entry(profile).or_default();
            saving.entries += 1;
            saving.uncompressed += span.range.end - span.range.start;
            saving.compressed += compressed_end.saturating_sub(span.packed_start);
        }
    }
    let named = |(profile, saving): (&str, Saving)| Saving { profile: profile.to_owned(), ..saving };
    let mut savings = by_profile.into_iter().map(named).collect::<Vec<_>>();
    savings.sort_by(|a, b| b.compressed.cmp(&a.compressed).then_with(|| a.profile.cmp(&b.profile)));
    savings
}
