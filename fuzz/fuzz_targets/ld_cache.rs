//! Any bytes as a loader's cache: it is refused, or what is left of it is a cache that names nothing gone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::state::ld_cache::without;

fuzz_target!(|bytes: &[u8]| {
    for is_gone in [|_: &str| true, |path: &str| path.len() % 2 == 1] {
        if let Ok(Some(left)) = without(bytes, &is_gone) {
            assert_eq!(without(&left, &is_gone), Ok(None));
            // A second copy of the last old entry may be new.
            assert!(left.len() <= bytes.len() + 12);
        }
    }
});
