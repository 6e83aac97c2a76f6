//! Python sources and the words of other texts: any bytes are read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::evidence::python;
use pydock::evidence::words::{Syntax, Use, WordCollector};

fuzz_target!(|data: &[u8]| {
    let _ = python::read(data);
    let mut words = WordCollector::default();
    words.add_text(&String::from_utf8_lossy(data), 1..=9, Syntax::Config, Use::Command);
    assert!(words.finish().iter().all(|word| word.line <= 9));
});
