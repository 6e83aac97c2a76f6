//! conda's records of installed packages. Sources: conda, `conda/models/records.py` (`PrefixRecord`),
//! `conda/history.py` and `conda/models/match_spec.py`. The prefix of an environment contains one JSON file per
//! package, `conda-meta/NAME-VERSION-BUILD.json`, and the requested packages in `conda-meta/history`. mamba and pixi
//! write the same files.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::rootfs_path::RootfsPath;

/// The folder of the records in a prefix.
pub const FOLDER: &[u8] = b"conda-meta";

/// Returns whether a file is the record of a package.
pub fn wants(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next().is_some_and(|name| name.ends_with(".json"))
        && parts.next().is_some_and(|part| part.as_bytes() == FOLDER)
}

/// A package in a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CondaRecord {
    /// Its name.
    pub name: String,
    /// Its version; empty if the record has none.
    pub version: String,
    /// The build of that version; empty if the record has none.
    pub build: String,
    /// The names of its dependencies. Names that begin with `__` are properties of the machine.
    pub depends: Vec<String>,
    /// Its files, relative to the prefix.
    pub files: Vec<RootfsPath>,
}

/// Why a text is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON.
    #[error("the record is not JSON")]
    Json(#[from] serde_json::Error),
    /// It has no package name.
    #[error("the record has no `name`")]
    Name,
}

impl CondaRecord {
    /// Parses a record. Keys that are missing or have another type count as empty.
    ///
    /// # Errors
    /// If the text is not JSON, or has no name.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let record = serde_json::from_str::<Value>(text)?;
        let string = |key: &str| record[key].as_str().map(str::to_owned);
        let strings = |key: &str| record[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let files = strings("files").filter_map(file).collect::<Vec<_>>();
        Ok(Self {
            name: string("name").filter(|name| !name.is_empty()).ok_or(RecordError::Name)?,
            version: string("version").unwrap_or_default(),
            build: string("build").or_else(|| string("build_string")).unwrap_or_default(),
            depends: strings("depends").filter_map(name_of).collect(),
            files: if files.is_empty() { detailed_files(&record) } else { files },
        })
    }
}

fn file(path: &str) -> Option<RootfsPath> {
    RootfsPath::parse(path.as_bytes()).ok().filter(|path| !path.is_root())
}

/// Returns the files in `paths_data`, which has more details of the same files.
fn detailed_files(record: &Value) -> Vec<RootfsPath> {
    let paths = record["paths_data"]["paths"].as_array().into_iter().flatten();
    paths.filter_map(|path| file(path["_path"].as_str()?)).collect()
}

/// Returns the package name in a specification: `name`, `name >=1`, `name=1=build`, `channel::name[build=x]`, or the
/// URL of a package file. Returns `None` if it does not name exactly one package.
fn name_of(specification: &str) -> Option<String> {
    let bare = specification.split('#').next().unwrap_or_default().trim();
    let file = [".conda", ".tar.bz2"].into_iter().find_map(|extension| bare.strip_suffix(extension));
    let name = match file {
        Some(file) => file.rsplit('/').next()?.rsplitn(3, '-').nth(2)?,
        None => {
            let end = bare.find(|c: char| c.is_whitespace() || "[(=<>!~,;".contains(c)).unwrap_or(bare.len());
            bare[..end].rsplit(':').next()?
        }
    };
    // A name that ends with `@` is a feature.
    (!name.is_empty() && !name.contains('*') && !name.ends_with('@')).then(|| name.to_lowercase())
}

/// Reads the requested packages from `conda-meta/history`. Packages that were removed later do not count.
pub fn requested(history: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in history.lines() {
        let Some((action, specifications)) = action(line) else { continue };
        let changed = specifications_of(specifications).into_iter().filter_map(name_of);
        match action {
            "remove" | "uninstall" => changed.for_each(|name| {
                names.remove(&name);
            }),
            "update" | "install" | "create" | "neutered" => names.extend(changed),
            _ => {}
        }
    }
    names
}

