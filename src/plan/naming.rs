//! Matches paths against rules. Who owns a path does not matter here.

use std::collections::HashMap;
use std::sync::Arc;

use super::Claim;
use crate::evidence::Reason;
use crate::evidence::world::Worlds;
use crate::profile::{self, RuleBook, Scope};
use crate::rootfs::{NodeId, NodeMap, Rootfs};
use crate::rootfs_path::RootfsPath;

/// The number of the empty saying, which applies to most nodes.
const NOTHING: u32 = 0;

/// The rules, and what they say about each node.
#[derive(Debug)]
pub struct Naming {
    rules: RuleBook,
    keep: RuleBook,
    /// For each node and everything below it, the number of its saying.
    of: NodeMap<u32>,
    /// Folders that are removed once they are empty, with the rules that say so.
    emptied: NodeMap<usize>,
    /// The sayings, each once: few sayings apply to many nodes.
    sayings: Vec<Saying>,
    numbers: HashMap<Saying, u32>,
    /// Memory that is reused.
    matched: Vec<usize>,
}

/// What rules say about a path and everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Saying {
    /// For each of the rules, the number of its glob that matches the path or a folder above.
    claimed: Vec<Option<usize>>,
    /// The glob of `--keep` that matches it.
    kept_by: Option<usize>,
}

/// A saying in the form that claims need, with claims by number.
#[derive(Debug)]
pub(super) struct Named {
    /// The claims, in the order of rules: the number of the rules, and that of the claim.
    pub(super) claims: Vec<(usize, u32)>,
    /// Why it is kept in any case.
    pub(super) asked: Option<Reason>,
}

/// Where the paths start that globs are relative to, as byte offsets into the path in the rootfs.
#[derive(Debug, Clone, Copy, Default)]
struct ScopeStarts {
    prefix: Option<usize>,
    stdlib: Option<usize>,
    site: Option<usize>,
    idle: Option<usize>,
}

impl ScopeStarts {
    /// Returns the scopes inside a folder. `length` is the length of the folder's path.
    fn inside(self, worlds: &Worlds, folder: NodeId, length: usize) -> Self {
        let start = length + usize::from(length > 0);
        let mut scopes = self;
        if worlds.is_prefix(folder) {
            scopes.prefix = Some(start);
        }
        if worlds.is_idle(folder) {
            scopes.idle = Some(start);
        }
        if worlds.is_stdlib(folder) {
            scopes.stdlib = Some(start);
        }
        if worlds.site(folder).is_some() {
            scopes = Self { site: Some(start), stdlib: None, ..scopes };
        }
        scopes
    }

    /// Returns the path relative to each scope.
    fn paths(self, path: &[u8]) -> impl Iterator<Item = (Scope, &[u8])> {
        let scopes = [
            (Scope::Root, Some(0)),
            (Scope::Prefix, self.prefix),
            (Scope::Stdlib, self.stdlib),
            (Scope::Site, self.site),
            (Scope::Idle, self.idle),
        ];
        scopes.into_iter().filter_map(move |(scope, start)| Some((scope, path.get(start?..)?)))
    }
}

impl Default for Naming {
    /// Creates an instance without rules.
    fn default() -> Self {
        Self::new(RuleBook::default(), RuleBook::default())
    }
}

impl Naming {
    /// Creates an instance from `rules`, which claim paths in order, and `keep`, the globs of paths to keep.
    pub fn new(rules: RuleBook, keep: RuleBook) -> Self {
        let nothing = Saying { claimed: vec![None; rules.rules().len()], kept_by: None };
        let numbers = HashMap::from([(nothing.clone(), NOTHING)]);
        Self {
            rules,
            keep,
            of: NodeMap::default(),
            emptied: NodeMap::default(),
            sayings: vec![nothing],
            numbers,
            matched: Vec::new(),
        }
    }

    pub(super) fn rules(&self) -> &RuleBook {
        &self.rules
    }

