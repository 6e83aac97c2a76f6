//! Files that package managers derive from other files, and that must stay true: caches, lists of plug-ins, records. Pure.

pub mod ld_cache;
pub mod lists;
pub mod records;
pub mod triggered;
