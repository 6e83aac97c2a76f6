//! Input that was made to hurt: each costs little, ends at once, and is refused in a line or read as Docker reads it.
//!
//! The program runs with a limit on its address space, so that memory that grows with the input fails the test.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::support::image::{read_json, root, write_blob, write_index};
use crate::support::tools::run;
use crate::support::{Image, Layer, Run, pydock, tree};

/// Bytes of address space. The program maps stacks and arenas that it never touches.
const ADDRESS_SPACE: u64 = 6 << 30;
/// What a run may take at most. They take milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Runs the program with little memory; returns its exit code and what it printed on standard error.
fn limited(run: Run) -> (Option<i32>, String) {
    let inner = run.command();
    let mut command = Command::new("bash");
    let limit = format!("ulimit -v {}; exec \"$0\" \"$@\"", ADDRESS_SPACE >> 10);
    command.arg("-c").arg(limit).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child =
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let mut pipe = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    });
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("no end after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    (child.wait().unwrap().code(), reader.join().unwrap())
}

fn slim(folder: &Path) -> (Option<i32>, String, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let to = format!("oci:{}", place.path().join("out").display());
    let (code, error) = limited(pydock(["slim", "-q", &format!("oci:{}", folder.display()), &to]));
    (code, error, place)
}

/// Slims a layout that must be refused with these words.
fn refused(folder: &Path, words: &str) {
    let (code, error, place) = slim(folder);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains(words), "{words}: {error}");
    assert!(!error.contains("panicked") && error.len() < 2000, "{error}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "something was written: {error}");
}

fn refused_image(image: &Image, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    refused(folder.path(), words);
}

/// Slims an image with this layer, which must be read and rewritten; returns what umoci, and so Go, unpacks.
fn read_tar(tar: Vec<u8>) -> String {
    let folder = tempfile::tempdir().unwrap();
    Image::new([Layer::of(&["f usr/lib/x.py 1"]), Layer::raw(tar)]).write(folder.path());
    let out = format!("oci:{}:x", folder.path().join("out").display());
    let from = format!("oci:{}", folder.path().display());
    let (code, error) = limited(pydock(["slim", "-q", "--remove", "gone", &from, &out]));
    assert_eq!(code, Some(0), "{error}");
    let bundle = folder.path().join("bundle");
    run("umoci", ["unpack".as_ref(), "--image".as_ref(), folder.path().join("out:x").as_path(), bundle.as_path()]);
    let tree = tree::of_folder(&bundle.join("rootfs"));
    assert!(!tree.contains_key(&b"gone"[..]));
    tree.iter().map(|(path, what)| format!("{} {what}\n", tree::show(path))).collect()
}

fn header(kind: EntryType, path: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_cksum();
    header
}

fn member(header: &Header, data: &[u8]) -> Vec<u8> {
    let mut bytes = [header.as_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(path: &str, text: &str) -> Vec<u8> {
    member(&header(EntryType::Regular, path, text.len() as u64), text.as_bytes())
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        pydock::layer::pax::push_record(&mut data, key.as_bytes(), value);
    }
    member(&header(EntryType::XHeader, "PaxHeaders/x", data.len() as u64), &data)
}

fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [file("gone", "1"), parts.concat(), vec![0; 1024]].concat()
}

#[test]
fn a_history_that_is_not_of_objects_is_refused() {
    for history in [json!(["x"]), json!([1, null])] {
        let mut image = Image::of(&[&["f a 1"], &["f a/__pycache__/b.pyc 1"]]);
        image.config["history"] = history;
        refused_image(&image, "line 1 of the config's history is not an object");
    }
}