/// Splits `# update specs: ['a', 'b >=1']` into the action and the list.
fn action(line: &str) -> Option<(&str, &str)> {
    let (action, list) = line.trim().strip_prefix('#')?.split_once("specs:")?;
    Some((action.trim(), list.trim()))
}

/// Returns the items of a list: Python's format, or comma-separated before conda 4.5.
fn specifications_of(list: &str) -> Vec<&str> {
    match list.strip_prefix('[') {
        Some(list) => quoted(list).collect(),
        // A piece that begins with a relation belongs to the previous piece. It has no name.
        None => list.split(',').collect(),
    }
}

/// Returns the strings in quotes of either kind. Specifications contain no escapes.
fn quoted(mut list: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let start = list.find(['\'', '"'])?;
        let quote = if list[start..].starts_with('"') { '"' } else { '\'' };
        let (item, rest) = list[start + 1..].split_once(quote)?;
        list = rest;
        Some(item)
    })
}

/// Removes records of removed files and leaves the rest of the text unchanged. Returns `None` if no file was removed,
/// or the text is not a record.
pub fn without_files(text: &str, is_gone: &dyn Fn(&str) -> bool) -> Option<String> {
    let record = value_at(text, 0)?;
    let files = member(text, &record, "files").and_then(|files| elements(text, &files));
    let details = member(text, &record, "paths_data").and_then(|details| member(text, &details, "paths"));
    let details = details.and_then(|details| elements(text, &details));
    let mut lists = Vec::new();
    lists.extend(files.map(|files| cuts(&files, |file| string(text, file).is_some_and(|path| is_gone(&path)))));
    lists.extend(details.map(|details| {
        let path = |detail: &Range<usize>| string(text, &member(text, detail, "_path")?);
        cuts(&details, |detail| path(detail).is_some_and(|path| is_gone(&path)))
    }));
    let mut cuts = lists.concat();
    cuts.sort_unstable_by_key(|cut| cut.start);
    (!cuts.is_empty()).then(|| cut_out(text, &cuts))
}

/// The elements of a JSON array.
#[derive(Debug)]
struct Elements {
    places: Vec<Range<usize>>,
    /// The text between the brackets.
    inside: Range<usize>,
}

/// Returns the ranges to cut out of an array to remove elements, each with the comma before or after it.
fn cuts(elements: &Elements, goes: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let Elements { places, inside } = elements;
    let going = places.iter().map(goes).collect::<Vec<_>>();
    let Some(first) = going.iter().position(|goes| !goes) else {
        // Python writes an empty array without white space.
        return if places.is_empty() { Vec::new() } else { vec![inside.clone()] };
    };
    let mut cuts = Vec::new();
    if first > 0 {
        cuts.push(places[0].start..places[first].start);
    }
    let pairs = places.windows(2).zip(&going[1..]).skip(first);
    cuts.extend(pairs.filter(|(_, goes)| **goes).map(|(pair, _)| pair[0].end..pair[1].end));
    cuts
}

/// Returns the text without some ranges, which must be in order.
fn cut_out(text: &str, cuts: &[Range<usize>]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for cut in cuts {
        kept += text.get(at..cut.start).unwrap_or_default();
        at = cut.end;
    }
    kept + text.get(at..).unwrap_or_default()
}

