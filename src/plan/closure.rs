//! Starts from what is kept in any case, and follows its needs until nothing changes.
//!
//! A file is *live* if it is kept: if no rule matches it and no package owns it, or no rule matches it and a kept
//! package owns it, or something live needs it. The needs of a live file become live. A package is kept as soon as
//! something needs one of its files; its dependencies and its own files follow. What is not live in the end is removed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::claims::Claims;
use super::decision::Decision;
use super::ownership::Ownership;
use crate::evidence::{Asked, Evidence, Need, Reason, files_below};
use crate::image::ImageConfig;
use crate::packages::{Manager, Package, PackageId};
use crate::rootfs::{NodeId, NodeKind, NodeMap, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Parts of the standard library that are kept only if something imports them: programs, toolkits and the like.
const OPTIONAL: [&str; 9] =
    ["tkinter", "idlelib", "turtledemo", "turtle.py", "lib2to3", "distutils", "test", "ensurepip", "__pycache__"];

/// Sections of libraries. The base image's packages in them are removed if nothing needs them, even if they were
/// installed by name.
const LIBRARY_SECTIONS: [&str; 3] = ["libs", "oldlibs", "libdevel"];

pub(super) fn close(
    rootfs: &Rootfs,
    config: &ImageConfig,
    claims: Claims,
    ownership: Ownership,
    requested: &BTreeSet<PackageId>,
    evidence: &mut Evidence,
) -> Decision {
    let live = evidence.installs().all.iter().map(|_| false).collect();
    let decision = Decision { claims, ownership, kept: NodeMap::default(), kept_packages: BTreeMap::new() };
    let mut closure =
        Closure { rootfs, evidence, decision, requested, todo: VecDeque::new(), live, app_sources: Vec::new() };
    closure.start(config);
    closure.run();
    closure.keep_alternatives();
    closure.decision
}

struct Closure<'a> {
    rootfs: &'a Rootfs,
    evidence: &'a mut Evidence,
    decision: Decision,
    /// Packages that were requested by name above the base image.
    requested: &'a BTreeSet<PackageId>,
    /// Live files whose needs have not been followed yet.
    todo: VecDeque<NodeId>,
    /// Which Python installations an application may run on.
    live: Vec<bool>,
    /// The applications' own live sources. They are queried again when another installation becomes live.
    app_sources: Vec<NodeId>,
}

