//! A source says the same when it is skimmed before it is parsed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::evidence::python;

fuzz_target!(|source: &str| {
    let (whole, unread) = python::read_all(source);
    // Of a source with errors, skimming may bring more to light.
    if unread.is_none() && !source.starts_with('\u{feff}') {
        assert_eq!(python::read(source.as_bytes()), (whole, None));
    }
});