    /// Matches every path of a rootfs against the rules.
    pub(super) fn look(&mut self, rootfs: &Rootfs, worlds: &Worlds) {
        let mut todo = vec![(rootfs.root(), RootfsPath::root(), NOTHING, ScopeStarts::default())];
        while let Some((folder, path, above, scopes)) = todo.pop() {
            let scopes = scopes.inside(worlds, folder, path.as_bytes().len());
            for (name, child) in rootfs.named_children(folder) {
                let path = path.join(name);
                let is_folder = rootfs.is_directory(child);
                let said = self.saying(&path, above, scopes);
                if said != NOTHING {
                    self.of.insert(child, said);
                }
                if is_folder {
                    if let Some(rules) = self.emptied_by(&path, scopes) {
                        self.emptied.insert(child, rules);
                    }
                    todo.push((child, path, said, scopes));
                }
            }
        }
    }

    /// Returns the first rules by which a folder is removed once it is empty.
    fn emptied_by(&self, path: &RootfsPath, scopes: ScopeStarts) -> Option<usize> {
        let mut paths = scopes.paths(path.as_bytes()).map(|(scope, path)| (scope, profile::candidate(path)));
        paths.find_map(|(scope, path)| self.rules.rules().iter().position(|rules| rules.takes_emptied(scope, &path)))
    }

    /// Returns the saying for a path: the one `above` it, combined with the rules that match this very path.
    fn saying(&mut self, path: &RootfsPath, above: u32, scopes: ScopeStarts) -> u32 {
        let Self { rules, keep, sayings, matched, .. } = self;
        let above_it = &sayings[above as usize];
        let mut here: Option<Saying> = None;
        for (scope, path) in scopes.paths(path.as_bytes()) {
            let candidate = profile::candidate(path);
            rules.for_each_claim(scope, &candidate, matched, |rules, glob| {
                if here.as_ref().unwrap_or(above_it).claimed[rules].is_none() {
                    here.get_or_insert_with(|| above_it.clone()).claimed[rules] = Some(glob);
                }
            });
        }
        for (number, rules) in rules.rules().iter().enumerate() {
            let is_claimed = here.as_ref().unwrap_or(above_it).claimed[number].is_some();
            let mut paths = scopes.paths(path.as_bytes());
            if is_claimed && paths.any(|(scope, path)| rules.keeps(scope, &profile::candidate(path))) {
                here.get_or_insert_with(|| above_it.clone()).claimed[number] = None;
            }
        }
        if above_it.kept_by.is_none() {
            let candidate = profile::candidate(path.as_bytes());
            keep.for_each_claim(Scope::Root, &candidate, matched, |_, glob| {
                here.get_or_insert_with(|| above_it.clone()).kept_by = Some(glob);
            });
        }
        here.map_or(above, |here| self.number(here))
    }

    fn number(&mut self, saying: Saying) -> u32 {
        let next = self.sayings.len() as u32;
        *self.numbers.entry(saying).or_insert_with_key(|saying| {
            self.sayings.push(saying.clone());
            next
        })
    }

    /// Returns the nodes that rules say something about, with their saying.
    pub(super) fn named<'a>(&self, named: &'a [Named]) -> impl Iterator<Item = (NodeId, &'a Named)> {
        self.of.iter().map(|(node, &saying)| (node, &named[saying as usize]))
    }

    /// Returns the folders that are removed once they are empty, with the number of the rules that say so.
    pub(super) fn emptied(&self) -> impl Iterator<Item = (NodeId, usize)> {
        self.emptied.iter().map(|(node, &rules)| (node, rules))
    }

    /// Returns the sayings in the form that claims need, and adds the claims on paths to `claims`.
    pub(super) fn sayings(&self, claims: &mut Vec<Arc<Claim>>) -> Vec<Named> {
        self.sayings.iter().map(|saying| self.spelt_out(saying, claims)).collect()
    }

    fn spelt_out(&self, saying: &Saying, claims: &mut Vec<Arc<Claim>>) -> Named {
        let claimed = self.rules.rules().iter().zip(&saying.claimed).enumerate();
        let claimed = claimed.filter_map(|(number, (rules, glob))| Some((number, rules, (*glob)?)));
        let claim = |(number, rules, glob): (usize, &profile::Rules, usize)| {
            let claim = Claim { profile: rules.profile.clone(), rule: Arc::clone(rules.glob(glob)) };
            claims.push(claim.into());
            (number, claims.len() as u32 - 1)
        };
        let asked = saying.kept_by.map(|glob| Reason::Asked { glob: self.keep.rules()[0].glob(glob).to_string() });
        Named { claims: claimed.map(claim).collect(), asked }
    }
}
