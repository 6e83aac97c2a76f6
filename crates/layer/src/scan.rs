//! Reads a layer in one streaming pass: its entries, and the contents that the observer asks for.

use std::io::{self, BufRead, Read};

use super::codec::{self, Compression, SeekMap};
use super::entry::{Entry, EntryKind};
use super::index::LayerIndex;
use super::located::Located;
use super::tar::{TarError, TarReader};
use crate::blob::VerifyingLayer;
use crate::budget::{Budget, Resource};
use crate::digest::Digest;
use crate::idle::IdleThreads;

/// Inspects the contents of files during a scan. The rest of a file is skipped after `observe` returns.
pub trait Observer {
    /// Inspects entry `index`. It may read its content, or a part of it.
    ///
    /// # Errors
    /// Only errors of `content`.
    fn observe(&mut self, index: usize, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()>;
}

/// Inspects nothing.
impl Observer for () {
    fn observe(&mut self, _: usize, _: &Entry, _: &mut dyn BufRead) -> io::Result<()> {
        Ok(())
    }
}

/// Scans a layer.
///
/// `blob` returns the compressed bytes and itself fails if they do not match the descriptor. `diff_id` is the digest of
/// the decompressed bytes from the config. It is `None` for an uncompressed layer whose descriptor has the same digest.
/// It is computed on one of the `idle` threads, if there are any. `budget` belongs to the image. Seek points of a gzip
/// layer are recorded in `map`, if given. Memory grows with the number of entries, not with the size of files.
///
/// # Errors
/// See [`TarError`]. Decompression and digest errors are inside [`TarError::Read`].
pub fn scan(
    blob: &mut dyn Read,
    compression: Compression,
    diff_id: Option<Digest>,
    idle: Option<IdleThreads>,
    observer: &mut dyn Observer,
    map: Option<&mut SeekMap>,
    budget: &Budget,
) -> Result<LayerIndex, TarError> {
    let decoded =
        codec::mapping_decoder(compression, blob, map).map_err(|source| TarError::Read { offset: 0, source })?;
    let (decoded, places) = Located::new(decoded);
    let verified: Box<dyn BufRead> = match diff_id {
        Some(diff_id) => Box::new(VerifyingLayer::new(decoded, diff_id, idle)),
        None => Box::new(decoded),
    };
    let mut tar = TarReader::new(verified);
    let mut index = LayerIndex::default();
    let mut packed_start = 0;
    while let Some(mut entry) = tar.next_entry()? {
        entry.span.packed_start = packed_start;
        if entry.kind == EntryKind::File {
            let observed = observer.observe(index.len(), &entry, &mut tar.data(&entry));
            observed.map_err(|source| tar.data_error(&entry, source))?;
        }
        tar.finish_entry(&entry)?;
        packed_start = places.of(tar.offset());
        let before = index.weight();
        index.push(&entry.span, &entry.path, &entry.kind);
        budget.spend(Resource::Entries, 1)?;
        budget.spend(Resource::Names, index.weight() - before)?;
    }
    index.size = tar.offset();
    index.shrink();
    Ok(index)
}

/// Records the seek points of a gzip layer and verifies the layer, without inspecting its content.
///
/// # Errors
/// If it cannot be read, or does not match its digest or diff ID.
pub fn map(blob: &mut dyn Read, diff_id: Digest, map: &mut SeekMap) -> Result<(), TarError> {
    let decoded = codec::mapping_decoder(Compression::Gzip, blob, Some(map));
    let read = decoded.and_then(|decoded| {
        let mut layer = VerifyingLayer::new(decoded, diff_id, None);
        loop {
            match layer.fill_buf()?.len() {
                0 => return Ok(()),
                count => layer.consume(count),
            }
        }
    });
    read.map_err(|source| TarError::Read { offset: 0, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_over_the_budget_of_its_image_is_refused() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["first", "second"] {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            tar.append_data(&mut header, name, &b""[..]).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        // Other layers of the image have spent all but one entry, and all but the bytes of one name.
        for (resource, left) in [(Resource::Entries, 1), (Resource::Names, 8)] {
            let budget = Budget::default();
            budget.spend(resource, resource.limit() - left).unwrap();
            let scanned = scan(&mut &tar[..], Compression::None, None, None, &mut (), None, &budget);
            assert!(matches!(scanned, Err(TarError::Budget(over)) if over.0 == resource), "{resource:?}");
        }
        assert_eq!(
            scan(&mut &tar[..], Compression::None, None, None, &mut (), None, &Budget::default()).unwrap().len(),
            2
        );
    }
}
