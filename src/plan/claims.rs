//! Which rule names which path, and which profile which package.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Claim;
use super::naming::{Named, Naming};
use super::ownership::Ownership;
use crate::evidence::{Evidence, Reason, world};
use crate::packages::PackageId;
use crate::profile::Rules;
use crate::rootfs::{NodeId, NodeMap, Rootfs};
use crate::rootfs_path::RootfsPath;

/// All that rules name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Paths by node, with the number of what claims them.
    pub(super) paths: NodeMap<u32>,
    /// What claims paths, each once.
    by: Vec<Arc<Claim>>,
    /// Paths that the person wants to stay, whether a rule names them or not.
    pub(super) asked: BTreeMap<NodeId, Reason>,
    /// Packages, with the profile that names them.
    pub(super) packages: BTreeMap<PackageId, Arc<str>>,
    /// Packages that a profile names but that something installed may need.
    pub(super) used: BTreeMap<PackageId, Reason>,
    /// Paths likewise.
    pub(super) used_paths: BTreeMap<NodeId, Reason>,
    /// Whether any profile removes packages at all.
    pub(super) removes_packages: bool,
}

impl Claims {
    /// Returns what claims a path.
    pub(super) fn of(&self, node: NodeId) -> Option<&Arc<Claim>> {
        self.paths.get(node).map(|&number| &self.by[number as usize])
    }
}

/// Lays what rules name over who owns it.
pub(super) fn claim(rootfs: &Rootfs, naming: &Naming, ownership: &Ownership, evidence: &Evidence) -> Claims {
    let mut claims = Claims::default();
    let rules = naming.rules().rules();
    let sayings = naming.sayings(&mut claims.by);
    for (node, Named { first, first_of_any, asked }) in naming.named(&sayings) {
        if !rootfs.is_alive(node) {
            continue;
        }
        if let Some(reason) = asked {
            claims.asked.insert(node, reason.clone());
        }
        // What a package owns goes with the package or not at all, but for docs and the like.
        let claim = if ownership.is_owned(node) { first_of_any } else { first };
        if let Some(claim) = claim {
            claims.paths.insert(node, *claim);
        }
    }
    claims.removes_packages = rules.iter().any(Rules::names_packages);
    for (id, package) in ownership.db.iter().flat_map(|db| db.packages.iter().enumerate()) {
        let named = rules.iter().find(|rules| rules.claims_package(&package.name, &package.section));
        if let Some(rules) = named {
            claims.packages.insert(id, rules.profile.clone());
        }
    }
    keep_what_is_used(rootfs, rules, evidence, &mut claims);
    claims
}

/// A profile of which something installed or imported may need anything at run time takes nothing.
fn keep_what_is_used(rootfs: &Rootfs, rules: &[Rules], evidence: &Evidence, claims: &mut Claims) {
    let installed = Installed::new(rootfs, rules, evidence, claims);
    let is_there = |module: &str| {
        let top = top_level(module);
        let mut roots = evidence.worlds().worlds.iter().flat_map(|world| &world.roots);
        roots.any(|&root| world::module(rootfs, root, top).is_some())
    };
    let reasons = rules.iter().filter_map(|rules| Some((&*rules.profile, installed.use_of(rules, &is_there)?)));
    let reasons = reasons.collect::<HashMap<_, _>>();
    let used = |profile: &Arc<str>| reasons.get(&**profile).cloned();
    let used_by = claims.by.iter().map(|claim| used(&claim.profile)).collect::<Vec<_>>();
    let used_paths =
        claims.paths.iter().filter_map(|(node, &by)| Some((node, used_by[by as usize].as_ref()?.0.clone())));
    claims.used_paths = used_paths.collect();
    // A distribution that works with a program needs its package; an import only takes the rule's word away.
    for (id, profile) in std::mem::take(&mut claims.packages) {
        match used(&profile) {
            Some((reason, true)) => {
                claims.used.insert(id, reason);
            }
            Some((_, false)) => continue,
            None => {}
        }
        claims.packages.insert(id, profile);
    }
}

fn top_level(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

/// The distributions that are installed, and the modules that rules ask for and files import from elsewhere.
struct Installed {
    distributions: BTreeSet<String>,
    /// Module to the first file outside of its own top-level package that imports it.
    imported: HashMap<String, RootfsPath>,
}

impl Installed {
    fn new(rootfs: &Rootfs, rules: &[Rules], evidence: &Evidence, claims: &Claims) -> Self {
        let wanted = rules.iter().flat_map(|rules| &rules.unless_imported).map(|module| top_level(module));
        let wanted = wanted.collect::<BTreeSet<_>>();
        let mut installed = Self { distributions: BTreeSet::new(), imported: HashMap::new() };
        for (node, facts) in evidence.files().filter(|(node, _)| !claims.paths.contains(*node)) {
            if rootfs.name(node) == b"RECORD" {
                let folder = String::from_utf8_lossy(rootfs.name(rootfs.parent(node))).into_owned();
                if let Some((name, _)) = folder.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-')) {
                    installed.distributions.insert(name.to_lowercase().replace(['_', '.'], "-"));
                }
            }
            let Some(python) = &facts.python else { continue };
            for import in python.imports.iter().filter(|import| import.level == 0) {
                let top = top_level(&import.module);
                if !wanted.contains(top) {
                    continue;
                }
                let path = rootfs.path(node);
                if path.components().any(|part| part == top.as_bytes()) {
                    continue;
                }
                let submodules = import.names.iter().map(|name| format!("{}.{name}", import.module));
                for module in submodules.chain([import.module.to_string()]) {
                    installed.imported.entry(module).or_insert_with(|| path.clone());
                }
            }
        }
        installed
    }

    /// Returns why nothing of a profile goes, if anything is there that may use it, and whether that is a distribution.
    fn use_of(&self, rules: &Rules, is_there: &dyn Fn(&str) -> bool) -> Option<(Reason, bool)> {
        let distribution = rules.unless_installed.iter().find(|name| self.distributions.contains(*name));
        if let Some(name) = distribution {
            return Some((Reason::Uses { what: format!("the distribution {name}") }, true));
        }
        let imported = rules.unless_imported.iter().find_map(|module| Some((module, self.imported.get(module)?)));
        let imported = imported.filter(|(module, _)| is_there(module));
        imported.map(|(module, by)| (Reason::Uses { what: format!("the module {module}, which {by} imports,") }, false))
    }
}
