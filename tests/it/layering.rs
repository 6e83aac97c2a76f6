//! What happens to the entries of layers, each rule as a table: layers and globs in, layers out.

use std::io::Read;

use crate::images::slim;
use crate::support::image::{documents, read_blob};
use crate::support::{Image, tree};

/// Slims layers as text; returns the entries of each new layer, in the notation of the builder.
fn slimmed(layers: &[&[&str]], options: &[&str]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    Image::of(layers).write(folder.path());
    let out = slim(folder.path(), options);
    let (manifest, _) = documents(out.path());
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| entries(&read_blob(out.path(), layer))).collect()
}

fn entries(blob: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(blob));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = tree::show(&entry.path_bytes());
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let link = entry.link_name_bytes().map(|link| tree::show(&link)).unwrap_or_default();
        match entry.header().entry_type() {
            tar::EntryType::Directory => format!("d {}", path.trim_end_matches('/')),
            tar::EntryType::Symlink => format!("l {path} -> {link}"),
            tar::EntryType::Link => format!("h {path} = {link}"),
            _ => format!("f {path} {text}").trim_end().to_owned(),
        }
    });
    entries.collect()
}

#[test]
fn entries_that_no_container_sees_are_dropped_with_the_whiteouts_that_hid_them() {
    for (summary, layers, expected) in [
        ("replaced", vec![&["f a 1", "f k"][..], &["f a 2"]], vec![vec!["f k"], vec!["f a 2"]]),
        ("whited out", vec![&["f a 1", "f k"], &["w a", "f b"]], vec![vec!["f k"], vec!["f b"]]),
        ("folder whited out", vec![&["d a", "f a/x", "f k"], &["w a"]], vec![vec!["f k"]]),
        ("opaque", vec![&["d a", "f a/x", "f k"], &["d a", "o a", "f a/y"]], vec![vec!["f k"], vec!["d a", "f a/y"]]),
        (
            "opaque at the end",
            vec![&["f a/x", "f k"], &["d a", "f a/y", "o a"]],
            vec![vec!["f k"], vec!["d a", "f a/y"]],
        ),
        ("file to folder", vec![&["f a 1", "f k"], &["d a", "f a/x"]], vec![vec!["f k"], vec!["d a", "f a/x"]]),
        ("folder to file", vec![&["d a", "f a/x", "f k"], &["f a 1"]], vec![vec!["f k"], vec!["f a 1"]]),
        ("folder to link", vec![&["d a", "f a/x", "f k"], &["l a -> k"]], vec![vec!["f k"], vec!["l a -> k"]]),
        ("twice in a layer", vec![&["f a 1", "f a 2"]], vec![vec!["f a 2"]]),
        ("whiteout of nothing", vec![&["f k"], &["w a", "f b"]], vec![vec!["f k"], vec!["f b"]]),
        ("removed and made again", vec![&["f a 1", "f k"], &["w a"], &["f a 2"]], vec![vec!["f k"], vec!["f a 2"]]),
    ] {
        assert_eq!(slimmed(&layers, &[]), expected, "{summary}");
    }
}

#[test]
fn a_folder_that_is_only_stated_again_costs_no_layer_its_identity() {
    let layers: [&[&str]; 2] = [&["d etc", "f etc/a"], &["d etc", "f etc/b"]];
    assert_eq!(slimmed(&layers, &[]), layers);
    let idle: [&[&str]; 2] = [&["d etc", "d x", "f etc/a", "f x/gone"], &["d etc", "d x", "w x/gone"]];
    assert_eq!(slimmed(&idle, &[]), [vec!["d etc", "f etc/a"], vec!["d etc", "d x"]]);
}

#[test]
fn a_removed_file_does_not_come_back_from_a_lower_layer() {
    let layers: [&[&str]; 3] = [&["f a 1", "f k"], &["f a 2"], &["f b"]];
    assert_eq!(slimmed(&layers, &["--remove", "a"]), [["f k"], ["f b"]]);
}

#[test]
fn a_hard_link_whose_first_name_goes_carries_the_data() {
    for (summary, layers, remove, expected) in [
        ("first of two", vec![&["f a data", "h b = a"][..]], "a", vec![vec!["f b data"]]),
        ("first of three", vec![&["f a data", "h b = a", "h c = a"]], "a", vec![vec!["f b data", "h c = b"]]),
        ("chain", vec![&["f a data", "h b = a", "h c = b"]], "b", vec![vec!["f a data", "h c = a"]]),
        ("last", vec![&["f a data", "h b = a"]], "b", vec![vec!["f a data"]]),
        ("all", vec![&["f a data", "h b = a", "f k"]], "[ab]", vec![vec!["f k"]]),
        ("shadowed", vec![&["f a data", "h b = a"], &["f a new"]], "x", vec![vec!["f b data"], vec!["f a new"]]),
        ("whited out", vec![&["f a data", "h b = a"], &["w a"]], "x", vec![vec!["f b data"]]),
        ("into a folder", vec![&["d t", "f t/a data", "d u", "h u/b = t/a"]], "t", vec![vec!["f u/b data", "d u"]]),
    ] {
        assert_eq!(slimmed(&layers, &["--remove", remove]), expected, "{summary}");
    }
}

