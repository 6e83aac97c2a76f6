//! A finished layer as a file: its digests and sizes, its blob, and a hash.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take, Write};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::ScanKey;
use crate::blob::{BlobFacts, VerifyingReader};
use crate::digest::Digest;
use crate::layer::cut::CutList;
use crate::layer::rewrite::{Packing, Rewritten};
use crate::transport::BlobReader;

/// A digest of everything that a rewritten layer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RewriteKey(String);

impl RewriteKey {
    /// Returns the key of a layer that is built from cut lists. It includes the old blobs' digests and compressions
    /// beside the diff IDs, because compressed data is copied from the blobs.
    pub fn of_cuts<'a>(packing: Packing, old: impl Iterator<Item = (ScanKey, &'a CutList)>) -> Self {
        let old = old.map(|(layer, cut)| (layer, cut.pieces())).collect::<Vec<_>>();
        Self(super::name("layer", &(packing.compression, packing.level, packing.reuse, old)))
    }

    /// Returns the key of a whole old layer that is recompressed.
    pub fn of_whole(packing: Packing, layer: &ScanKey) -> Self {
        Self(super::name("layer", &(packing.compression, packing.level, "whole", layer)))
    }

    pub(super) fn name(&self) -> String {
        self.0.clone()
    }
}

/// A layer that an earlier run wrote.
#[derive(Debug)]
pub struct CachedLayer {
    /// Its digests and sizes.
    pub layer: Rewritten,
    blob: Take<File>,
}

impl CachedLayer {
    /// Returns a verifying reader of the blob.
    pub fn reader(self) -> BlobReader {
        Box::new(VerifyingReader::new(self.blob, self.layer.blob))
    }
}

/// The record before the blob.
#[derive(Serialize, Deserialize)]
struct Head {
    blob: (Digest, u64),
    tar: (Digest, u64),
}

pub(super) fn write(layer: &Rewritten, mut blob: File, file: &mut File) -> io::Result<()> {
    let pair = |facts: BlobFacts| (facts.digest, facts.size);
    let head = Head { blob: pair(layer.blob), tar: pair(layer.tar) };
    let head = postcard::to_stdvec(&head).map_err(io::Error::other)?;
    file.write_all(&(head.len() as u32).to_le_bytes())?;
    file.write_all(&xxhash_rust::xxh3::xxh3_64(&head).to_le_bytes())?;
    file.write_all(&head)?;
    let mut checked = Checked { inner: &mut *file, hash: Xxh3::new() };
    io::copy(&mut blob, &mut checked)?;
    let hash = checked.hash.digest();
    file.write_all(&hash.to_le_bytes())?;
    Ok(())
}

/// Opens a layer and reads its blob once, so that damage is found while the layer can still be rebuilt.
pub(super) fn open(mut file: File) -> io::Result<CachedLayer> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut length, mut hash) = ([0; 4], [0; 8]);
    file.read_exact(&mut length)?;
    file.read_exact(&mut hash)?;
    let mut head = Vec::new();
    let length = u64::from(u32::from_le_bytes(length));
    (&mut file).take(length).read_to_end(&mut head)?;
    if xxhash_rust::xxh3::xxh3_64(&head) != u64::from_le_bytes(hash) {
        return Err(damaged());
    }
    let head: Head = postcard::from_bytes(&head).map_err(io::Error::other)?;
    let facts = |(digest, size)| BlobFacts { digest, size };
    let layer = Rewritten { blob: facts(head.blob), tar: facts(head.tar) };
    let start = file.stream_position()?;
    if file.metadata()?.len().checked_sub(start) != layer.blob.size.checked_add(8) {
        return Err(damaged());
    }
    let mut checked = Checked { inner: io::sink(), hash: Xxh3::new() };
    io::copy(&mut (&mut file).take(layer.blob.size), &mut checked)?;
    file.read_exact(&mut hash)?;
    if checked.hash.digest() != u64::from_le_bytes(hash) {
        return Err(damaged());
    }
    file.seek(SeekFrom::Start(start))?;
    Ok(CachedLayer { layer, blob: file.take(layer.blob.size) })
}

/// Hashes what is written to detect disk errors. The hash does not protect against attackers.
struct Checked<W> {
    inner: W,
    hash: Xxh3,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::codec::{Compression, Reuse};

    #[test]
    fn the_name_of_a_layer_depends_on_all_that_its_bytes_depend_on() {
        let (packing, scan) = (
            Packing { compression: Compression::Gzip, reuse: Some(Reuse::Copy), level: None },
            ScanKey { blob: Digest::of(b"blob"), diff_id: Digest::of(b"tar"), compression: Compression::Gzip },
        );
        let mut cuts = [CutList::default(), CutList::default()];
        cuts[1].keep(0..512);
        let mut keys = Vec::new();
        for packing in [
            packing,
            Packing { compression: Compression::Zstd, ..packing },
            Packing { reuse: Some(Reuse::Refit), ..packing },
            Packing { reuse: None, ..packing },
            Packing { level: Some(9), ..packing },
        ] {
            keys.push(RewriteKey::of_cuts(packing, [(scan.clone(), &cuts[0])].into_iter()));
        }
        for scan in [
            scan.clone(),
            ScanKey { blob: Digest::of(b"other"), ..scan.clone() },
            ScanKey { diff_id: Digest::of(b"other"), ..scan.clone() },
            ScanKey { compression: Compression::None, ..scan.clone() },
        ] {
            keys.push(RewriteKey::of_whole(packing, &scan));
            keys.push(RewriteKey::of_cuts(packing, [(scan.clone(), &cuts[1])].into_iter()));
        }
        keys.push(RewriteKey::of_cuts(packing, [(scan.clone(), &cuts[0]), (scan, &cuts[1])].into_iter()));
        let names = keys.iter().map(RewriteKey::name).collect::<std::collections::HashSet<_>>();
        assert_eq!(names.len(), keys.len());
    }
}
