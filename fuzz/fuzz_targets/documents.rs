//! Whatever a registry or a person gives as a document, a plan, a profile or a reference, parsing ends without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pydock::image::{Document, ImageConfig};
use pydock::profile::Profile;
use pydock::reference::Reference;
use pydock::saved_plan::SavedPlan;

fuzz_target!(|bytes: &[u8]| {
    let _ = Document::parse(bytes.to_vec(), None);
    let _ = ImageConfig::parse(bytes.to_vec());
    let _ = SavedPlan::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Profile::parse(text, "fuzz");
        let _ = text.parse::<Reference>();
    }
});
