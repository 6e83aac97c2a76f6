//! The packages that a person or a recipe requested by name above the base image.
//!
//! A base image contains packages that most applications do not need, so its libraries are kept only if something needs
//! them. What was installed by name for this application is kept: plug-ins, drivers and allocators are not linked.

use std::collections::BTreeSet;

use super::ownership::Ownership;
use crate::evidence::Evidence;
use crate::packages::{PackageDb, PackageId};

/// Returns the packages that were requested above the `base` layers. If it is not known where the base ends, all
/// requested packages count.
pub(super) fn requested(ownership: &Ownership, evidence: &Evidence, base: Option<usize>) -> BTreeSet<PackageId> {
    let Some(db) = &ownership.db else { return BTreeSet::new() };
    let below = PackageDb::read(&evidence.database_below(base.unwrap_or(0)), &mut |_| {});
    let names = |package: &crate::packages::Package| (package.name.clone(), package.architecture.clone());
    let of_base = below.iter().flat_map(PackageDb::manual).map(names).collect::<BTreeSet<_>>();
    let manual = db.packages.iter().enumerate().filter(|(_, package)| package.is_manual);
    manual.filter(|(_, package)| !of_base.contains(&names(package))).map(|(id, _)| id).collect()
}