#[test]
fn an_index_json_of_the_destination_that_is_not_an_index_is_left_alone() {
    for text in ["[]", "\"x\"", "7", "{\"manifests\": 7}", "{\"manifests\": {}}", "{"] {
        let source = tempfile::tempdir().unwrap();
        Image::of(&[&["f a 1"]]).write(source.path());
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("index.json"), text).unwrap();
        let to = format!("oci:{}:new", place.path().display());
        let (code, error) = limited(pydock(["slim", "-q", &format!("oci:{}", source.path().display()), &to]));
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("`index.json` in the OCI layout"), "{error}");
        assert_eq!(std::fs::read_to_string(place.path().join("index.json")).unwrap(), text);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "something was written beside it");
    }
}

#[test]
fn an_index_that_lists_one_document_a_hundred_times_on_each_level_is_copied_once() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::of(&[&["f a 1"]]).write_blobs(folder.path());
    let artifact = write_blob(folder.path(), "text/plain", b"artifact");
    let config = write_blob(folder.path(), "application/vnd.example+json", b"{}");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [artifact]});
    let mut inner = write_blob(folder.path(), MANIFEST, manifest.to_string().as_bytes());
    for _ in 0..5 {
        let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![inner; 100]});
        inner = write_blob(folder.path(), INDEX, list.to_string().as_bytes());
    }
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, inner]});
    let list = write_blob(folder.path(), INDEX, list.to_string().as_bytes());
    write_index(folder.path(), &[list]);
    let (code, error, place) = slim(folder.path());
    assert_eq!(code, Some(0), "{error}");
    let index = read_json(&place.path().join("out"), &root(&place.path().join("out")));
    assert_eq!(index["manifests"][1]["digest"], inner_digest(folder.path()));
}

fn inner_digest(folder: &Path) -> Value {
    read_json(folder, &root(folder))["manifests"][1]["digest"].clone()
}

#[test]
fn indexes_that_are_nested_too_deep_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::of(&[&["f a 1"]]).write_blobs(folder.path());
    let mut inner = image.clone();
    for _ in 0..20 {
        let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]});
        inner = write_blob(folder.path(), INDEX, list.to_string().as_bytes());
    }
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, inner]});
    let list = write_blob(folder.path(), INDEX, list.to_string().as_bytes());
    write_index(folder.path(), &[list]);
    refused(folder.path(), "indexes are nested more than 8 deep");
}

#[test]
fn an_index_of_many_large_configs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let padding = "x".repeat(7 << 20);
    let entries = (0..40).map(|number| {
        let mut image = Image::of(&[&["f a 1"]]);
        image.config["padding"] = format!("{number}{padding}").into();
        image.write_blobs(folder.path())
    });
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries.collect::<Vec<_>>()});
    let list = write_blob(folder.path(), INDEX, list.to_string().as_bytes());
    write_index(folder.path(), &[list]);
    refused(folder.path(), "bytes of manifests and configs");
}

#[test]
fn a_name_that_linux_does_not_allow_is_refused_in_a_short_line() {
    for (name, record) in
        [("a".repeat(256), "path"), ("a/".repeat(400_000), "path"), ("b".repeat(1_000_000), "linkpath")]
    {
        let kind = if record == "path" { EntryType::Regular } else { EntryType::Symlink };
        let layer = tar(&[pax(&[(record, name.as_bytes())]), member(&header(kind, "short", 0), b"")]);
        refused_image(&Image::new([Layer::raw(layer)]), "is longer than Linux allows");
    }
}

#[test]
fn headers_before_one_entry_have_a_limit() {
    let comment = vec![b'x'; (1 << 20) - 100];
    let many = (0..40).map(|_| pax(&[("comment", &comment)])).collect::<Vec<_>>().concat();
    let layer = tar(&[file("a", "1"), many, member(&header(EntryType::Link, "b", 0), b"")]);
    refused_image(
        &Image::new([Layer::raw(layer)]),
        "the headers of the entry at byte 2048 are larger than 8388608 bytes",
    );
}

