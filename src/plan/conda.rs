//! Conda packages that rules match: which of them can be removed, and their files.
//!
//! That nothing needs a package any longer is not a reason to remove it, as it is for Debian packages. A package is
//! removed only if a profile matches it and no kept package depends on it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::evidence::Evidence;
use crate::packages::conda::{CondaRecord, FOLDER};
use crate::profile::Rules;
use crate::rootfs::{NodeId, NodeMap, Rootfs};

/// Conda packages that a profile matches.
#[derive(Debug, Default)]
pub(super) struct CondaPackages {
    packages: Vec<CondaPackage>,
    of: NodeMap<u32>,
}

#[derive(Debug)]
pub(super) struct CondaPackage {
    pub(super) name: String,
    pub(super) profile: Arc<str>,
    /// Its files, including its record.
    pub(super) files: Vec<NodeId>,
    /// Those of the other packages that it depends on, by number.
    depends: Vec<usize>,
}

impl CondaPackages {
    /// Finds the packages that rules match and that no other package needs.
    pub(super) fn new(rootfs: &Rootfs, rules: &[Rules], evidence: &Evidence) -> Self {
        let mut environments: HashMap<NodeId, Vec<(NodeId, CondaRecord)>> = HashMap::new();
        for (node, facts) in evidence.files() {
            let folder = rootfs.parent(node);
            let Some(text) = facts.text.as_ref().filter(|_| rootfs.name(folder) == FOLDER) else { continue };
            if let Ok(record) = CondaRecord::parse(text) {
                environments.entry(rootfs.parent(folder)).or_default().push((node, record));
            }
        }
        let mut found = Self::default();
        let mut environments = environments.into_iter().collect::<Vec<_>>();
        environments.sort_by_key(|(prefix, _)| *prefix);
        for (prefix, records) in environments {
            found.add(rootfs, rules, prefix, &records);
        }
        found
    }

    fn add(&mut self, rootfs: &Rootfs, rules: &[Rules], prefix: NodeId, records: &[(NodeId, CondaRecord)]) {
        let named = |record: &CondaRecord| rules.iter().find(|rules| rules.claims_conda_package(&record.name));
        let kept = needed(records, |record| named(record).is_none());
        let nodes = |record: &CondaRecord| {
            let files = record.files.iter().filter_map(|path| {
                let folder = rootfs.resolve(prefix, path.parent_bytes(), &mut |_| {})?;
                rootfs.child(folder, path.file_name())
            });
            files.collect::<Vec<_>>()
        };
        let shared = records.iter().filter(|(_, record)| kept.contains(record.name.as_str()));
        let shared = shared.flat_map(|(_, record)| nodes(record)).collect::<HashSet<_>>();
        let first = self.packages.len();
        let going = records.iter().filter(|(_, record)| !kept.contains(record.name.as_str())).collect::<Vec<_>>();
        for (node, record) in &going {
            let Some(rules) = named(record) else { continue };
            let files =
                nodes(record).into_iter().filter(|file| !shared.contains(file)).chain([*node]).collect::<Vec<_>>();
            let depends =
                record.depends.iter().filter_map(|name| going.iter().position(|(_, other)| other.name == *name));
            for &file in &files {
                self.of.insert(file, self.packages.len() as u32);
            }
            let depends = depends.map(|number| first + number).collect();
            self.packages.push(CondaPackage {
                name: record.name.clone(),
                profile: rules.profile.clone(),
                files,
                depends,
            });
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CondaPackage> {
        self.packages.iter()
    }

    /// Returns the files of the package that owns a file, and of the packages that it depends on.
    pub(super) fn with(&self, file: NodeId) -> Vec<NodeId> {
        let Some(&number) = self.of.get(file) else { return Vec::new() };
        let mut found = BTreeSet::new();
        let mut todo = vec![number as usize];
        while let Some(number) = todo.pop() {
            if found.insert(number) {
                todo.extend(self.packages.get(number).into_iter().flat_map(|package| &package.depends));
            }
        }
        found
            .into_iter()
            .filter_map(|number| self.packages.get(number))
            .flat_map(|package| &package.files)
            .copied()
            .collect()
    }
}

/// Returns the names of the packages that are kept in any case, and of their dependencies.
fn needed(records: &[(NodeId, CondaRecord)], is_kept: impl Fn(&CondaRecord) -> bool) -> HashSet<&str> {
    let by_name = records.iter().map(|(_, record)| (record.name.as_str(), record)).collect::<HashMap<_, _>>();
    let mut found = HashSet::new();
    let mut todo = records.iter().map(|(_, record)| record).filter(|record| is_kept(record)).collect::<Vec<_>>();
    while let Some(record) = todo.pop() {
        if found.insert(record.name.as_str()) {
            todo.extend(record.depends.iter().filter_map(|name| by_name.get(name.as_str())));
        }
    }
    found
}
