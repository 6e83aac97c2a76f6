//! Sets and maps of nodes. Nodes are numbered, so lookups index an array.

use super::NodeId;

/// A set of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
}

impl NodeSet {
    /// Adds a node. Returns whether it is new.
    pub fn insert(&mut self, node: NodeId) -> bool {
        let (word, bit) = place(node);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns whether the set contains a node.
    pub fn contains(&self, node: NodeId) -> bool {
        let (word, bit) = place(node);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn place(node: NodeId) -> (usize, u64) {
    (node.index() / 64, 1 << (node.index() % 64))
}

impl Extend<NodeId> for NodeSet {
    fn extend<I: IntoIterator<Item = NodeId>>(&mut self, nodes: I) {
        for node in nodes {
            self.insert(node);
        }
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = Self::default();
        set.extend(nodes);
        set
    }
}

/// A map from nodes to values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeMap<T> {
    /// For each node, the index of its value, counted from 1; 0 if it has none.
    places: Vec<u32>,
    values: Vec<T>,
}

impl<T> Default for NodeMap<T> {
    fn default() -> Self {
        Self { places: Vec::new(), values: Vec::new() }
    }
}

impl<T> NodeMap<T> {
    /// Sets the value of a node.
    pub fn insert(&mut self, node: NodeId, value: T) {
        match self.get_mut(node) {
            Some(old) => *old = value,
            None => self.add(node, value),
        }
    }

    /// Returns the value of a node.
    pub fn get(&self, node: NodeId) -> Option<&T> {
        self.place(node).map(|place| &self.values[place])
    }

    /// Returns the value of a node, or inserts the default value.
    pub fn get_or_default(&mut self, node: NodeId) -> &mut T
    where
        T: Default,
    {
        if !self.contains(node) {
            self.add(node, T::default());
        }
        let place = self.places[node.index()] as usize - 1;
        &mut self.values[place]
    }

    /// Returns whether a node has a value.
    pub fn contains(&self, node: NodeId) -> bool {
        self.place(node).is_some()
    }

    /// Returns the nodes that have a value, in order, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &T)> {
        let has = self.places.iter().enumerate().filter(|(_, place)| **place != 0);
        has.map(|(node, &place)| (NodeId(node as u32), &self.values[place as usize - 1]))
    }

    fn place(&self, node: NodeId) -> Option<usize> {
        (*self.places.get(node.index())? as usize).checked_sub(1)
    }

    fn get_mut(&mut self, node: NodeId) -> Option<&mut T> {
        self.place(node).map(|place| &mut self.values[place])
    }

    fn add(&mut self, node: NodeId, value: T) {
        if self.places.len() <= node.index() {
            self.places.resize(node.index() + 1, 0);
        }
        self.values.push(value);
        self.places[node.index()] = self.values.len() as u32;
    }
}

impl<T> FromIterator<(NodeId, T)> for NodeMap<T> {
    fn from_iter<I: IntoIterator<Item = (NodeId, T)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (node, value) in pairs {
            map.insert(node, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_hold_what_ordinary_sets_and_maps_hold(nodes in proptest::collection::vec((0..300_u32, any::<u8>()), 0..200)) {
            let (mut set, mut map) = (NodeSet::default(), NodeMap::default());
            let (mut plain_set, mut plain_map) = (BTreeSet::new(), BTreeMap::new());
            for &(node, value) in &nodes {
                prop_assert_eq!(set.insert(NodeId(node)), plain_set.insert(node));
                map.insert(NodeId(node), value);
                plain_map.insert(node, value);
            }
            prop_assert_eq!(set.is_empty(), plain_set.is_empty());
            for node in 0..400 {
                prop_assert_eq!(set.contains(NodeId(node)), plain_set.contains(&node));
                prop_assert_eq!(map.get(NodeId(node)), plain_map.get(&node));
            }
            let all = map.iter().map(|(node, &value)| (node.0, value));
            prop_assert_eq!(all.collect::<Vec<_>>(), plain_map.into_iter().collect::<Vec<_>>());
        }
    }
}
