//! Determines which rule matches which path, and which profile matches which package.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Claim;
use super::conda::CondaPackages;
use super::ownership::Ownership;
use super::rule_matches::{MatchedClaims, RuleMatches};
use crate::evidence::installs::{self, Site};
use crate::evidence::python::{FFI_COMPILE, Import};
use crate::evidence::{Evidence, Reason};
use crate::image::ImageConfig;
use crate::packages::PackageId;
use crate::profile::{PackageFacts, Rules};
use crate::rootfs::{NodeId, NodeMap, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Everything that rules match.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Matched paths by node, with the number of their claim.
    pub(super) paths: NodeMap<u32>,
    /// The claims, each once.
    by: Vec<Arc<Claim>>,
    /// Paths that the user wants to keep, whether a rule matches them or not.
    pub(super) pinned: BTreeMap<NodeId, Reason>,
    /// Packages, with the profile that matches them.
    pub(super) packages: BTreeMap<PackageId, Arc<str>>,
    /// Matched packages that something installed may need.
    pub(super) used: BTreeMap<PackageId, Reason>,
    /// Matched paths that something installed may need.
    pub(super) used_paths: BTreeMap<NodeId, Reason>,
    pub(super) removes_packages: bool,
    /// Conda packages that are removed whole.
    pub(super) conda: CondaPackages,
    /// Folders that are removed once they are empty, with the number of their claim.
    pub(super) emptied: NodeMap<u32>,
}

impl Claims {
    pub(super) fn of(&self, node: NodeId) -> Option<&Arc<Claim>> {
        self.paths.get(node).or_else(|| self.emptied.get(node)).map(|&number| &self.by[number as usize])
    }
}

/// Combines what rules match with the owners of paths.
pub(super) fn claim(
    rootfs: &Rootfs,
    config: &ImageConfig,
    matches: &RuleMatches,
    ownership: &Ownership,
    evidence: &Evidence,
) -> Claims {
    let mut claims = Claims::default();
    let rules = matches.rules().rules();
    let path_rules = matches.claims(&mut claims.by);
    let laid = Laid { rootfs, ownership, evidence };
    for (node, MatchedClaims { claims: of, pinned }) in matches.named(&path_rules) {
        if let Some(reason) = pinned {
            claims.pinned.insert(node, reason.clone());
        }
        let claim = of.iter().find(|&&(number, claim)| laid.takes(&rules[number], &claims.by[claim as usize], node));
        if let Some((_, claim)) = claim {
            claims.paths.insert(node, *claim);
        }
    }
    for (node, number) in matches.emptied() {
        claims.emptied.insert(node, claims.by.len() as u32);
        claims.by.push(Arc::new(Claim { profile: rules[number].profile.clone(), rule: "emptied folder".into() }));
    }
    claims.conda = CondaPackages::new(rootfs, rules, evidence);
    for package in claims.conda.iter() {
        let rule = format!("conda package {}", package.name).into();
        claims.by.push(Arc::new(Claim { profile: package.profile.clone(), rule }));
        for &file in &package.files {
            claims.paths.insert(file, claims.by.len() as u32 - 1);
        }
    }
    claims.removes_packages = rules.iter().any(Rules::names_packages);
    for (id, package) in ownership.db.iter().flat_map(|db| db.packages.iter().enumerate()) {
        let programs = package.programs().cloned().collect::<Vec<_>>();
        let facts = PackageFacts { name: &package.name, section: &package.section, programs: &programs };
        if let Some(rules) = rules.iter().find(|rules| rules.claims_package(facts)) {
            claims.packages.insert(id, rules.profile.clone());
        }
    }
    keep_what_is_used(rootfs, config, rules, ownership, evidence, &mut claims);
    claims
}

struct Laid<'a> {
    rootfs: &'a Rootfs,
    ownership: &'a Ownership,
    evidence: &'a Evidence,
}

