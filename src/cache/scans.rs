//! The scan of a layer as a file: a hash, then the postcard record, compressed with zstd.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::evidence::FileFacts;
use crate::layer::LayerIndex;
use crate::layer::codec::Compression;

/// Records are read more often than written, but both must be cheap.
const LEVEL: i32 = 1;

/// The inputs of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ScanKey {
    /// Digest of the layer's blob.
    pub blob: Digest,
    /// The digest that its decompressed bytes were verified against.
    pub diff_id: Digest,
    /// Compression of the layer.
    pub compression: Compression,
}

impl ScanKey {
    pub(super) fn name(&self) -> String {
        super::name("scan", self)
    }
}

/// The result of a layer's scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScannedLayer {
    /// Its entries.
    pub index: LayerIndex,
    /// Facts about its files, by the index of their entry.
    pub found: HashMap<u32, Arc<FileFacts>>,
}

/// The distinct facts of files, and the entries that each belongs to.
#[derive(Serialize, Deserialize)]
struct FactTable<F> {
    facts: Vec<F>,
    of: Vec<(u32, u32)>,
}

pub(super) fn write(scanned: &ScannedLayer, file: &mut File) -> io::Result<()> {
    let packed = pack(scanned)?;
    file.write_all(&xxhash_rust::xxh3::xxh3_128(&packed).to_le_bytes())?;
    file.write_all(&packed)
}

pub(super) fn read(mut file: File) -> io::Result<ScannedLayer> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (hash, packed) = bytes.split_first_chunk::<16>().ok_or_else(damaged)?;
    if u128::from_le_bytes(*hash) != xxhash_rust::xxh3::xxh3_128(packed) {
        return Err(damaged());
    }
    unpack(packed)
}

fn pack(scanned: &ScannedLayer) -> io::Result<Vec<u8>> {
    let mut numbers = HashMap::new();
    let mut found = FactTable { facts: Vec::new(), of: Vec::new() };
    let mut entries = scanned.found.iter().collect::<Vec<_>>();
    entries.sort_by_key(|(entry, _)| **entry);
    for (&entry, facts) in entries {
        let number = *numbers.entry(Arc::as_ptr(facts)).or_insert_with(|| {
            found.facts.push(&**facts);
            found.facts.len() as u32 - 1
        });
        found.of.push((entry, number));
    }
    // Buffered, because the record is written in small pieces.
    let encoder = BufWriter::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    let encoder = postcard::to_io(&(&scanned.index, found), encoder).map_err(io::Error::other)?;
    encoder.into_inner()?.finish()
}

fn unpack(packed: &[u8]) -> io::Result<ScannedLayer> {
    let record = zstd::decode_all(packed)?;
    let (index, found): (LayerIndex, FactTable<FileFacts>) = postcard::from_bytes(&record).map_err(io::Error::other)?;
    let facts = found.facts.into_iter().map(Arc::new).collect::<Vec<_>>();
    let of = found.of.into_iter().filter_map(|(entry, number)| Some((entry, facts.get(number as usize)?.clone())));
    Ok(ScannedLayer { index, found: of.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{EntryKind, Span};
    use crate::rootfs_path::RootfsPath;

    fn scanned() -> ScannedLayer {
        let span = Span { range: 512..2048, data_start: 1024, packed_start: 90 };
        let path = |path: &[u8]| RootfsPath::parse(path).unwrap();
        let mut index = LayerIndex::default();
        index.push(&span, &path(b"caf\xe9/\x01"), &EntryKind::File);
        index.push(&span, &path(b"b"), &EntryKind::HardLink(path(b"caf\xe9/\x01")));
        index.push(&span, &path(b"c"), &EntryKind::Symlink(b"\xff/..".as_slice().into()));
        index.size = 4096;
        let facts = FileFacts { text: Some("text".into()), ..FileFacts::default() };
        let shared = Arc::new(facts);
        let other = Arc::new(FileFacts { is_broken_elf: true, ..FileFacts::default() });
        let found = HashMap::from([(0, shared.clone()), (1, shared), (2, other)]);
        ScannedLayer { index, found }
    }

    #[test]
    fn a_scan_reads_back_as_it_was_and_shares_what_was_shared() {
        let read = unpack(&pack(&scanned()).unwrap()).unwrap();
        assert_eq!(read, scanned());
        assert!(Arc::ptr_eq(&read.found[&0], &read.found[&1]));
    }

    #[test]
    fn a_damaged_record_is_told_and_not_taken() {
        let mut file = tempfile::tempfile().unwrap();
        write(&scanned(), &mut file).unwrap();
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = tempfile::tempfile().unwrap();
            bytes[at] ^= 1;
            damaged.write_all(&bytes).unwrap();
            bytes[at] ^= 1;
            io::Seek::rewind(&mut damaged).unwrap();
            assert!(read(damaged).is_err(), "byte {at}");
        }
    }
}
