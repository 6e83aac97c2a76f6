//! What rules say of paths, whoever owns them: found while the rootfs still grows, for a path says it alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::Claim;
use crate::evidence::Reason;
use crate::profile::{self, RuleBook};
use crate::rootfs::{NodeId, NodeMap, Nodes};
use crate::rootfs_path::RootfsPath;

/// Nothing is said of most nodes; that is the first saying.
const NOTHING: u32 = 0;

/// What rules say of each node.
#[derive(Debug)]
pub struct Naming {
    rules: RuleBook,
    keep: RuleBook,
    /// How many nodes were looked at.
    seen: usize,
    /// Which saying holds for a node and for what lies below, by number.
    of: NodeMap<u32>,
    /// What is said, each once: few things are said of many nodes.
    sayings: Vec<Saying>,
    numbers: HashMap<Saying, u32>,
    /// Memory that is used again.
    matched: Vec<usize>,
}

/// What rules say of a path and of what lies below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Saying {
    /// For each of the rules, its glob that claims the path or a folder above, by number.
    claimed: Vec<Option<usize>>,
    /// The glob of `--keep` that holds it.
    kept_by: Option<usize>,
}

/// A saying as claims need it; claims are told by number.
#[derive(Debug)]
pub(super) struct Named {
    /// By the first rules that name the path.
    pub(super) first: Option<u32>,
    /// By the first of those that may take what packages own.
    pub(super) first_of_any: Option<u32>,
    /// Why it stays in any case.
    pub(super) asked: Option<Reason>,
}

impl Default for Naming {
    /// Makes one that says nothing.
    fn default() -> Self {
        Self::new(RuleBook::default(), RuleBook::default())
    }
}

impl Naming {
    /// `rules` claim paths in order; `keep` are the globs of paths that the person wants to stay.
    pub fn new(rules: RuleBook, keep: RuleBook) -> Self {
        let nothing = Saying { claimed: vec![None; rules.rules().len()], kept_by: None };
        let numbers = HashMap::from([(nothing.clone(), NOTHING)]);
        Self { rules, keep, seen: 1, of: NodeMap::default(), sayings: vec![nothing], numbers, matched: Vec::new() }
    }

    /// Returns the rules.
    pub(super) fn rules(&self) -> &RuleBook {
        &self.rules
    }

    /// Looks at the nodes that have come since the last time.
    pub fn follow(&mut self, nodes: &Nodes) {
        let mut last: Option<(NodeId, RootfsPath)> = None;
        for node in nodes.from(self.seen) {
            let parent = nodes.parent(node);
            // Neighbours share their folder.
            let folder = match last.take() {
                Some((folder, path)) if folder == parent => path,
                _ => nodes.path(parent),
            };
            let above = self.of.get(parent).copied().unwrap_or(NOTHING);
            let said = self.saying(&folder.join(nodes.name(node)), above);
            if said != NOTHING {
                self.of.insert(node, said);
            }
            last = Some((parent, folder));
        }
        self.seen = nodes.count();
    }

