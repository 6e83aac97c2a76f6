//! The outcome of a run for people and programs. Each format has its own file.

pub mod json;
pub mod plan_text;
pub mod size;
pub mod table;

use std::borrow::Cow;

pub use json::Report;

/// Replaces characters that move a terminal's cursor, change its colours or turn its direction with `\uNNNN`, which
/// JSON reads back. Names from images, registries and files may contain them.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if is_hostile(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() });
    Cow::Owned(shown.collect())
}

fn is_hostile(c: char) -> bool {
    let is_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && !matches!(c, '\n' | '\t') || is_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_for_terminals_are_shown_and_json_stays_json() {
        assert_eq!(printable("a\x1b[31m\r\u{9b}2J\u{202e}b\tc\n"), "a\\u001b[31m\\u000d\\u009b2J\\u202eb\tc\n");
        assert!(matches!(printable("größer, 大\n"), Cow::Borrowed(_)));
        let json = serde_json::json!({ "key": "\u{9b}\x1b\u{202e}" });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printable(&json.to_string())).unwrap(), json);
    }
}
