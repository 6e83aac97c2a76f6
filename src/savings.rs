//! How much each profile saves. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::rootfs::{EntryId, Fate, NodeId, Rootfs};

/// The name under which dropped entries are counted that no container could see.
pub const SHADOWED: &str = "(hidden by later layers)";

/// What one profile saves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// The profile.
    pub profile: String,
    /// Entries of layers that go.
    pub entries: u64,
    /// Bytes of the decompressed layers, headers included.
    pub bytes: u64,
    /// Bytes of the compressed layers, measured where the entries lay in the old blobs: an estimate, for the new blobs
    /// compress a little differently.
    pub packed: u64,
}

/// Counts what goes, by profile; the largest saving first. `packed_sizes` are those of the old blobs.
pub fn savings(rootfs: &Rootfs, plan: &Plan, removed: &BTreeSet<NodeId>, packed_sizes: &[u64]) -> Vec<Saving> {
    let mut profile_of: BTreeMap<NodeId, &str> = BTreeMap::new();
    for item in &plan.removed {
        if let Some(node) = rootfs.lookup(&item.path) {
            profile_of.insert(node, &item.profile);
        }
    }
    let mut by_profile: BTreeMap<&str, Saving> = BTreeMap::new();
    for (layer, &packed_size) in packed_sizes.iter().enumerate() {
        for (id, entry) in rootfs.entries(layer) {
            let profile = match rootfs.fate(id) {
                Fate::Shadowed | Fate::Whiteout => SHADOWED,
                Fate::Visible(node) | Fate::Restated(node) if removed.contains(&node) => {
                    profile_of.get(&node).copied().unwrap_or_default()
                }
                _ => continue,
            };
            let saving = by_profile.entry(profile).or_default();
            saving.entries += 1;
            saving.bytes += entry.range.end - entry.range.start;
            saving.packed += packed_end(rootfs, id, packed_size).saturating_sub(entry.packed_start);
        }
    }
    let named = |(profile, saving): (&str, Saving)| Saving { profile: profile.to_owned(), ..saving };
    let mut savings = by_profile.into_iter().map(named).collect::<Vec<_>>();
    savings.sort_by(|a, b| b.packed.cmp(&a.packed).then_with(|| a.profile.cmp(&b.profile)));
    savings
}

/// An entry ends in the compressed layer where the next one starts.
fn packed_end(rootfs: &Rootfs, id: EntryId, packed_size: u64) -> u64 {
    let next = rootfs.layers()[id.layer as usize].entries.get(id.index as usize + 1);
    next.map_or(packed_size, |next| next.packed_start)
}
