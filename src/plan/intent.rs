//! Which packages a person or recipe asked for by name above the base image.
//!
//! A base image brings packages that most applications do not need, so of its libraries only those are kept that something needs. What
//! was installed by name for this application is kept, whatever it is: plug-ins, drivers and allocators are linked by nobody.

use std::collections::BTreeSet;

use super::ownership::Ownership;
use crate::evidence::Evidence;
use crate::packages::{PackageDb, PackageId};

/// Returns the packages that were asked for above the `base` layers. Where the base ends is not known of every image: then each package
/// that was asked for may have been asked for above it.
pub(super) fn requested(ownership: &Ownership, evidence: &Evidence, base: Option<usize>) -> BTreeSet<PackageId> {
    let Some(db) = &ownership.db else { return BTreeSet::new() };
    let below = PackageDb::read(&evidence.database_below(base.unwrap_or(0)), &mut |_| {});
    let names = |package: &crate::packages::Package| (package.name.clone(), package.architecture.clone());
    let of_base = below.iter().flat_map(PackageDb::manual).map(names).collect::<BTreeSet<_>>();
    let manual = db.packages.iter().enumerate().filter(|(_, package)| package.is_manual);
    manual.filter(|(_, package)| !of_base.contains(&names(package))).map(|(id, _)| id).collect()
}
