//! Spliced gzip layers have the content that plain compression gives, whichever compressor wrote the old blob.

use std::io::{Cursor, Read, Write};
use std::ops::Range;

use flate2::{Compress, Compression as Level, FlushCompress, GzBuilder};
use proptest::prelude::*;
use pydock::digest::Digest;
use pydock::layer::codec::{self, Compression, Encoder, Old, Reuse, SeekMap, Splicer, Workers};
use pydock::layer::cut::CutList;
use pydock::layer::rewrite::{LayerWriter, Packing};

/// Content that looks like a layer: text that repeats, noise, zeros.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        ("[a-f ]{20,200}", 1..2000_usize).prop_map(|(text, times)| text.repeat(times).into_bytes()),
        (any::<u64>(), 1..150_000_usize).prop_map(|(seed, length)| noise(seed, length)),
        (any::<u64>(), 1..100_000_usize).prop_map(|(seed, length)| words(seed, length)),
        (0..100_000_usize).prop_map(|length| vec![0; length]),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn words(seed: u64, length: usize) -> Vec<u8> {
    let list = ["import ", "self", ".", "return ", "\n    ", "def ", "(", "):\n", "numpy", "None"];
    noise(seed, length).into_iter().flat_map(|byte| list[usize::from(byte) % 10].bytes()).take(length).collect()
}

/// One gzip member, as different tools make them.
#[derive(Debug, Clone)]
enum Maker {
    /// zlib at a level, with a header of all fields or none.
    Zlib(u32, bool),
    /// A flush after every so many bytes: pigz, `gzip --rsyncable`, Go's pgzip.
    Flushed(u32, usize, bool),
    /// libdeflate at a level.
    Libdeflate(i32),
    /// Stored blocks only.
    Stored,
    /// Our own.
    Own,
}

fn maker() -> impl Strategy<Value = Maker> {
    prop_oneof![
        (0..=9_u32, any::<bool>()).prop_map(|(level, named)| Maker::Zlib(level, named)),
        (0..=9_u32, 1..70_000_usize, any::<bool>()).prop_map(|(level, every, full)| Maker::Flushed(level, every, full)),
        (0..=12_i32).prop_map(Maker::Libdeflate),
        Just(Maker::Stored),
        Just(Maker::Own),
    ]
}