    /// Returns what the rules that name this very path, and what was said `above` it, say.
    fn saying(&mut self, path: &RootfsPath, above: u32) -> u32 {
        let Self { rules, keep, sayings, matched, .. } = self;
        let above_it = &sayings[above as usize];
        let candidate = profile::candidate(path);
        let mut here = None;
        rules.for_each_claim(&candidate, matched, |rules, glob| {
            if above_it.claimed[rules].is_none() {
                here.get_or_insert_with(|| above_it.clone()).claimed[rules] = Some(glob);
            }
        });
        for (number, rules) in rules.rules().iter().enumerate() {
            let said = here.as_ref().unwrap_or(above_it);
            if said.claimed[number].is_some() && rules.keeps(&candidate) {
                here.get_or_insert_with(|| above_it.clone()).claimed[number] = None;
            }
        }
        if above_it.kept_by.is_none() {
            keep.for_each_claim(&candidate, matched, |_, glob| {
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

    /// Returns the nodes of which something is said, with that.
    pub(super) fn named<'a>(&self, named: &'a [Named]) -> impl Iterator<Item = (NodeId, &'a Named)> {
        self.of.iter().map(|(node, &saying)| (node, &named[saying as usize]))
    }

    /// Returns what is said, as claims need it, and adds what claims paths to `claims`.
    pub(super) fn sayings(&self, claims: &mut Vec<Arc<Claim>>) -> Vec<Named> {
        self.sayings.iter().map(|saying| self.spelt_out(saying, claims)).collect()
    }

    fn spelt_out(&self, saying: &Saying, claims: &mut Vec<Arc<Claim>>) -> Named {
        let claimed = self.rules.rules().iter().zip(&saying.claimed);
        let mut claimed = claimed.filter_map(|(rules, glob)| Some((rules, (*glob)?)));
        let first = claimed.next();
        let first_of_any = first.into_iter().chain(claimed).find(|(rules, _)| rules.takes_owned);
        let mut claim = |(rules, glob): (&profile::Rules, usize)| {
            let claim = Claim { profile: rules.profile.clone(), rule: Arc::clone(rules.glob(glob)) };
            claims.push(claim.into());
            claims.len() as u32 - 1
        };
        let asked = saying.kept_by.map(|glob| Reason::Asked { glob: self.keep.rules()[0].glob(glob).to_string() });
        Named { first: first.map(&mut claim), first_of_any: first_of_any.map(claim), asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{EntryKind, LayerIndex, Span};
    use crate::profile::Rules;
    use crate::rootfs::{Merging, Rootfs};

    fn naming() -> Naming {
        let rules_of = |name, remove: &[&str], keep: &[&str]| {
            let globs = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
            Rules::new(name, globs(remove), &globs(keep)).unwrap()
        };
        let rules = vec![rules_of("docs", &["doc"], &["doc/licence"]), rules_of("all", &["**/*.txt"], &[])];
        Naming::new(RuleBook::new(rules).unwrap(), RuleBook::new(vec![rules_of("--keep", &["doc/b"], &[])]).unwrap())
    }

    fn layer(paths: &[&str]) -> LayerIndex {
        let mut index = LayerIndex::default();
        for path in paths {
            let span = Span { range: 0..512, data_start: 512, packed_start: 0 };
            index.push(&span, &RootfsPath::parse(path.as_bytes()).unwrap(), &EntryKind::File);
        }
        index
    }

    /// Each path of which something is said: the profile that claims it, and whether it is asked to stay.
    fn said(naming: &Naming, rootfs: &Rootfs) -> Vec<(String, Option<String>, bool)> {
        let mut claims = Vec::new();
        let sayings = naming.sayings(&mut claims);
        let profile = |claim: u32| claims[claim as usize].profile.to_string();
        let named = naming.named(&sayings).filter(|(node, _)| rootfs.is_alive(*node));
        let mut said = named
            .map(|(node, named)| (rootfs.path(node).to_string(), named.first.map(profile), named.asked.is_some()))
            .collect::<Vec<_>>();
        said.sort();
        said
    }

    #[test]
    fn it_says_the_same_whether_it_looks_at_each_layer_or_at_all_of_them() {
        let layers = [layer(&["doc/a", "doc/licence/x.txt", "lib"]), layer(&["doc/b/c", "lib/d.txt", "doc/.wh.a"])];
        let (mut step_by_step, mut at_once) = (naming(), naming());
        let mut merging = Merging::default();
        for layer in layers {
            merging.apply(layer).unwrap();
            step_by_step.follow(merging.nodes());
        }
        at_once.follow(merging.nodes());
        let rootfs = merging.finish();
        let expected = [
            ("doc", Some("docs"), false),
            ("doc/b", Some("docs"), true),
            ("doc/b/c", Some("docs"), true),
            ("doc/licence/x.txt", Some("all"), false),
            ("lib/d.txt", Some("all"), false),
        ];
        let expected = expected.map(|(path, profile, asked)| (path.to_owned(), profile.map(str::to_owned), asked));
        assert_eq!(said(&step_by_step, &rootfs), expected);
        assert_eq!(said(&at_once, &rootfs), expected);
    }
}
