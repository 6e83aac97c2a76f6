//! Any bytes as a gzip blob, and any ranges of what it decodes to: our decoder gives what flate2's gives, decoding resumes anywhere,
//! and what is spliced, either way, inflates to what was kept.
//!
//! Input: one byte `n`, `n` pairs of 16-bit numbers that are ranges of the content in 1/65536, then the blob.
#![no_main]

use std::io::Read;

use flate2::read::{GzDecoder, MultiGzDecoder};
use libfuzzer_sys::fuzz_target;
use pydock_layer::codec::{self, Compression, Old, Reuse, SeekMap, Splicer};

/// Bombs are for another day.
const MOST: u64 = 4 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else { return };
    let count = usize::from(count % 8);
    if rest.len() < count * 4 {
        return;
    }
    let (cuts, blob) = rest.split_at(count * 4);
    let mut map = SeekMap::new(Box::new(Vec::new()));
    let mut content = Vec::new();
    let decoder = codec::mapping_decoder(Compression::Gzip, blob, Some(&mut map)).unwrap();
    let ours = decoder.take(MOST).read_to_end(&mut content);
    if content.len() as u64 == MOST {
        return;
    }
    let mut theirs = Vec::new();
    match (ours, MultiGzDecoder::new(blob).read_to_end(&mut theirs)) {
        (Ok(_), Ok(_)) => assert!(content == theirs),
        (Err(_), Err(_)) => return,
        // flate2 takes bytes that are not a member for the end of the stream if it is at the start of one.
        (Err(_), Ok(_)) => return,
        (Ok(_), Err(error)) => panic!("only we read it: {error}"),
    }
    let mut ends = cuts.as_chunks::<2>().0.iter().map(|at| at_of(*at, content.len())).collect::<Vec<_>>();
    ends.sort_unstable();
    let blob = blob.to_vec();
    let mut old = Old::new(&blob, &map);
    for reuse in [Reuse::Copy, Reuse::Refit] {
        let mut splicer = Splicer::new(None, None, Vec::new()).unwrap();
        let mut expected = Vec::new();
        for range in ends.as_chunks::<2>().0 {
            let kept = &content[range[0]..range[1]];
            splicer.keep(&mut old, range[0] as u64..range[1] as u64, reuse, &mut |_| {}).unwrap();
            splicer.add(b"new").unwrap();
            expected.extend_from_slice(kept);
            expected.extend_from_slice(b"new");
        }
        let member = splicer.finish().unwrap();
        let mut inflated = Vec::new();
        GzDecoder::new(&member[..]).read_to_end(&mut inflated).unwrap();
        assert!(inflated == expected, "{reuse:?}");
    }
});

fn at_of(number: [u8; 2], length: usize) -> usize {
    (usize::from(u16::from_le_bytes(number)) * (length + 1)) >> 16
}