#[test]
fn records_of_gigabytes_in_sum_are_refused() {
    // 1,100 files of one megabyte: zeros, which compress to nothing.
    let text = "\n".repeat(1 << 20);
    let records = (0..1100).map(|number| file(&format!("site/p{number}-1.dist-info/RECORD"), &text));
    let layer = tar(&[records.collect::<Vec<_>>().concat()]);
    refused_image(&Image::new([Layer::raw(layer)]), "bytes of package records and sources that pydock has to keep");
}

#[test]
fn a_package_database_of_many_packages_and_marks_takes_no_time() {
    let (mut status, mut marks, mut list) = (String::new(), String::new(), Vec::new());
    for number in 0..20_000 {
        status += &format!("Package: p{number}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n");
        marks += &format!("Package: p{number}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        list.push(file(&format!("var/lib/dpkg/info/p{number}.list"), "/.\n"));
    }
    let states = [file("var/lib/dpkg/status", &status), file("var/lib/apt/extended_states", &marks)];
    let folder = tempfile::tempdir().unwrap();
    Image::new([Layer::raw(tar(&[states.concat(), list.concat()]))]).write(folder.path());
    let (code, error, _) = slim(folder.path());
    assert_eq!(code, Some(0), "{error}");
}

#[test]
fn a_pax_value_may_hold_any_byte() {
    // What Docker writes for a file of `cap_dac_override,cap_fowner=ep`: the second capability is a line end.
    let capability = b"\x01\0\0\x02\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let records = [("SCHILY.xattr.security.capability", &capability[..]), ("path", b"usr/bin/\xff\n")];
    let tree = read_tar(tar(&[pax(&records), file("short", "text")]));
    assert!(tree.contains("usr/bin/\\xff\\x0a") && tree.contains("security.capability"), "{tree}");
}

#[test]
fn tars_are_read_as_docker_reads_them() {
    let mut other_version = header(EntryType::Regular, "name", 1);
    other_version.as_mut_bytes()[263..265].copy_from_slice(b"  ");
    other_version.as_mut_bytes()[345..351].copy_from_slice(b"prefix");
    other_version.set_cksum();
    let mut link = header(EntryType::Symlink, "link", 77);
    link.as_old_mut().linkname[..6].copy_from_slice(b"target");
    link.set_cksum();
    let mut blank = header(EntryType::Directory, "blank/", 0);
    blank.as_old_mut().size.fill(b' ');
    blank.set_cksum();
    let last_counts = [pax(&[("path", b"first"), ("comment", b"x")]), pax(&[("comment", b"y")])].concat();
    for (what, parts, path) in [
        ("the last of several extension headers", vec![last_counts, file("own", "1")], "own"),
        ("a prefix of another version", vec![member(&other_version, b"1")], "prefix/name"),
        ("a link with a size", vec![member(&link, b""), file("after", "1")], "after"),
        ("a blank size field", vec![member(&blank, b""), file("after", "1")], "blank"),
        ("an empty value", vec![pax(&[("path", b""), ("size", b"")]), file("own", "1")], "own"),
        ("an extension header at the end", vec![file("own", "1"), pax(&[("path", b"x")])], "own"),
    ] {
        let tree = read_tar(tar(&parts));
        assert!(tree.contains(path) && !tree.contains("first"), "{what}: {tree}");
    }
}

#[test]
fn what_docker_loads_but_pydock_refuses_is_not_called_damaged() {
    let unknown = member(&header(EntryType::new(b'Q'), "odd", 1), b"1");
    for (layer, words) in [
        (tar(&[unknown]), "has an unknown type"),
        ([tar(&[file("a", "1")]), b"more".to_vec()].concat(), "trailing bytes"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        Image::new([Layer::raw(layer)]).write(folder.path());
        let (_, error, _) = slim(folder.path());
        assert!(error.contains(words) && !error.contains("damaged"), "{error}");
    }
}

#[test]
fn a_fifo_or_a_link_in_a_shared_folder_for_temporary_files_stops_nobody() {
    let shared = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    Image::of(&[&["f a 1"]]).write(source.path());
    for name in [".pydock-fifo", ".pydock-link"] {
        std::fs::create_dir(shared.path().join(name)).unwrap();
    }
    assert!(Command::new("mkfifo").arg(shared.path().join(".pydock-fifo/lock")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", shared.path().join(".pydock-link/lock")).unwrap();
    let to = format!("oci-archive:{}", shared.path().join("out.tar").display());
    let run = pydock(["slim", "-q", &format!("oci:{}", source.path().display()), &to]).env("TMPDIR", shared.path());
    assert_eq!(limited(run), (Some(0), String::new()));
}

#[test]
fn nothing_that_is_printed_can_move_the_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::of(&[&["f a 1"], &["f a/__pycache__/b.pyc 1"]]);
    image.history(&["RUN \u{1b}[2J\u{9b}31m\u{202e}evil", "RUN two"]).write(folder.path());
    let source = format!("oci:{}", folder.path().display());
    for format in ["table", "json"] {
        let ran = pydock(["slim", "--dry-run", "--format", format, &source]).ok();
        let hostile = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
        assert!(!ran.stdout.contains(hostile) && !ran.stderr.contains(hostile), "{}", ran.stdout);
        assert!(ran.stdout.contains("\\u001b[2J"), "{}", ran.stdout);
    }
    let error = pydock(["slim", "-q", "oci:/nowhere\u{1b}[31m", "oci:/nowhere/else"]).error();
    assert!(!error.contains('\u{1b}'), "{error}");
}

#[test]
fn a_standard_error_that_is_closed_is_no_reason_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    Image::of(&[&["f a 1"]]).write(folder.path());
    let to = folder.path().join("out.tar");
    let run = pydock(["slim", &format!("oci:{}", folder.path().display()), &format!("oci-archive:{}", to.display())]);
    let mut command = run.command();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command.stderr(writer).stdout(Stdio::null()).status().unwrap();
    assert!(status.success() && to.exists());
}

#[test]
fn a_standard_output_that_is_full_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = pydock(["profiles"]).command();
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.starts_with("error: cannot write `standard output`"), "{error}");
}