impl Maker {
    fn member(&self, content: &[u8]) -> Vec<u8> {
        match *self {
            Self::Zlib(level, named) => {
                let builder = GzBuilder::new();
                let builder = match named {
                    true => builder.filename("layer.tar").comment("made").extra(vec![7; 300]).mtime(1),
                    false => builder,
                };
                let mut encoder = builder.write(Vec::new(), Level::new(level));
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Self::Flushed(level, every, full) => flushed(content, level, every, full),
            Self::Libdeflate(level) => {
                let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
                let mut member = vec![0; compressor.gzip_compress_bound(content.len())];
                let size = compressor.gzip_compress(content, &mut member).unwrap();
                member.truncate(size);
                member
            }
            Self::Stored => Self::Zlib(0, false).member(content),
            Self::Own => {
                let mut encoder = Encoder::new(Compression::Gzip, None, None, Vec::new()).unwrap();
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
        }
    }
}

fn flushed(content: &[u8], level: u32, every: usize, full: bool) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut compress = Compress::new(Level::new(level), false);
    let flush = if full { FlushCompress::Full } else { FlushCompress::Partial };
    for part in content.chunks(every) {
        let mut packed = Vec::with_capacity(part.len() * 2 + 1000);
        compress.compress_vec(part, &mut packed, flush).unwrap();
        member.extend(packed);
    }
    let mut packed = Vec::with_capacity(1000);
    compress.compress_vec(&[], &mut packed, FlushCompress::Finish).unwrap();
    member.extend(packed);
    let mut crc = flate2::Crc::new();
    crc.update(content);
    member.extend(crc.sum().to_le_bytes());
    member.extend(crc.amount().to_le_bytes());
    member
}

fn blob(members: &[(Maker, Vec<u8>)]) -> (Vec<u8>, Vec<u8>) {
    let blob = members.iter().flat_map(|(maker, content)| maker.member(content)).collect();
    (blob, members.iter().flat_map(|(_, content)| content.clone()).collect())
}

pub(crate) fn map(blob: &[u8], content: &[u8]) -> SeekMap {
    let mut map = SeekMap::new(Box::new(Vec::new()));
    let mut decoded = Vec::new();
    codec::mapping_decoder(Compression::Gzip, blob, Some(&mut map)).unwrap().read_to_end(&mut decoded).unwrap();
    assert!(decoded == content, "the decoder gives other bytes");
    map
}

/// Pieces of a new layer: ranges of the old one that stay, and bytes between them.
fn pieces(cuts: &[(prop::sample::Index, u16)], length: usize) -> Vec<(Range<u64>, Vec<u8>)> {
    let mut ends = cuts.iter().map(|(at, _)| at.index(length + 1) as u64).collect::<Vec<_>>();
    ends.sort_unstable();
    let ranges = ends.chunks_exact(2).map(|pair| pair[0]..pair[1]);
    ranges.zip(cuts).map(|(range, (_, new))| (range, noise(u64::from(*new), usize::from(*new) % 700))).collect()
}

/// What three independent inflaters make of a gzip member: zlib-rs, libdeflate and miniz.
pub(crate) fn inflate(member: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut by_zlib = Vec::new();
    flate2::read::GzDecoder::new(member).read_to_end(&mut by_zlib).unwrap();
    let mut by_libdeflate = vec![0; size];
    let made = libdeflater::Decompressor::new().gzip_decompress(member, &mut by_libdeflate).unwrap();
    by_libdeflate.truncate(made);
    let by_miniz = miniz_oxide::inflate::decompress_to_vec(&member[10..member.len() - 8]).unwrap();
    vec![by_zlib, by_libdeflate, by_miniz]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 400 }))]

    #[test]
    fn what_is_spliced_inflates_to_what_was_kept(
        members in prop::collection::vec((maker(), content()), 1..4),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 0..12),
        reuse in prop::sample::select(vec![Reuse::Copy, Reuse::Refit]),
    ) {
        let (blob, content) = blob(&members);
        let map = map(&blob, &content);
        let mut expected = Vec::new();
        let mut splicer = Splicer::new(None, None, Vec::new()).unwrap();
        let mut old = Old::new(&blob, &map);
        let mut seen = Vec::new();
        for (range, new) in pieces(&cuts, content.len()) {
            let kept = &content[range.start as usize..range.end as usize];
            seen.clear();
            splicer.keep(&mut old, range, reuse, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
            prop_assert!(seen == kept);
            splicer.add(&new).unwrap();
            expected.extend_from_slice(kept);
            expected.extend(new);
        }
        let member = splicer.finish().unwrap();
        for inflated in inflate(&member, expected.len() + 1) {
            prop_assert!(inflated == expected);
        }
        // And it can be spliced again.
        self::map(&member, &expected);
    }

    #[test]
    fn any_range_of_a_blob_can_be_decoded(
        members in prop::collection::vec((maker(), content()), 1..3),
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let (blob, content) = blob(&members);
        let map = map(&blob, &content);
        let mut old = Old::new(&blob, &map);
        for (a, b) in at {
            let (a, b) = (a.index(content.len() + 1), b.index(content.len() + 1));
            let range = a.min(b)..a.max(b);
            prop_assert!(old.bytes(range.start as u64..range.end as u64).unwrap() == content[range]);
        }
    }

    #[test]
    fn a_blob_that_is_damaged_is_an_error_or_reads_as_before(
        (maker, content) in (maker(), content()),
        damage in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut blob, content) = blob(&[(maker, content)]);
        let at = damage.index(blob.len());
        blob[at] ^= 1 << bit;
        let mut map = SeekMap::new(Box::new(Vec::new()));
        let mut decoded = Vec::new();
        let read = codec::mapping_decoder(Compression::Gzip, &blob[..], Some(&mut map)).unwrap().read_to_end(&mut decoded);
        prop_assert!(read.is_err() || decoded == content);
    }
}

#[test]
fn a_blob_that_changes_after_it_was_read_is_refused() {
    let content = words(1, 3_000_000);
    let mut blob = Maker::Zlib(6, false).member(&content);
    let map = map(&blob, &content);
    let middle = blob.len() / 2;
    blob[middle] ^= 1;
    let mut splicer = Splicer::new(None, None, Vec::new()).unwrap();
    let error = splicer.keep(&mut Old::new(&blob, &map), 0..3_000_000, Reuse::Copy, &mut |_| {}).unwrap_err();
    assert!(format!("{error:?}").contains("changed while it was in use"), "{error:?}");
}