#[test]
fn a_hard_link_across_layers_keeps_its_data_where_it_is() {
    let layers: [&[&str]; 2] = [&["f a data", "f k"], &["h b = a"]];
    assert_eq!(slimmed(&layers, &["--remove", "a"]), [vec!["f a data", "f k"], vec!["h b = a"]]);
    let hidden: [&[&str]; 3] = [&["f a data", "f x"], &["h b = a"], &["w a", "w x"]];
    assert_eq!(slimmed(&hidden, &[]), [vec!["f a data"], vec!["h b = a"], vec!["f .wh.a"]]);
    assert_eq!(slimmed(&hidden, &["--squash", "all"]), [["f b data"]]);
}

#[test]
fn an_entry_behind_a_symlink_that_goes_is_renamed_to_where_it_is() {
    let layers: [&[&str]; 3] = [&["d usr", "d usr/lib", "l lib -> usr/lib"], &["f lib/x 1"], &["d lib", "f lib/y 1"]];
    let expected = [vec!["d usr", "d usr/lib"], vec!["f usr/lib/x 1"], vec!["d lib", "f lib/y 1"]];
    assert_eq!(slimmed(&layers, &[]), expected);
    assert_eq!(slimmed(&layers, &["--squash", "all"]), [expected.concat()]);
    let stays: [&[&str]; 2] = [&["d usr", "d usr/lib", "l lib -> usr/lib"], &["f lib/x 1", "f lib/y.pyc 1"]];
    assert_eq!(slimmed(&stays, &["--remove", "usr/lib/*.pyc"])[1], ["f lib/x 1"]);
}

#[test]
fn squashing_keeps_one_statement_of_each_path() {
    let layers: [&[&str]; 3] = [&["d a", "f a/x 1", "f a/y 1"], &["d a", "f a/x 2"], &["w a/y", "d a", "f a/z 1"]];
    assert_eq!(slimmed(&layers, &["--squash", "all"]), [["f a/x 2", "d a", "f a/z 1"]]);
}

#[test]
fn what_a_symlink_leads_to_stays_unless_the_symlink_goes_too() {
    let layers: [&[&str]; 1] =
        [&["f t/a 1", "f t/b 1", "d t/c", "f t/c/d 1", "l x -> t/e", "l t/e -> ../t/a", "l y -> t/c"]];
    assert_eq!(
        slimmed(&layers, &["--remove", "t/*"])[0],
        ["f t/a 1", "d t/c", "f t/c/d 1", "l x -> t/e", "l t/e -> ../t/a", "l y -> t/c"]
    );
    assert_eq!(slimmed(&layers, &["--remove", "[txy]", "--remove", "t/*"])[0], Vec::<String>::new());
    let folder: [&[&str]; 1] = [&["d usr", "d usr/lib", "l lib -> usr/lib", "f usr/lib/a.h 1", "f usr/lib/b 1"]];
    assert_eq!(
        slimmed(&folder, &["--remove", "usr/lib/*.h"])[0],
        ["d usr", "d usr/lib", "l lib -> usr/lib", "f usr/lib/b 1"]
    );
}

#[test]
fn what_the_config_starts_or_names_and_what_the_person_keeps_stays() {
    let layers: [&[&str]; 1] = [&["d bin", "f bin/app 1", "f bin/true 1", "f bin/x 1", "f bin/y 1"]];
    assert_eq!(
        slimmed(&layers, &["--remove", "bin", "--keep", "bin/y"])[0],
        ["d bin", "f bin/app 1", "f bin/true 1", "f bin/y 1"]
    );
}

#[test]
fn layers_that_become_one_are_refitted_and_smaller_than_the_layers_that_they_were() {
    let text = |seed: u32| {
        let words = (0..20_000).map(|at: u32| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 20).to_string());
        words.collect::<Vec<_>>().join(" ")
    };
    let files = ["f a ", "f b ", "f c "].iter().zip(0..).map(|(file, seed)| format!("{file}{}", text(seed)));
    let files = files.collect::<Vec<_>>();
    let folder = tempfile::tempdir().unwrap();
    Image::of(&[&[&files[0], "f gone"], &[&files[1]], &[&files[2]]]).write(folder.path());
    let layers = |options: &[&str]| {
        let out = slim(folder.path(), options);
        let layers = documents(out.path()).0["layers"].as_array().unwrap().clone();
        (layers.iter().map(|layer| layer["size"].as_u64().unwrap()).sum::<u64>(), layers)
    };
    let (kept, _) = layers(&[]);
    let (squashed, one) = layers(&["--squash", "all"]);
    assert_eq!(one.len(), 1);
    assert!(squashed < kept * 99 / 100, "{squashed} of {kept}");
}
