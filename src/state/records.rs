//! The file lists that installers of Python distributions write: `RECORD` and `installed-files.txt`.
//!
//! Sources of `RECORD`: PEP 376 and PEP 627. It contains comma-separated values in the format of Python's `csv`: each
//! row has a path, a hash and a size. Relative paths start at the folder that contains the `.dist-info` folder. Source
//! of `installed-files.txt`: setuptools, which writes one path per line into an `.egg-info` folder. Relative paths
//! start at this folder.

use std::borrow::Cow;

/// Drops the rows of removed paths from a `RECORD`. Returns `None` if no path was removed.
pub fn record_without(text: &str, is_gone: &dyn Fn(&str) -> bool) -> Option<String> {
    keep(rows(text), |row| !path_of_row(row).is_some_and(|path| is_gone(&path)))
}

/// Drops the lines of removed paths from an `installed-files.txt`. Returns `None` if no path was removed.
pub fn installed_files_without(text: &str, is_gone: &dyn Fn(&str) -> bool) -> Option<String> {
    keep(text.split_inclusive('\n'), |line| !is_gone(line.trim_end_matches(['\r', '\n'])))
}

/// Returns the paths in a `RECORD`, as written.
pub fn paths_of_record(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    rows(text).filter_map(path_of_row)
}

/// Joins the kept parts. Returns `None` if all are kept.
fn keep<'a>(parts: impl Iterator<Item = &'a str>, stays: impl Fn(&str) -> bool) -> Option<String> {
    let mut kept = String::new();
    let mut is_whole = true;
    for part in parts {
        if stays(part) {
            kept += part;
        } else {
            is_whole = false;
        }
    }
    (!is_whole).then_some(kept)
}

/// Splits comma-separated values into rows, each with its line ending. A quoted value may contain line endings.
fn rows(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (row, rest) = text.split_at(row_end(text));
        text = rest;
        (!row.is_empty()).then_some(row)
    })
}

/// Returns the end of the first row, including its line ending.
fn row_end(text: &str) -> usize {
    let mut at = 0;
    loop {
        // A quote is special only at the start of a value.
        if text[at..].starts_with('"') {
            at += quoted_end(&text[at..]);
        }
        match text[at..].find([',', '\n']) {
            Some(end) if text[at + end..].starts_with(',') => at += end + 1,
            Some(end) => return at + end + 1,
            None => return text.len(),
        }
    }
}

/// Returns the end of a quoted value, including its quotes. An inner quote is doubled.
fn quoted_end(text: &str) -> usize {
    let mut at = 1;
    loop {
        match text[at..].find('"') {
            Some(end) if text[at + end + 1..].starts_with('"') => at += end + 2,
            Some(end) => return at + end + 1,
            None => return text.len(),
        }
    }
}

/// Returns the path at the start of a row. Returns `None` if the row is empty.
fn path_of_row(row: &str) -> Option<Cow<'_, str>> {
    let path = match row.strip_prefix('"') {
        Some(rest) => {
            let inner = &rest[..quoted_end(row) - 1];
            unescape(inner.strip_suffix('"').unwrap_or(inner))
        }
        None => Cow::Borrowed(row.split([',', '\r', '\n']).next().unwrap_or(row)),
    };
    (!path.is_empty()).then_some(path)
}

fn unescape(quoted: &str) -> Cow<'_, str> {
    if quoted.contains("\"\"") { Cow::Owned(quoted.replace("\"\"", "\"")) } else { Cow::Borrowed(quoted) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: &str = "pkg/__init__.py,sha256=47DE,0\r\n\
        \"pkg/data, \"\"raw\"\".txt\",sha256=abc,12\r\n\
        \"pkg/two\nlines.txt\",,\r\n\
        ../../../bin/pkg,sha256=abc,200\r\n\
        pkg-1.0.dist-info/RECORD,,\r\n";

    #[test]
    fn the_paths_of_a_record_are_told_without_their_quotes() {
        let paths = paths_of_record(RECORD).collect::<Vec<_>>();
        let expected = [
            "pkg/__init__.py",
            "pkg/data, \"raw\".txt",
            "pkg/two\nlines.txt",
            "../../../bin/pkg",
            "pkg-1.0.dist-info/RECORD",
        ];
        assert_eq!(paths, expected);
        assert_eq!(paths_of_record("\r\n\na\n").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn rows_of_gone_files_go_and_the_others_do_not_change() {
        let without = |gone: &[&str]| record_without(RECORD, &|path| gone.contains(&path));
        assert_eq!(without(&["pkg"]), None);
        let left = without(&["pkg/data, \"raw\".txt", "../../../bin/pkg"]).unwrap();
        let expected = "pkg/__init__.py,sha256=47DE,0\r\n\"pkg/two\nlines.txt\",,\r\npkg-1.0.dist-info/RECORD,,\r\n";
        assert_eq!(left, expected);
        assert_eq!(record_without(RECORD, &|_| true).unwrap(), "");
        assert_eq!(record_without("a,,\nb,,", &|path| path == "a").unwrap(), "b,,");
    }

    #[test]
    fn a_quote_inside_a_plain_value_is_a_character_and_one_without_an_end_ends_with_the_text() {
        assert_eq!(paths_of_record("a\"b,,\nc,,\n").collect::<Vec<_>>(), ["a\"b", "c"]);
        assert_eq!(paths_of_record("a,,\n\"b,,\nc,,\n").collect::<Vec<_>>(), ["a", "b,,\nc,,\n"]);
        assert_eq!(paths_of_record("\"").count(), 0);
    }

    #[test]
    fn lines_of_gone_files_go_from_an_egg_s_list() {
        let text = "../pkg/__init__.py\n../pkg/tests.py\r\nPKG-INFO\n";
        let left = installed_files_without(text, &|path| path == "../pkg/tests.py").unwrap();
        assert_eq!(left, "../pkg/__init__.py\nPKG-INFO\n");
        assert_eq!(installed_files_without(text, &|path| path == "pkg"), None);
    }

    proptest! {
        #[test]
        fn rows_are_all_of_the_text(text in "[a\",\r\n]{0,40}") {
            prop_assert_eq!(rows(&text).collect::<String>(), text.clone());
            prop_assert!(paths_of_record(&text).count() <= rows(&text).count());
        }

        #[test]
        fn what_was_quoted_is_read_back(paths in prop::collection::vec("[a\",\r\n]{1,8}", 0..5)) {
            let row = |path: &String| format!("\"{}\",sha256=x,1\r\n", path.replace('"', "\"\""));
            let text = paths.iter().map(row).collect::<String>();
            prop_assert_eq!(paths_of_record(&text).collect::<Vec<_>>(), paths);
        }
    }
}