impl Laid<'_> {
    /// Returns whether rules may remove a path that they match.
    fn takes(&self, rules: &Rules, claim: &Claim, node: NodeId) -> bool {
        // A file of a package is removed with the package or not at all, except documentation and the like.
        if !rules.takes_owned && (self.ownership.is_owned(node) || self.ownership.may_be_owned(self.rootfs, node)) {
            return false;
        }
        if rules.leftovers && self.evidence.is_recorded(node) {
            return false;
        }
        let name = self.rootfs.name(node);
        let extension = name.rsplit(|&byte| byte == b'.').next().and_then(|part| std::str::from_utf8(part).ok());
        if let Some(content) = extension.and_then(|extension| rules.only.get(extension)) {
            return self.evidence.facts(node).and_then(|facts| facts.content) == Some(*content);
        }
        // In a folder that holds packages among other things, only files that a RECORD lists belong to a package.
        let is_of_site = claim.rule.starts_with("{site}") && !self.rootfs.is_directory(node);
        !is_of_site || self.evidence.is_recorded(node) || !self.lies_in_recorded_site(node)
    }

    fn lies_in_recorded_site(&self, node: NodeId) -> bool {
        let installs = self.evidence.installs();
        self.rootfs.folders_above(node).find_map(|folder| installs.site(folder)) == Some(Site::Recorded)
    }
}

/// Keeps everything that a profile matches if something installed, imported or run may need it at run time.
fn keep_what_is_used(
    rootfs: &Rootfs,
    config: &ImageConfig,
    rules: &[Rules],
    ownership: &Ownership,
    evidence: &Evidence,
    claims: &mut Claims,
) {
    let installed = Installed::new(rootfs, rules, ownership, evidence, claims);
    let is_there = |module: &str| {
        let top = top_level(module);
        let mut roots = evidence.installs().all.iter().flat_map(|install| &install.roots);
        roots.any(|&root| installs::module(rootfs, root, top).is_some())
    };
    let use_of = |rules: &Rules| {
        let run = run_by_the_application(rootfs, config, rules, ownership, evidence, claims);
        run.map(|reason| (reason, false)).or_else(|| installed.use_of(rules, &is_there))
    };
    let reasons = rules.iter().filter_map(|rules| Some((&*rules.profile, use_of(rules)?)));
    let reasons = reasons.collect::<HashMap<_, _>>();
    let used = |profile: &Arc<str>| reasons.get(&**profile).cloned();
    let used_by = claims.by.iter().map(|claim| used(&claim.profile)).collect::<Vec<_>>();
    let used_paths =
        claims.paths.iter().filter_map(|(node, &by)| Some((node, used_by[by as usize].as_ref()?.0.clone())));
    claims.used_paths = used_paths.collect();
    // For a distribution, the packages are kept. For an import or a program, they are merely no longer claimed.
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

/// Returns why a profile removes nothing, if the application or the config names a program that works with its files.
fn run_by_the_application(
    rootfs: &Rootfs,
    config: &ImageConfig,
    rules: &Rules,
    ownership: &Ownership,
    evidence: &Evidence,
    claims: &Claims,
) -> Option<Reason> {
    let programs = &rules.unless_run;
    if programs.is_empty() {
        return None;
    }
    let words =
        ["Entrypoint", "Cmd", "Shell"].into_iter().flat_map(|key| config.strings(key).map(move |text| (key, text)));
    let mut words = words.flat_map(|(key, text)| {
        text.split(|c: char| !(c.is_alphanumeric() || "-_.+".contains(c))).map(move |word| (key, word))
    });
    let by_config = words.find(|(_, word)| programs.iter().any(|program| program == word));
    if let Some((key, word)) = by_config {
        return Some(Reason::Uses { what: format!("`{word}`, which the config's {key} names,") });
    }
    let own = evidence
        .files()
        .filter(|(node, facts)| (facts.python.is_some() || !facts.words.is_empty()) && !claims.paths.contains(*node));
    let mut named = own.filter_map(|(node, facts)| {
        let (line, word) = evidence.program_named_in(facts, programs)?;
        let is_own = evidence.is_own(rootfs, node, ownership.is_owned(node));
        is_own.then(|| Reason::Uses { what: format!("`{word}`, which {} line {line} names,", rootfs.path(node)) })
    });
    named.next()
}

fn top_level(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

/// The installed distributions, and imports of the modules that rules list.
struct Installed {
    distributions: BTreeSet<String>,
    /// For each module, the first import of it from outside of its own top-level package.
    imported: HashMap<String, Imported>,
}

#[derive(Debug, Clone)]
struct Imported {
    by: RootfsPath,
    /// Whether the module is a copy inside another package.
    is_vendored: bool,
}

/// Folders in which packages keep copies of others.
const VENDORS: [&str; 10] = [
    "_vendor",
    "vendor",
    "_vendored",
    "vendored",
    "_vendored_packages",
    "extern",
    "_extern",
    "externals",
    "third_party",
    "_third_party",
];

/// Returns the part of an import that names a wanted top-level module, directly or as a copy inside another package:
/// `skimage._vendored.lazy_loader` is `lazy_loader`.
fn wanted_part<'a>(import: &'a Import, wanted: &BTreeSet<&str>) -> Option<&'a str> {
    let module = &*import.module;
    if import.level == 0 && wanted.contains(top_level(module)) {
        return Some(module);
    }
    let mut starts = std::iter::once(0).chain(module.match_indices('.').map(|(at, _)| at + 1));
    let is_vendor = |part: &str| VENDORS.contains(&part);
    let vendor = starts.find(|&start| is_vendor(top_level(&module[start..])))?;
    let rest = module[vendor..].split_once('.').map(|(_, rest)| rest);
    match rest {
        Some(rest) => wanted.contains(top_level(rest)).then_some(rest),
        // `from ._vendor import lazy_loader`
        None => import.names.iter().map(|name| &**name).find(|name| wanted.contains(name)),
    }
}