/// Returns the range of the JSON value at a position, after white space.
fn value_at(text: &str, at: usize) -> Option<Range<usize>> {
    let start = skip_space(text, at);
    let mut values = serde_json::Deserializer::from_str(text.get(start..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(start..start + values.byte_offset())
}

fn skip_space(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    text.len() - rest.trim_start_matches([' ', '\n', '\r', '\t']).len()
}

/// Returns the position after a character, which may follow white space.
fn after(text: &str, at: usize, character: char) -> Option<usize> {
    let start = skip_space(text, at);
    text.get(start..)?.starts_with(character).then(|| start + character.len_utf8())
}

/// Returns the elements of the array at a range. Returns `None` if it is not an array.
fn elements(text: &str, array: &Range<usize>) -> Option<Elements> {
    let start = after(text, array.start, '[')?;
    let mut places = Vec::new();
    let mut next = start;
    while let Some(place) = value_at(text, next).filter(|place| place.end < array.end) {
        next = after(text, place.end, ',').unwrap_or(array.end);
        places.push(place);
    }
    Some(Elements { places, inside: start..array.end - 1 })
}

/// Returns the value of a key in the object at a range. The last of several equal keys counts, as in Python.
fn member(text: &str, object: &Range<usize>, key: &str) -> Option<Range<usize>> {
    let mut found = None;
    let mut next = after(text, object.start, '{')?;
    while let Some(name) = value_at(text, next).filter(|name| name.end < object.end) {
        let value = value_at(text, after(text, name.end, ':')?)?;
        next = after(text, value.end, ',').unwrap_or(object.end);
        if string(text, &name).is_some_and(|name| name == key) {
            found = Some(value);
        }
    }
    found
}

fn string(text: &str, place: &Range<usize>) -> Option<String> {
    serde_json::from_str(text.get(place.clone())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As written by conda 25, shortened.
    const RECORD: &str = r#"{
  "build": "pyh145f28c_0",
  "build_number": 0,
  "channel": "https://conda.anaconda.org/conda-forge/noarch",
  "constrains": [],
  "depends": [
    "__osx >=11.0",
    "python >=3.13.0a0",
    "libzlib>=1.3,<2.0a0",
    "conda-forge::setuptools[version='>=60']"
  ],
  "extracted_package_dir": "/opt/conda/pkgs/pip-25.0.1-pyh145f28c_0",
  "features": "",
  "files": [
    "bin/pip",
    "lib/python3.13/site-packages/pip/__init__.py",
    "lib/python3.13/site-packages/pip/\u00e4.py"
  ],
  "fn": "pip-25.0.1-pyh145f28c_0.conda",
  "link": {
    "source": "/opt/conda/pkgs/pip-25.0.1-pyh145f28c_0",
    "type": 1
  },
  "name": "pip",
  "paths_data": {
    "paths": [
      {
        "_path": "bin/pip",
        "path_type": "unix_python_entry_point",
        "size_in_bytes": 224
      },
      {
        "_path": "lib/python3.13/site-packages/pip/__init__.py",
        "path_type": "hardlink",
        "sha256": "31b2c6816786d9b878092e17180faa57e7606ab33a6501d8baccdab7f979e62c",
        "size_in_bytes": 357
      },
      {
        "_path": "lib/python3.13/site-packages/pip/\u00e4.py",
        "path_type": "hardlink",
        "size_in_bytes": 0
      }
    ],
    "paths_version": 1
  },
  "timestamp": 1720974522888,
  "url": "https://conda.anaconda.org/conda-forge/noarch/pip-25.0.1-pyh145f28c_0.conda",
  "version": "25.0.1"
}"#;

    const HISTORY: &str = "==> 2018-03-07 10:00:00 <==\n\
        # cmd: /opt/conda/bin/conda create -n x python\n\
        # create specs: python>=3.5.1,jupyter >=1.0.0,<2.0,Matplotlib >=1.5.1,<2.0\n\
        +defaults::python-3.6.6-hc167b69_0\n\
        ==> 2025-03-14 13:51:04 <==\n\
        # cmd: /opt/conda/bin/conda install python=3.13 python_abi=*=*_cp313t pip\n\
        # conda version: 25.1.2\n\
        +conda-forge/noarch::pip-25.0.1-pyh145f28c_0\n\
        # update specs: ['python_abi[build=*_cp313t]', 'python=3.13', \"numpy[version='>=1.0']\", 'nomkl@']\n\
        ==> 2025-03-15 13:51:04 <==\n\
        # remove specs: ['jupyter']\n\
        # neutered specs: [\"conda-forge::pip\"]\n\
        # update specs: ['https://conda.anaconda.org/conda-forge/noarch/ca-certificates-2025.1.31-hf0a4a13_0.conda']\n";

    fn names(paths: &[RootfsPath]) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_record_names_its_package_its_needs_and_its_files() {
        let record = CondaRecord::parse(RECORD).unwrap();
        assert_eq!([&record.name, &record.version, &record.build], ["pip", "25.0.1", "pyh145f28c_0"]);
        assert_eq!(record.depends, ["__osx", "python", "libzlib", "setuptools"]);
        let files =
            ["bin/pip", "lib/python3.13/site-packages/pip/__init__.py", "lib/python3.13/site-packages/pip/ä.py"];
        assert_eq!(names(&record.files), files);
    }

    #[test]
    fn what_a_record_lacks_counts_as_empty() {
        assert_eq!(
            CondaRecord::parse(r#"{"name": "a"}"#).unwrap(),
            CondaRecord { name: "a".into(), ..CondaRecord::default() }
        );
        let odd = r#"{"name": "a", "depends": null, "files": {}, "paths_data": {"paths": [{"_path": "b"}, 1]}}"#;
        assert_eq!(names(&CondaRecord::parse(odd).unwrap().files), ["b"]);
        let escaping = CondaRecord::parse(r#"{"name": "a", "files": ["../b", "", "c", 1]}"#).unwrap();
        assert_eq!(names(&escaping.files), ["c"]);
    }

    #[test]
    fn what_is_no_record_is_told() {
        assert!(matches!(CondaRecord::parse("{"), Err(RecordError::Json(_))));
        assert!(matches!(CondaRecord::parse(&"[".repeat(100_000)), Err(RecordError::Json(_))));
        for unnamed in ["{}", "[]", "1", r#"{"name": 1}"#, r#"{"name": ""}"#] {
            assert!(matches!(CondaRecord::parse(unnamed), Err(RecordError::Name)), "{unnamed}");
        }
    }

    #[test]
    fn files_that_are_gone_go_from_both_lists_and_the_rest_is_not_touched() {
        let without = |gone: &[&str]| without_files(RECORD, &|path| gone.contains(&path));
        assert_eq!(without(&["bin"]), None);
        for gone in [
            &["bin/pip"][..],
            &["lib/python3.13/site-packages/pip/__init__.py"],
            &["lib/python3.13/site-packages/pip/ä.py"],
            &["bin/pip", "lib/python3.13/site-packages/pip/ä.py"],
        ] {
            let left = without(gone).unwrap();
            let mut expected = serde_json::from_str::<Value>(RECORD).unwrap();
            let goes = |path: &Value| gone.contains(&path.as_str().unwrap());
            expected["files"].as_array_mut().unwrap().retain(|path| !goes(path));
            expected["paths_data"]["paths"].as_array_mut().unwrap().retain(|path| !goes(&path["_path"]));
            assert_eq!(left, serde_json::to_string_pretty(&expected).unwrap().replace('ä', "\\u00e4"));
        }
    }

    #[test]
    fn lists_of_which_all_is_gone_are_empty_ones_and_compact_records_stay_compact() {
        let left = without_files(RECORD, &|_| true).unwrap();
        assert!(left.contains("\"files\": [],\n") && left.contains("\"paths\": [],\n"));
        let compact = r#"{"paths_data":{"paths":[{"_path":"a"},{"_path":"b"}]},"files":["a","b"],"timestamp":1534356589.1070001}"#;
        let left = without_files(compact, &|path| path == "a").unwrap();
        assert_eq!(left, r#"{"paths_data":{"paths":[{"_path":"b"}]},"files":["b"],"timestamp":1534356589.1070001}"#);
        let left = without_files(compact, &|path| path == "b").unwrap();
        assert_eq!(left, r#"{"paths_data":{"paths":[{"_path":"a"}]},"files":["a"],"timestamp":1534356589.1070001}"#);
    }

    #[test]
    fn a_text_that_is_no_record_is_not_edited() {
        for text in ["", "{", "[]", "{\"files\": [\"a\"", "{\"files\": \"a\"}", "{\"files\": [1, {}]}"] {
            assert_eq!(without_files(text, &|_| true), None, "{text}");
        }
    }

    #[test]
    fn the_history_says_what_was_asked_for_and_not_removed_again() {
        let names = requested(HISTORY).into_iter().collect::<Vec<_>>();
        assert_eq!(names, ["ca-certificates", "matplotlib", "numpy", "pip", "python", "python_abi"]);
        assert!(requested("").is_empty() && requested("# update specs: ['\n# x specs:\n#\n").is_empty());
    }
}
