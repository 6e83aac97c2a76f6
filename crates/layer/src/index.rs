//! The compact result of one pass over a layer: about twenty bytes per entry.
//!
//! There are two streams of postcard records, in which a number takes as many bytes as it needs: one of positions and
//! one of names. Each record stores the difference from the one before.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::{EntryKind, Span};
use super::tar::BLOCK;
use crate::rootfs_path::RootfsPath;

/// The entries of a layer, from one pass over it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LayerIndex {
    spans: Spans,
    names: Names,
    /// Size of the decompressed layer in bytes, end marker included.
    pub size: u64,
}

impl LayerIndex {
    /// Appends an entry.
    pub fn push(&mut self, span: &Span, path: &RootfsPath, kind: &EntryKind) {
        self.spans.push(span);
        self.names.push(path, kind);
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.spans.count
    }

    /// Returns how many bytes of memory the entries take.
    pub fn weight(&self) -> u64 {
        (self.spans.bytes.len() + self.names.bytes.len()) as u64
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the positions of the entries, in order.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.spans.iter()
    }

    /// Returns the paths and kinds of the entries, in order.
    pub fn names(&self) -> impl Iterator<Item = (RootfsPath, EntryKind)> {
        self.names.iter()
    }

    /// Drops the names. The positions are kept.
    pub fn forget_names(&mut self) {
        self.names = Names::default();
    }

    /// Frees unused memory after the last entry was added.
    pub fn shrink(&mut self) {
        self.spans.bytes.shrink_to_fit();
        self.names.bytes.shrink_to_fit();
    }
}

impl fmt::Debug for LayerIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.spans().zip(self.names()).collect::<Vec<_>>();
        f.debug_struct("LayerIndex").field("size", &self.size).field("entries", &entries).finish()
    }
}

/// The records of positions.
#[derive(Clone, Default, PartialEq, Eq)]
struct Spans {
    bytes: Vec<u8>,
    count: usize,
    last: Before,
}

/// The end of the previous entry, in tar blocks, and its start in the compressed layer, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Before {
    end: u64,
    packed: u64,
}

/// Tar blocks before the entry, of its headers and of its data, and bytes between its compressed start and the previous
/// one.
type SpanRecord = (u64, u64, u64, u64);

impl Before {
    fn record(self, span: &Span) -> SpanRecord {
        let Span { range: Range { start, end }, data_start, packed_start } = span;
        let (start, data_start, end) = (start / BLOCK, data_start / BLOCK, end / BLOCK);
        (
            start.wrapping_sub(self.end),
            data_start.wrapping_sub(start),
            end.wrapping_sub(data_start),
            packed_start.wrapping_sub(self.packed),
        )
    }

    fn span(self, (gap, header, body, packed): SpanRecord) -> Span {
        let start = self.end.wrapping_add(gap);
        let data_start = start.wrapping_add(header);
        let end = data_start.wrapping_add(body);
        Span {
            range: start.wrapping_mul(BLOCK)..end.wrapping_mul(BLOCK),
            data_start: data_start.wrapping_mul(BLOCK),
            packed_start: self.packed.wrapping_add(packed),
        }
    }

    fn after(span: &Span) -> Self {
        Self { end: span.range.end / BLOCK, packed: span.packed_start }
    }
}

impl Spans {
    fn push(&mut self, span: &Span) {
        push_record(&mut self.bytes, &self.last.record(span));
        self.last = Before::after(span);
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = Span> {
        let mut before = Before::default();
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (record, left) = postcard::take_from_bytes(rest).ok()?;
            rest = left;
            let span = before.span(record);
            before = Before::after(&span);
            Some(span)
        })
    }
}

/// The records of names.
#[derive(Clone, Default, PartialEq, Eq)]
struct Names {
    bytes: Vec<u8>,
    last: Vec<u8>,
}

/// The number of bytes shared with the previous path, the rest of the path, and the kind of the entry.
type NameRecord<'a> = (usize, &'a [u8], EntryKind);

