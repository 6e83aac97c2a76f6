//! Matches paths against rules, whatever package owns them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Claim;
use crate::evidence::Reason;
use crate::evidence::installs::Installs;
use crate::profile::{self, RuleBook, Scope};
use crate::rootfs::{NodeId, NodeMap, Rootfs};
use crate::rootfs_path::RootfsPath;

/// The number of the empty value, which most nodes have.
const NOTHING: u32 = 0;

/// The rules, and which of them match each node.
#[derive(Debug)]
pub struct RuleMatches {
    rules: RuleBook,
    keep: RuleBook,
    /// For each node and everything below it, the number of its value in `path_rules`.
    of: NodeMap<u32>,
    /// Folders that are removed once they are empty, with the rules that match them.
    emptied: NodeMap<usize>,
    /// The distinct values: few values apply to many nodes.
    path_rules: Vec<PathRules>,
    numbers: HashMap<PathRules, u32>,
    /// Memory that is reused.
    matched: Vec<usize>,
}

/// The rules that match a path and everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct PathRules {
    /// For each of the rules, the number of its glob that matches the path or a folder above.
    claimed: Vec<Option<usize>>,
    /// The glob of `--keep` that matches it.
    kept_by: Option<usize>,
}

/// The rules that match a path, as claims by number.
#[derive(Debug)]
pub(super) struct MatchedClaims {
    /// The claims, in the order of rules: the number of the rules, and that of the claim.
    pub(super) claims: Vec<(usize, u32)>,
    /// Why it is kept in any case.
    pub(super) pinned: Option<Reason>,
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
    fn inside(self, installs: &Installs, folder: NodeId, length: usize) -> Self {
        let start = length + usize::from(length > 0);
        let mut scopes = self;
        if installs.is_prefix(folder) {
            scopes.prefix = Some(start);
        }
        if installs.is_idle(folder) {
            scopes.idle = Some(start);
        }
        if installs.is_stdlib(folder) {
            scopes.stdlib = Some(start);
        }
        if installs.site(folder).is_some() {
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

impl Default for RuleMatches {
    /// Creates an instance without rules.
    fn default() -> Self {
        Self::new(RuleBook::default(), RuleBook::default())
    }
}

impl RuleMatches {
    /// Creates an instance from `rules`, which claim paths in order, and `keep`, the globs of paths to keep.
    pub fn new(rules: RuleBook, keep: RuleBook) -> Self {
        let nothing = PathRules { claimed: vec![None; rules.rules().len()], kept_by: None };
        let numbers = HashMap::from([(nothing.clone(), NOTHING)]);
        Self {
            rules,
            keep,
            of: NodeMap::default(),
            emptied: NodeMap::default(),
            path_rules: vec![nothing],
            numbers,
            matched: Vec::new(),
        }
    }

    pub(super) fn rules(&self) -> &RuleBook {
        &self.rules
    }

    /// Matches every path of a rootfs against the rules.
    pub(super) fn match_paths(&mut self, rootfs: &Rootfs, installs: &Installs) {
        let mut todo = vec![(rootfs.root(), RootfsPath::root(), NOTHING, ScopeStarts::default())];
        while let Some((folder, path, above, scopes)) = todo.pop() {
            let scopes = scopes.inside(installs, folder, path.as_bytes().len());
            for (name, child) in rootfs.named_children(folder) {
                let path = path.join(name);
                let is_folder = rootfs.is_directory(child);
                let said = self.rules_of(&path, above, scopes);
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

    /// Returns the rules of a path: those of the folder `above`, combined with the rules that match this very path.
    fn rules_of(&mut self, path: &RootfsPath, above: u32, scopes: ScopeStarts) -> u32 {
        let Self { rules, keep, path_rules, matched, .. } = self;
        let above_it = &path_rules[above as usize];
        let mut here: Option<PathRules> = None;
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

    fn number(&mut self, rules: PathRules) -> u32 {
        let next = self.path_rules.len() as u32;
        *self.numbers.entry(rules).or_insert_with_key(|rules| {
            self.path_rules.push(rules.clone());
            next
        })
    }

    /// Returns the nodes that rules match, with their claims.
    pub(super) fn named<'a>(&self, named: &'a [MatchedClaims]) -> impl Iterator<Item = (NodeId, &'a MatchedClaims)> {
        self.of.iter().map(|(node, &rules)| (node, &named[rules as usize]))
    }

    /// Returns the folders that are removed once they are empty, with the number of the rules that match them.
    pub(super) fn emptied(&self) -> impl Iterator<Item = (NodeId, usize)> {
        self.emptied.iter().map(|(node, &rules)| (node, rules))
    }

    /// Returns the claims of each value of `path_rules`, and adds them to `claims`.
    pub(super) fn claims(&self, claims: &mut Vec<Arc<Claim>>) -> Vec<MatchedClaims> {
        self.path_rules.iter().map(|rules| self.claims_of(rules, claims)).collect()
    }

    fn claims_of(&self, rules: &PathRules, claims: &mut Vec<Arc<Claim>>) -> MatchedClaims {
        let claimed = self.rules.rules().iter().zip(&rules.claimed).enumerate();
        let claimed = claimed.filter_map(|(number, (rules, glob))| Some((number, rules, (*glob)?)));
        let claim = |(number, rules, glob): (usize, &profile::Rules, usize)| {
            let claim = Claim { profile: rules.profile.clone(), rule: Arc::clone(rules.glob(glob)) };
            claims.push(claim.into());
            (number, claims.len() as u32 - 1)
        };
        let pinned = rules.kept_by.map(|glob| Reason::Asked { glob: self.keep.rules()[0].glob(glob).to_string() });
        MatchedClaims { claims: claimed.map(claim).collect(), pinned }
    }
}
