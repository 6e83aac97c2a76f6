//! Whatever the headers of a member hold, editing them gives an error or headers that read back with the new path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock_layer::header::{HeaderEdit, edit};
use pydock_layer::rootfs_path::RootfsPath;
use pydock_layer::tar::TarReader;

fuzz_target!(|bytes: &[u8]| {
    let mut tar = TarReader::new(bytes);
    let Ok(Some(entry)) = tar.next_entry() else { return };
    let headers = &bytes[..entry.span.data_start as usize];
    let path = RootfsPath::parse("some/long/".repeat(20).as_bytes()).unwrap();
    let change = HeaderEdit { path: Some(path.clone()), ..HeaderEdit::default() };
    if let Ok(edited) = edit(headers, &change) {
        let read = TarReader::new(&edited[..]).next_entry().unwrap().unwrap();
        assert_eq!(read.path, path);
        assert_eq!(read.kind, entry.kind);
        assert_eq!(read.size, entry.size);
    }
});
