//! Files that package managers derive from other files, and that must stay consistent: caches, plug-in lists, records.
//! Pure.

pub mod ld_cache;
pub mod lists;
pub mod records;
pub mod triggered;
