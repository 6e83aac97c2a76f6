//! What one image may cost in memory: limits that hold while it is read, whatever it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Entries of layers: files, folders, links.
    Entries,
    /// Bytes of the names of entries, without what a name shares with the one before it.
    Names,
    /// Bytes that are kept of files' contents: package databases, records, the words of sources.
    Contents,
    /// Bytes of manifests, indexes and configs.
    Documents,
}

impl Resource {
    const ALL: [Self; 4] = [Self::Entries, Self::Names, Self::Contents, Self::Documents];

    /// Returns how much an image may have. The largest images that are known have a tenth of each.
    pub const fn limit(self) -> u64 {
        match self {
            Self::Entries => 10_000_000,
            Self::Names | Self::Contents => 1 << 30,
            Self::Documents => 256 << 20,
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Entries => "entries in its layers",
            Self::Names => "bytes in the names of its files",
            Self::Contents => "bytes of package records and sources that pydock has to keep",
            Self::Documents => "bytes of manifests and configs",
        }
    }
}

/// The image is larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the image has more than {} {}", .0.limit(), .0.what())]
pub struct OverBudget(pub Resource);

/// What an image has cost so far. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Budget(Arc<[AtomicU64; Resource::ALL.len()]>);

impl Budget {
    /// Counts something.
    ///
    /// # Errors
    /// If it is more than the image may have.
    pub fn spend(&self, resource: Resource, amount: u64) -> Result<(), OverBudget> {
        let spent = &self.0[resource as usize];
        let before = spent.fetch_add(amount, Ordering::Relaxed);
        if before.saturating_add(amount) > resource.limit() { Err(OverBudget(resource)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_a_limit_and_resources_do_not() {
        let budget = Budget::default();
        budget.spend(Resource::Entries, Resource::Entries.limit()).unwrap();
        assert_eq!(budget.clone().spend(Resource::Entries, 1), Err(OverBudget(Resource::Entries)));
        assert_eq!(budget.spend(Resource::Names, u64::MAX), Err(OverBudget(Resource::Names)));
        budget.spend(Resource::Documents, 1).unwrap();
    }
}