#[test]
fn a_file_beside_the_image_that_cannot_be_written_leaves_the_destination_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    Image::of(&[&["f a 1"]]).write(folder.path());
    let source = format!("oci:{}", folder.path().display());
    for option in ["--report", "--digest-file", "--plan"] {
        for path in ["/dev/full", "/nowhere/file", "/"] {
            let to = folder.path().join("out.tar");
            let error = pydock(["slim", "-q", option, path, &source, &format!("oci-archive:{}", to.display())]).error();
            assert!(error.starts_with(&format!("error: cannot write `{path}`")), "{error}");
            assert!(!to.exists());
        }
    }
}

#[test]
fn a_login_file_that_is_malformed_is_never_quoted() {
    for text in
        [r#"{"auths":{"H":"s3cretPW"}}"#, r#"{"auths":"s3cretPW"}"#, r#"{"auths":{"H":{"auth":"s3cretPW""#, "s3cretPW"]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(folder.path().join("config.json")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let error =
            pydock(["slim", "-q", "127.0.0.1:1/a:1", "127.0.0.1:1/b:1"]).env("DOCKER_CONFIG", folder.path()).error();
        assert!(error.contains("is not what `docker login` writes") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_compressed_docker_archive_is_read() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("image");
    Image::of(&[&["f a 1"]]).write(&folder);
    let archive = place.path().join("image.tar");
    let name = |path: &Path| format!("docker-archive:{}", path.display());
    pydock(["slim", "-q", &format!("oci:{}", folder.display()), &format!("{}:a:1", name(&archive))]).ok();
    assert!(Command::new("gzip").arg(&archive).status().unwrap().success());
    let out = place.path().join("out");
    pydock(["slim", "-q", &name(&place.path().join("image.tar.gz")), &format!("oci:{}", out.display())]).ok();
    assert_eq!(tree::of_layout(&out), tree::of_layout(&folder));
}
