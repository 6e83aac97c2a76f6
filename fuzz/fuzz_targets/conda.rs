//! Any text as a record of conda: it is refused, or what is left of it is a record of the same package without the
//! files that are gone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::packages::conda::{CondaRecord, requested, without_files};

fuzz_target!(|text: &str| {
    let _ = requested(text);
    let is_gone = |path: &str| path.len() % 2 == 1;
    let left = without_files(text, &is_gone);
    if let (Ok(record), Some(left)) = (CondaRecord::parse(text), left) {
        let after = CondaRecord::parse(&left).unwrap();
        assert_eq!((record.name, record.depends), (after.name, after.depends));
        assert_eq!(without_files(&left, &is_gone), None);
    }
});