impl Closure<'_> {
    fn start(&mut self, config: &ImageConfig) {
        let claims = &mut self.decision.claims;
        for (node, reason) in
            std::mem::take(&mut claims.pinned).into_iter().chain(std::mem::take(&mut claims.used_paths))
        {
            self.require(node, &reason);
        }
        self.keep_packages_in_any_case();
        let mut walk = vec![self.rootfs.root()];
        while let Some(node) = walk.pop() {
            walk.extend(self.rootfs.children(node));
            if !self.decision.claims.paths.contains(node) && !self.decision.ownership.is_owned(node) {
                self.mark_live(node);
            }
        }
        for need in self.evidence.named_by_config(self.rootfs, config) {
            self.follow(&need);
        }
        for name in ["python3", "python"] {
            let program = self.evidence.programs().find(self.rootfs, name);
            if let Some(program) = program.filter(|_| self.has_applications()) {
                self.require(program, &Reason::Config { key: "PATH".to_owned() });
            }
        }
        self.keep_what_path_files_add();
        for (id, link) in self.rootfs.links() {
            let (Some(name), Some(data)) = (self.rootfs.owner(id), self.rootfs.owner(link.carrier)) else { continue };
            if id.layer != link.carrier.layer
                && self.rootfs.is_alive(name)
                && !self.decision.claims.paths.contains(name)
            {
                // Data does not move between layers.
                self.require(data, &Reason::HardLink { from: self.rootfs.path(name) });
            }
        }
    }

    /// Keeps all of a folder that a `.pth` file adds, even in a cache: some package managers link there instead of
    /// copying.
    fn keep_what_path_files_add(&mut self) {
        let is_claimed = |node| self.decision.claims.paths.contains(node);
        let linked = self.evidence.installs().linked.iter().filter(|(from, to)| !is_claimed(*from) && is_claimed(*to));
        for (from, folder) in linked.copied().collect::<Vec<_>>() {
            let reason = Reason::Reads { from: self.rootfs.path(from) };
            for file in files_below(self.rootfs, folder) {
                self.require(file, &reason);
            }
        }
    }

    /// Returns whether there is Python code outside of packages, which the Python in `PATH` may run.
    fn has_applications(&self) -> bool {
        self.evidence.files().any(|(node, facts)| facts.python.is_some() && !self.decision.ownership.is_owned(node))
    }

    /// Keeps packages without regard to evidence: protected ones; those that were requested and that no rule matches,
    /// except libraries of the base image; all, if no profile removes packages.
    fn keep_packages_in_any_case(&mut self) {
        let Some(db) = &self.decision.ownership.db else { return };
        let mut stay = Vec::new();
        for (id, package) in db.packages.iter().enumerate() {
            let is_named = self.decision.claims.packages.contains_key(&id);
            let is_library = LIBRARY_SECTIONS.contains(&package.section.as_str())
                || db.manager == Manager::Apk && is_apk_library(package);
            if package.is_protected {
                stay.push((id, Reason::Protected));
            } else if let Some(state) = &package.state {
                stay.push((id, Reason::State { state: state.clone() }));
            } else if let Some(reason) = self.decision.claims.used.get(&id) {
                stay.push((id, reason.clone()));
            } else if !self.decision.claims.removes_packages {
                stay.push((id, Reason::Installed));
            } else if !is_named && self.requested.contains(&id) {
                stay.push((id, Reason::Requested));
            } else if !is_named && package.is_manual && !is_library {
                stay.push((id, Reason::Installed));
            }
        }
        for (id, reason) in stay {
            self.keep_package(id, &reason);
        }
    }

    fn run(&mut self) {
        while let Some(node) = self.todo.pop_front() {
            if self.evidence.installs().of(self.rootfs, node).is_none()
                && self.evidence.facts(node).is_some_and(|facts| facts.python.is_some())
            {
                self.app_sources.push(node);
            }
            let is_owned = self.is_as_installed(node);
            // A need changes nothing for a node that is kept already, unless the node leads to another one.
            let settled = |node| self.decision.stays(node) && self.rootfs.symlink(node).is_none();
            let asked = Asked { live: &self.live, is_owned };
            for need in self.evidence.needs_of(self.rootfs, node, asked, &settled) {
                self.follow(&need);
            }
        }
    }

    /// Keeps what something needs. A weak reason does not outweigh a rule that matches the file. If it is a string of
    /// an object, it does not outweigh a profile that matches the package either.
    fn follow(&mut self, need: &Need) {
        let claims = &self.decision.claims;
        let owners = self.decision.ownership.of(need.node);
        let is_meant = owners.iter().any(|id| claims.packages.contains_key(id));
        let is_native = matches!(need.reason, Reason::Native { .. });
        // Somebody who asked for a package by name knows better than a profile whether something that names it needs it.
        let is_requested = owners.iter().any(|id| self.requested.contains(id));
        let is_named = claims.paths.contains(need.node) || is_native && is_meant;
        let is_outweighed = need.is_weak && is_named && !is_requested;
        if !is_outweighed {
            self.require(need.node, &need.reason);
        }
    }

    /// Returns whether a package owns a file and no layer without package management replaced it (`COPY nginx.conf`).
    fn is_as_installed(&self, node: NodeId) -> bool {
        let source = self.rootfs.node(node).source;
        let is_installed = source.is_none_or(|source| self.evidence.installs_packages(source.layer as usize));
        self.decision.ownership.is_owned(node) && is_installed
    }

    /// Keeps a node that something needs, the symlinks on the way from it, and the node where they end.
    fn require(&mut self, node: NodeId, reason: &Reason) {
        self.keep_node(node, reason);
        let target = self.rootfs.node(node);
        if let NodeKind::Symlink(path) = &target.kind {
            let mut on_the_way = Vec::new();
            let end = self.rootfs.resolve(target.parent, path, &mut |link| on_the_way.push(link));
            for other in on_the_way.into_iter().chain(end) {
                self.keep_node(other, reason);
            }
        }
    }

    fn keep_node(&mut self, node: NodeId, reason: &Reason) {
        if self.decision.stays(node) {
            return;
        }
        let is_claimed = self.decision.claims.paths.contains(node);
        let owners = self.decision.ownership.of(node).to_vec();
        let is_folder = self.rootfs.is_directory(node);
        if is_claimed
            || !is_folder && owners.iter().all(|id| !self.decision.kept_packages.contains_key(id)) && !owners.is_empty()
        {
            self.decision.kept.insert(node, reason.clone());
        }
        if !is_folder {
            for id in owners {
                self.keep_package(id, reason);
            }
        }
        if is_claimed {
            self.mark_live(node);
            for other in self.decision.claims.conda.with(node) {
                if !self.decision.stays(other) {
                    self.decision.kept.insert(other, reason.clone());
                    self.mark_live(other);
                }
            }
        }
        // A need for a claimed folder does not keep its content, unless the folder is a symlink's target.
        if is_folder && is_claimed && matches!(reason, Reason::Symlink { .. }) {
            for &child in self.rootfs.children(node) {
                self.require(child, reason);
            }
        }
    }

    fn keep_package(&mut self, id: PackageId, reason: &Reason) {
        let mut todo = vec![(id, reason.clone())];
        while let Some((id, reason)) = todo.pop() {
            if self.decision.kept_packages.contains_key(&id) {
                continue;
            }
            self.decision.kept_packages.insert(id, reason);
            for node in self.decision.ownership.files(id).to_vec() {
                if !self.decision.claims.paths.contains(node) {
                    self.mark_live(node);
                }
            }
            if let Some(db) = &self.decision.ownership.db {
                let of = db.label(id).to_owned();
                todo.extend(db.dependencies(id).map(|dependency| (dependency, Reason::Dependency { of: of.clone() })));
                let recommended = db.recommended(id).filter(|id| !self.decision.claims.packages.contains_key(id));
                todo.extend(recommended.map(|other| (other, Reason::Recommended { of: of.clone() })));
            }
        }
    }

    /// Makes a file live: queues it to follow its needs, and keeps the target of a symlink.
    fn mark_live(&mut self, node: NodeId) {
        if self.evidence.may_need(self.rootfs, node) {
            self.todo.push_back(node);
        }
        if let Some(_) = self.rootfs.symlink(node)
            && self.leads_to_risk(node)
        {
            let from = self.rootfs.path(node);
            self.require(node, &Reason::Symlink { from });
        }
        self.mark_install_live(node);
    }

    /// Returns whether a live symlink keeps its target. An alternative's link does not. Neither does a symlink in a
    /// system folder that no package owns and whose target is removed only with its package: it is removed, too.
    fn leads_to_risk(&self, node: NodeId) -> bool {
        let target = self.rootfs.node(node);
        let NodeKind::Symlink(path) = &target.kind else { return false };
        let end = self.rootfs.resolve(target.parent, path, &mut |_| {});
        let is_alternative = self.decision.ownership.alternatives.iter().any(|(links, _)| links.contains(&node));
        let is_made_by_hand = !is_alternative && !is_system(&self.rootfs.path(node));
        end.is_some_and(|end| match self.decision.ownership.is_owned(end) {
            true => {
                is_made_by_hand
                    || !is_alternative
                        && (self.decision.ownership.is_owned(node) || self.decision.claims.paths.contains(end))
            }
            false => !is_alternative,
        })
    }

    /// Makes an installation and its standard library live if a node is its Python program, or its `os.py`.
    fn mark_install_live(&mut self, node: NodeId) {
        let parent = self.rootfs.parent(node);
        let name = self.rootfs.name(node);
        let is_file = matches!(self.rootfs.node(node).kind, NodeKind::File { .. });
        for index in 0..self.live.len() {
            let install = &self.evidence.installs().all[index];
            let version = self.rootfs.name(install.stdlib);
            let is_program = is_file && install.programs == Some(parent) && name == version;
            let is_unowned_library =
                install.stdlib == parent && name == b"os.py" && !self.decision.ownership.is_owned(node);
            if self.live[index] || !(is_program || is_unowned_library) {
                continue;
            }
            self.live[index] = true;
            let stdlib = install.stdlib;
            let folders = [Some(stdlib), self.rootfs.child(stdlib, b"lib-dynload")];
            for folder in folders.into_iter().flatten() {
                for (name, child) in self.rootfs.named_children(folder) {
                    let name = String::from_utf8_lossy(name);
                    if !OPTIONAL.contains(&&*name) && !name.starts_with("_tkinter") {
                        self.require_library(child);
                    }
                }
            }
            let sources = std::mem::take(&mut self.app_sources);
            self.todo.extend(sources);
        }
    }

    fn require_library(&mut self, node: NodeId) {
        let init = self.rootfs.child(node, b"__init__.py");
        let file = if self.rootfs.is_directory(node) { init } else { Some(node) };
        if let Some(file) = file.filter(|&file| self.decision.ownership.is_owned(file)) {
            self.require(file, &Reason::StandardLibrary);
        }
    }

    /// Keeps the choice that an alternative's link leads to, as long as another choice is kept.
    fn keep_alternatives(&mut self) {
        loop {
            let mut rescued = Vec::new();
            for (links, choices) in &self.decision.ownership.alternatives {
                let goes = |node: &NodeId| self.decision.goes(*node);
                if choices.iter().all(goes) || !choices.iter().any(goes) {
                    continue;
                }
                for &link in links {
                    let mut end = None;
                    if let Some(path) = self.rootfs.symlink(link) {
                        end = self.rootfs.resolve(self.rootfs.parent(link), path, &mut |_| {});
                    }
                    rescued.extend(end.filter(goes));
                }
            }
            if rescued.is_empty() {
                return;
            }
            for node in rescued {
                self.require(node, &Reason::Alternative);
            }
            self.run();
        }
    }
}

/// Returns whether a script of a package may have made a symlink here. Elsewhere a person made it.
fn is_system(path: &RootfsPath) -> bool {
    let mut parts = path.components();
    match parts.next() {
        Some(b"usr") => parts.next() != Some(b"local"),
        Some(first) => matches!(first, b"etc" | b"var" | b"lib" | b"lib64" | b"bin" | b"sbin" | b"run"),
        None => true,
    }
}

/// Returns whether an Alpine package is a library: its name says so, and it owns no program. Alpine has no sections.
fn is_apk_library(package: &Package) -> bool {
    let name = &package.name;
    let is_called_so = name.starts_with("lib") || name.ends_with("-libs") || name.ends_with("-dev");
    is_called_so && package.programs().next().is_none()
}
