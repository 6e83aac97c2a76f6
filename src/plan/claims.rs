//! Which rule names which path, and which profile which package.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ownership::Ownership;
use crate::evidence::{Evidence, Reason, world};
use crate::packages::PackageId;
use crate::profile::{self, Rules};
use crate::rootfs::{NodeId, Rootfs};
use crate::rootfs_path::RootfsPath;

/// The rule that names a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The profile.
    pub(super) profile: String,
    /// The glob.
    pub(super) rule: String,
}

/// All that rules name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Paths by node.
    pub(super) paths: BTreeMap<NodeId, Claim>,
    /// Paths that the person wants to stay, whether a rule names them or not.
    pub(super) asked: BTreeMap<NodeId, Reason>,
    /// Packages, with the profile that names them.
    pub(super) packages: BTreeMap<PackageId, String>,
    /// Packages that a profile names but that something installed may need.
    pub(super) used: BTreeMap<PackageId, Reason>,
    /// Paths likewise.
    pub(super) used_paths: BTreeMap<NodeId, Reason>,
    /// Whether any profile removes packages at all.
    pub(super) removes_packages: bool,
}

pub(super) fn claim(
    rootfs: &Rootfs,
    rules: &[Rules],
    keep: &Rules,
    ownership: &Ownership,
    evidence: &Evidence,
) -> Claims {
    let mut claims = Claims::default();
    let walk = Walk { rules, keep, ownership, inherited: vec![None; rules.len()], kept_by: None };
    walk.below(rootfs, rootfs.root(), &RootfsPath::root(), &mut claims);
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
    let installed = Installed::new(rootfs, evidence, claims);
    let is_there = |module: &str| {
        let top = module.split('.').next().unwrap_or(module);
        let mut roots = evidence.worlds().worlds.iter().flat_map(|world| &world.roots);
        roots.any(|&root| world::module(rootfs, root, top).is_some())
    };
    let reasons = rules.iter().filter_map(|rules| Some((rules.profile.as_str(), installed.use_of(rules, &is_there)?)));
    let reasons = reasons.collect::<HashMap<_, _>>();
    let used = |profile: &String| reasons.get(profile.as_str()).cloned();
    claims.used_paths =
        claims.paths.iter().filter_map(|(&node, claim)| Some((node, used(&claim.profile)?.0))).collect();
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

/// What folders above say of what lies below.
#[derive(Clone)]
struct Walk<'a> {
    rules: &'a [Rules],
    keep: &'a Rules,
    ownership: &'a Ownership,
    /// For each of the rules, its glob that claims a folder above.
    inherited: Vec<Option<&'a str>>,
    /// The glob of `--keep` that holds a folder above.
    kept_by: Option<&'a str>,
}

impl<'a> Walk<'a> {
    fn below(self, rootfs: &Rootfs, folder: NodeId, path: &RootfsPath, claims: &mut Claims) {
        for (name, &child) in &rootfs.node(folder).children {
            let path = path.join(name);
            let candidate = profile::candidate(&path);
            let mut below = self.clone();
            let mut claim = None;
            for (index, (rules, inherited)) in self.rules.iter().zip(&mut below.inherited).enumerate() {
                *inherited = match inherited.or_else(|| rules.claim(&candidate)) {
                    Some(_) if rules.keeps(&candidate) => None,
                    claimed => claimed,
                };
                // What a package owns goes with the package or not at all, but for docs and the like.
                let may = rules.takes_owned || !self.ownership.is_owned(child);
                if claim.is_none() && may {
                    claim = inherited.map(|rule| (index, rule));
                }
            }
            below.kept_by = self.kept_by.or_else(|| self.keep.claim(&candidate));
            if let Some(glob) = below.kept_by {
                claims.asked.insert(child, Reason::Asked { glob: glob.to_owned() });
            }
            if let Some((index, rule)) = claim {
                let profile = self.rules[index].profile.clone();
                claims.paths.insert(child, Claim { profile, rule: rule.to_owned() });
            }
            below.below(rootfs, child, &path, claims);
        }
    }
}

/// The distributions that are installed, and the modules that files import from elsewhere.
struct Installed {
    distributions: BTreeSet<String>,
    /// Module to the first file outside of its own top-level package that imports it.
    imported: HashMap<String, RootfsPath>,
}

impl Installed {
    fn new(rootfs: &Rootfs, evidence: &Evidence, claims: &Claims) -> Self {
        let mut installed = Self { distributions: BTreeSet::new(), imported: HashMap::new() };
        let is_left = |node: &NodeId| !claims.paths.contains_key(node);
        let mut files = evidence.files().filter(|(node, _)| is_left(node)).collect::<Vec<_>>();
        files.sort_by_key(|(node, _)| *node);
        for (node, facts) in files {
            if &*rootfs.node(node).name == b"RECORD" {
                let folder = String::from_utf8_lossy(&rootfs.node(rootfs.node(node).parent).name).into_owned();
                if let Some((name, _)) = folder.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-')) {
                    installed.distributions.insert(name.to_lowercase().replace(['_', '.'], "-"));
                }
            }
            let Some(python) = &facts.python else { continue };
            let path = rootfs.path(node);
            for import in python.imports.iter().filter(|import| import.level == 0) {
                let top = import.module.split('.').next().unwrap_or_default();
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