impl Names {
    fn push(&mut self, path: &RootfsPath, kind: &EntryKind) {
        let path = path.as_bytes();
        let shared = path.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        push_record(&mut self.bytes, &(shared, Bytes(&path[shared..]), kind));
        self.last.truncate(shared);
        self.last.extend_from_slice(&path[shared..]);
    }

    fn iter(&self) -> impl Iterator<Item = (RootfsPath, EntryKind)> {
        let mut rest = &self.bytes[..];
        let mut path = Vec::new();
        std::iter::from_fn(move || {
            let ((shared, end, kind), left) = postcard::take_from_bytes::<NameRecord<'_>>(rest).ok()?;
            rest = left;
            path.truncate(shared);
            path.extend_from_slice(end);
            Some((RootfsPath::parse(&path).ok()?, kind))
        })
    }
}

fn push_record(bytes: &mut Vec<u8>, record: &impl Serialize) {
    // Writing to memory does not fail, and these records can always be serialized.
    let _ = postcard::to_io(record, bytes);
}

/// Bytes that are serialized as one value.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for LayerIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.size, self.len(), Bytes(&self.spans.bytes), Bytes(&self.names.bytes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LayerIndex {
    /// Reads both streams completely, so that later code can trust them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (size, count, spans, names) = <(u64, usize, &[u8], &[u8])>::deserialize(deserializer)?;
        let mut index = Self { size, ..Self::default() };
        let stored = Self {
            spans: Spans { bytes: spans.to_vec(), ..Spans::default() },
            names: Names { bytes: names.to_vec(), ..Names::default() },
            size,
        };
        for (span, (path, kind)) in stored.spans().zip(stored.names()) {
            index.push(&span, &path, &kind);
        }
        let is_whole = index.len() == count && index.spans.bytes == spans && index.names.bytes == names;
        if is_whole { Ok(index) } else { Err(serde::de::Error::custom("the index of a layer is malformed")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = (Span, RootfsPath, EntryKind)> {
        let path = || proptest::collection::vec(prop::sample::select(b"ab/\xff".to_vec()), 0..9);
        let path = move || path().prop_filter_map("a path", |bytes| RootfsPath::parse(&bytes).ok());
        let kind = prop_oneof![
            Just(EntryKind::File),
            Just(EntryKind::Directory),
            Just(EntryKind::Special),
            Just(EntryKind::GlobalHeader),
            path().prop_map(EntryKind::HardLink),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(|target| EntryKind::Symlink(target.into())),
        ];
        // Mostly ascending and close together, but nothing depends on that.
        let blocks = || prop_oneof![0..9_u64, 0..u64::MAX / BLOCK];
        let span = (blocks(), blocks(), blocks(), any::<u64>()).prop_map(|(start, data, end, packed_start)| Span {
            range: start * BLOCK..end * BLOCK,
            data_start: data * BLOCK,
            packed_start,
        });
        (span, path(), kind)
    }

    proptest! {
        #[test]
        fn an_index_tells_what_was_put_in_before_and_after_it_was_stored(
            entries in proptest::collection::vec(entry(), 0..300),
        ) {
            let mut index = LayerIndex { size: 7, ..LayerIndex::default() };
            for (span, path, kind) in &entries {
                index.push(span, path, kind);
            }
            let stored = postcard::to_stdvec(&index).unwrap();
            let read = postcard::from_bytes::<LayerIndex>(&stored).unwrap();
            prop_assert_eq!(&read, &index);
            let listed = read.spans().zip(read.names()).map(|(span, (path, kind))| (span, path, kind));
            prop_assert_eq!(listed.collect::<Vec<_>>(), &entries[..]);
        }

        #[test]
        fn a_malformed_index_is_refused(
            spans in proptest::collection::vec(any::<u8>(), 0..40),
            names in proptest::collection::vec(any::<u8>(), 0..40),
            count in 0..9_usize,
        ) {
            let stored = postcard::to_stdvec(&(7_u64, count, Bytes(&spans), Bytes(&names))).unwrap();
            if let Ok(index) = postcard::from_bytes::<LayerIndex>(&stored) {
                prop_assert_eq!(index.spans().count(), count);
                prop_assert_eq!(index.names().count(), count);
            }
        }
    }
}