#[test]
fn what_is_kept_whole_keeps_its_size() {
    let content = [words(1, 3_000_000), noise(2, 1_000_000)].concat();
    for maker in [Maker::Zlib(9, true), Maker::Libdeflate(9), Maker::Stored, Maker::Flushed(6, 50_000, true)] {
        let blob = maker.member(&content);
        let map = map(&blob, &content);
        let mut splicer = Splicer::new(None, None, Vec::new()).unwrap();
        splicer.keep(&mut Old::new(&blob, &map), 0..content.len() as u64, Reuse::Copy, &mut |_| {}).unwrap();
        let member = splicer.finish().unwrap();
        assert!(member.len() <= blob.len() + 40, "{maker:?}: {} of {}", member.len(), blob.len());
        assert!(inflate(&member, content.len() + 1).iter().all(|inflated| *inflated == content));
    }
}

#[test]
fn what_is_refitted_is_hardly_ever_larger_and_the_same_whatever_the_threads() {
    let text = words(1, 1_000_000).iter().zip(noise(5, 1_000_000)).map(|(byte, noise)| byte ^ (noise & 1)).collect();
    let mixed = [words(2, 500_000), noise(3, 100_000), words(4, 500_000)].concat();
    for content in [text, mixed, noise(6, 700_000), b"x".repeat(300_000)] {
        for maker in [Maker::Zlib(6, true), Maker::Zlib(1, false), Maker::Flushed(6, 90_000, false)] {
            let blob = maker.member(&content);
            let map = map(&blob, &content);
            let refit = |threads| {
                let mut splicer = Splicer::new(None, Workers::start(threads, 1), Vec::new()).unwrap();
                let range = 0..content.len() as u64;
                splicer.keep(&mut Old::new(&blob, &map), range, Reuse::Refit, &mut |_| {}).unwrap();
                splicer.finish().unwrap()
            };
            let member = refit(1);
            // Noise is stored again, in more blocks than it was; the ends of it get codes.
            let most = blob.len() + blob.len() / 2000 + 100;
            assert!(member.len() <= most, "{maker:?}: {} of {}", member.len(), blob.len());
            assert!(inflate(&member, content.len() + 1).iter().all(|inflated| *inflated == content));
            assert!(refit(2) == member && refit(5) == member);
        }
    }
}

#[test]
fn of_a_block_that_is_kept_in_part_all_is_copied_but_the_first_32_kib() {
    let content = words(4, 1_000_000);
    for maker in [Maker::Zlib(9, false), Maker::Libdeflate(12), Maker::Flushed(6, 300_000, false)] {
        let blob = maker.member(&content);
        let map = map(&blob, &content);
        // What is compressed afresh is stored, to be seen.
        let mut splicer = Splicer::new(Some(0), None, Vec::new()).unwrap();
        splicer.keep(&mut Old::new(&blob, &map), 400_000..600_000, Reuse::Copy, &mut |_| {}).unwrap();
        let member = splicer.finish().unwrap();
        let limit = (32 << 10) + 2000 + blob.len() / 5;
        assert!(member.len() < limit, "{maker:?}: {} of {limit}", member.len());
        assert!(inflate(&member, 200_001).iter().all(|inflated| *inflated == content[400_000..600_000]));
    }
}

#[test]
fn both_ways_of_rewriting_a_layer_give_the_same_diff_id() {
    let content = words(3, 4_000_000);
    let blob = Maker::Zlib(6, false).member(&content);
    let map = map(&blob, &content);
    let mut cut = CutList::default();
    for start in (0..3_800_000).step_by(300_000) {
        cut.keep(start..start + 200_000);
        cut.insert(b"new".to_vec());
    }
    for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let packing = Packing { compression, reuse: Some(Reuse::Copy), level: None };
        let mut unused = Vec::new();
        let mut plain = LayerWriter::new(packing, None, None, &mut unused).unwrap();
        plain.add(&mut Cursor::new(&blob), Compression::Gzip, Digest::of(&content), &cut).unwrap();
        let plain = plain.finish().unwrap();
        let mut bytes = Vec::new();
        let mut spliced = LayerWriter::new(packing, None, None, &mut bytes).unwrap();
        spliced.splice(&blob, &map, &cut).unwrap();
        let spliced = spliced.finish().unwrap();
        assert_eq!(plain.tar, spliced.tar);
        assert_eq!(spliced.blob.digest, Digest::of(&bytes));
        assert!(compression == Compression::Gzip || plain.blob == spliced.blob);
        let mut unused = Vec::new();
        let mut again = LayerWriter::new(Packing { reuse: None, ..packing }, None, None, &mut unused).unwrap();
        again.splice(&blob, &map, &cut).unwrap();
        assert_eq!(again.finish().unwrap(), plain);
    }
}