impl Installed {
    fn new(rootfs: &Rootfs, rules: &[Rules], ownership: &Ownership, evidence: &Evidence, claims: &Claims) -> Self {
        let wanted = rules.iter().flat_map(|rules| &rules.unless_imported).map(|module| top_level(module));
        let wanted = wanted.collect::<BTreeSet<_>>();
        let is_own = |node| evidence.is_own(rootfs, node, ownership.is_owned(node));
        let mut installed = Self { distributions: BTreeSet::new(), imported: HashMap::new() };
        for (node, facts) in evidence.files().filter(|(node, _)| !claims.paths.contains(*node)) {
            if rootfs.name(node) == b"RECORD" {
                let folder = String::from_utf8_lossy(rootfs.name(rootfs.parent(node))).into_owned();
                if let Some((name, _)) = folder.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-')) {
                    installed.distributions.insert(name.to_lowercase().replace(['_', '.'], "-"));
                }
            }
            let Some(python) = facts.python.as_ref().filter(|_| !evidence.is_build_tool(rootfs, node)) else {
                continue;
            };
            for import in &python.imports {
                let Some(module) = wanted_part(import, &wanted) else { continue };
                if module == FFI_COMPILE && !is_own(node) {
                    continue;
                }
                let (top, path) = (top_level(module), rootfs.path(node));
                if path.components().any(|part| part == top.as_bytes()) {
                    continue;
                }
                let found = Imported { by: path, is_vendored: import.level > 0 || module.len() < import.module.len() };
                let submodules = import.names.iter().map(|name| format!("{module}.{name}"));
                for module in submodules.chain([module.to_owned()]) {
                    installed.imported.entry(module).or_insert_with(|| found.clone());
                }
            }
        }
        installed
    }

    /// Returns why a profile removes nothing, if something installed may use its files, and whether that is a
    /// distribution.
    fn use_of(&self, rules: &Rules, is_there: &dyn Fn(&str) -> bool) -> Option<(Reason, bool)> {
        let distribution = rules.unless_installed.iter().find(|name| self.distributions.contains(*name));
        if let Some(name) = distribution {
            return Some((Reason::Uses { what: format!("the distribution {name}") }, true));
        }
        // Libraries import modules that may be absent. Only the import of a module that exists is evidence.
        let mut imported = rules.unless_imported.iter().filter_map(|module| Some((module, self.imported.get(module)?)));
        let imported = imported.find(|(module, found)| found.is_vendored || is_there(module));
        imported.map(|(module, Imported { by, .. })| {
            (Reason::Uses { what: format!("the module {module}, which {by} imports,") }, false)
        })
    }
}
