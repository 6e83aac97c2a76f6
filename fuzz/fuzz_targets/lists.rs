//! Any text as a list of plug-ins or of installed files: what is left of it names nothing gone and is a part of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::state::{lists, records};

/// Removes from a text what is gone; `None` if nothing is.
type Without<'a> = &'a dyn Fn(&str, &dyn Fn(&str) -> bool) -> Option<String>;

fuzz_target!(|text: &str| {
    let is_gone = |path: &str| path.len() % 2 == 1;
    let loaders = |text: &str, is_gone: &dyn Fn(&str) -> bool| lists::without("loaders.cache", text, is_gone);
    let modules = |text: &str, is_gone: &dyn Fn(&str) -> bool| lists::without("giomodule.cache", text, is_gone);
    let kinds: [Without<'_>; 4] = [&loaders, &modules, &records::record_without, &records::installed_files_without];
    for without in kinds {
        if let Some(left) = without(text, &is_gone) {
            assert!(left.len() < text.len());
            assert_eq!(without(&left, &is_gone), None);
        }
        assert_eq!(without(text, &|_| false), None);
    }
    let left = records::record_without(text, &is_gone).unwrap_or_else(|| text.to_owned());
    let kept = records::paths_of_record(text).filter(|path| !is_gone(path));
    assert!(records::paths_of_record(&left).eq(kept));
});
