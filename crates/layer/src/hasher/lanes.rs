//! Hashes two streams together.
//!
//! Each step of SHA-256 waits for the previous one, so one stream leaves most of the processor idle. Blocks of two
//! streams in turn do not wait for each other: both take 0.7 of the time (docs/design/deflate.md).

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Bytes of a block (FIPS 180-4, 5.2.1).
const BLOCK: usize = 64;
/// The most bytes of the blob that wait for bytes of the tar.
const MOST_WAITING: usize = 256 << 10;

/// The hashes of a layer's blob and of its tar. The tar is usually longer, so bytes of the blob wait for bytes of the
/// tar.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    blob: Lane,
    tar: Lane,
    /// Bytes of the blob. The first `done` bytes are hashed already.
    waiting: Vec<u8>,
    done: usize,
}

impl Lanes {
    /// Adds bytes to the blob.
    pub(super) fn add_to_blob(&mut self, bytes: &[u8]) {
        if self.done == self.waiting.len() {
            self.waiting.clear();
            self.done = 0;
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= MOST_WAITING {
            self.wait_no_longer();
        }
    }

    /// Adds bytes to the tar.
    pub(super) fn add_to_tar(&mut self, bytes: &[u8]) {
        let end = self.waiting.len().min(self.done + bytes.len());
        together((&mut self.blob, &self.waiting[self.done..end]), (&mut self.tar, bytes));
        self.done = end;
    }

    /// Finishes the blob.
    pub(super) fn finish_blob(&mut self) -> Digest {
        self.wait_no_longer();
        std::mem::take(&mut self.blob).finish()
    }

    /// Finishes the tar.
    pub(super) fn finish_tar(&mut self) -> Digest {
        std::mem::take(&mut self.tar).finish()
    }

    fn wait_no_longer(&mut self) {
        self.blob.add(&self.waiting[self.done..]);
        self.done = self.waiting.len();
    }
}

/// The hash of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    hash: Sha256,
    /// Number of bytes in an incomplete last block.
    held: usize,
}

impl Lane {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.held = (self.held + bytes.len()) % BLOCK;
    }

    /// Adds the bytes that complete the last block and returns the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = (BLOCK - self.held) % BLOCK;
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        self.add(now);
        later
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.hash.finalize()))
    }
}

/// Adds bytes to two streams, in alternating blocks as far as both reach.
fn together((one, bytes): (&mut Lane, &[u8]), (other, others): (&mut Lane, &[u8])) {
    let (bytes, others) = (one.fill(bytes), other.fill(others));
    let (blocks, other_blocks) = (bytes.as_chunks::<BLOCK>().0, others.as_chunks::<BLOCK>().0);
    for (block, other_block) in blocks.iter().zip(other_blocks) {
        one.hash.update(block);
        other.hash.update(other_block);
    }
    let done = blocks.len().min(other_blocks.len()) * BLOCK;
    one.add(&bytes[done..]);
    other.add(&others[done..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_digests_are_right_however_the_bytes_come(
            steps in prop::collection::vec((any::<bool>(), prop_oneof![0..200_usize, 0..100_000_usize]), 0..40),
        ) {
            let (mut lanes, mut blob, mut tar) = (Lanes::default(), Vec::new(), Vec::new());
            for (at, (is_blob, count)) in steps.into_iter().enumerate() {
                let bytes = (0..count).map(|byte| (byte * 7 + at) as u8).collect::<Vec<_>>();
                if is_blob {
                    lanes.add_to_blob(&bytes);
                    blob.extend(bytes);
                } else {
                    lanes.add_to_tar(&bytes);
                    tar.extend(bytes);
                }
                prop_assert!(lanes.waiting.len() < MOST_WAITING + 100_000);
            }
            prop_assert_eq!(lanes.finish_blob(), Digest::of(&blob));
            prop_assert_eq!(lanes.finish_tar(), Digest::of(&tar));
        }
    }
}
