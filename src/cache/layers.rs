//! A layer that was made, as a file: what it is, then its blob.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Take, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::blob::{BlobFacts, VerifyingReader};
use crate::digest::Digest;
use crate::hasher::Hasher;
use crate::layer::cut::CutList;
use crate::layer::rewrite::{Packing, Rewritten};
use crate::transport::BlobReader;

/// What a rewritten layer depends on, as a digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RewriteKey(String);

impl RewriteKey {
    /// Returns the key of a layer that is made of what cut lists keep of old layers, each known by its diff ID.
    ///
    /// The blobs' digests count as well: copied blocks are theirs.
    pub fn of_cuts<'a>(packing: Packing, old: impl Iterator<Item = (Digest, Digest, &'a CutList)>) -> Self {
        let old = old.map(|(blob, diff_id, cut)| (blob, diff_id, cut.pieces())).collect::<Vec<_>>();
        Self(super::name("layer", &(packing.compression, packing.level, packing.reuse, old)))
    }

    /// Returns the key of a layer that is a whole old layer, compressed anew.
    pub fn of_whole(packing: Packing, blob: Digest) -> Self {
        Self(super::name("layer", &(packing.compression, packing.level, "whole", blob)))
    }

    pub(super) fn name(&self) -> String {
        self.0.clone()
    }
}

/// A layer that an earlier run made.
#[derive(Debug)]
pub struct CachedLayer {
    /// What it is.
    pub layer: Rewritten,
    blob: Take<File>,
    path: PathBuf,
}

impl CachedLayer {
    /// Returns a reader of the blob, verified as any other; if it is damaged, it leaves the cache.
    pub fn reader(self) -> BlobReader {
        let blob = VerifyingReader::blob(self.blob, self.layer.blob, Hasher::default());
        Box::new(Forgetting { blob, path: self.path })
    }
}

/// Removes the file if it cannot be read.
struct Forgetting<R> {
    blob: R,
    path: PathBuf,
}

impl<R: Read> Read for Forgetting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.blob.read(buffer).map_err(|error| {
            // Another run may have removed it.
            let _ = fs::remove_file(&self.path);
            io::Error::new(
                error.kind(),
                format!("a layer in the cache is damaged ({error}); it was removed, run again"),
            )
        })
    }
}

/// What stands before the blob.
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
    io::copy(&mut blob, file)?;
    Ok(())
}

pub(super) fn open(mut file: File, path: PathBuf) -> io::Result<CachedLayer> {
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
    if file.metadata()?.len().checked_sub(start) != Some(layer.blob.size) {
        return Err(damaged());
    }
    Ok(CachedLayer { layer, blob: file.take(layer.blob.size), path })
}
