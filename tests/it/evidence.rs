//! What evidence keeps and what it lets go, on small images: Python, packages, names of programs and libraries.

use serde_json::Value;

use crate::support::{Image, Layer, pydock, tree};
use pydock::profile::Profile;

const SITE: &str = "usr/local/lib/python3.11/site-packages";

/// Slims an image of these files; returns the paths that are left and the report.
fn slimmed(files: &[(&str, &str)], options: &[&str]) -> (Vec<String>, Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let python = [("usr/local/lib/python3.11/os.py", ""), ("usr/local/lib/python3.11/encodings/__init__.py", "")];
    let lines = python.iter().chain(files).map(|(path, text)| match text.strip_prefix("-> ") {
        Some(target) => format!("l {path} -> {target}"),
        None => format!("f {path} {text}"),
    });
    let lines = lines.collect::<Vec<_>>();
    Image::of(&[&lines.iter().map(String::as_str).collect::<Vec<_>>()]).write(&folder.path().join("in"));
    let out = folder.path().join("out");
    let ran = pydock(["slim", "-q", "--format", "json"])
        .arg(format!("oci:{}", folder.path().join("in").display()))
        .arg(format!("oci:{}", out.display()))
        .args(options)
        .ok();
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let left =
        tree::of_layout(&out).into_iter().filter(|(_, line)| !line.starts_with('d')).map(|(path, _)| tree::show(&path));
    (left.collect(), report["images"][0].clone(), folder)
}

fn kept(report: &Value, path: &str) -> String {
    let list = report["kept"].as_array().unwrap();
    let item = list.iter().find(|item| item["path"] == path).unwrap_or_else(|| panic!("{path} is not kept: {report}"));
    item["reason"].to_string()
}

fn packages(report: &Value, key: &str) -> Vec<String> {
    report[key].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn site(path: &str) -> String {
    format!("{SITE}/{path}")
}

#[test]
fn tests_that_a_kept_module_imports_stay_with_what_they_import_and_the_others_go() {
    let path = |name: &str| site(&format!("pkg/tests/{name}"));
    let files = [
        (
            site("pkg/__init__.py"),
            "def f():\n    try:\n        from .tests import helper\n    except ImportError:\n        pass",
        ),
        (path("__init__.py"), ""),
        (path("helper.py"), "import pkg.tests.deep.more"),
        (path("deep/__init__.py"), ""),
        (path("deep/more.py"), ""),
        (path("test_x.py"), "import pkg.tests.unused"),
        (path("unused.py"), ""),
    ];
    let files = files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>();
    let (left, report, _) = slimmed(&files, &[]);
    for name in ["__init__.py", "helper.py", "deep/__init__.py", "deep/more.py"] {
        assert!(left.contains(&path(name)), "{name}: {left:?}");
    }
    for name in ["test_x.py", "unused.py"] {
        assert!(!left.contains(&path(name)), "{name}");
    }
    assert_eq!(
        kept(&report, &path("helper.py")),
        r#"{"kind":"import","from":"usr/local/lib/python3.11/site-packages/pkg/__init__.py","line":3}"#
    );
}

#[test]
fn an_import_for_type_checkers_keeps_nothing_and_data_beside_a_file_stays() {
    let files = [
        (site("a/__init__.py"), "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.tests.types"),
        (site("a/tests/types.py"), ""),
        (
            site("b/__init__.py"),
            "import os\nd = os.path.join(os.path.dirname(__file__), 'tests', 'data')\nx = 'tests/data/t.csv'",
        ),
        (site("b/tests/data/t.csv"), "1"),
        (site("b/tests/test_b.py"), ""),
        (site("c/__init__.py"), "from importlib import resources\nt = resources.files('c.tests')"),
        (site("c/tests/__init__.py"), ""),
        (site("c/tests/other.py"), ""),
    ];
    let files = files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>();
    let (left, ..) = slimmed(&files, &[]);
    assert!(!left.contains(&site("a/tests/types.py")));
    assert!(left.contains(&site("b/tests/data/t.csv")) && !left.contains(&site("b/tests/test_b.py")));
    assert!(left.contains(&site("c/tests/__init__.py")) && !left.contains(&site("c/tests/other.py")));
}

#[test]
fn entry_points_path_files_and_the_applications_own_sources_are_evidence() {
    let files = [
        (site("p-1.dist-info/entry_points.txt"), "[pytest11]\np = p.tests.plugin:hook\n"),
        (site("p-1.dist-info/RECORD"), "p/__init__.py,,\np/tests/plugin.py,,\np/tests/test_p.py,,\n"),
        (site("p/__init__.py"), ""),
        (site("p/tests/plugin.py"), ""),
        (site("p/tests/test_p.py"), ""),
        (site("q/__init__.py"), ""),
        (site("q/tests/start.py"), ""),
        (site("q.pth"), "import q.tests.start\n"),
        (site("r/__init__.py"), ""),
        (site("r/tests/tool.py"), ""),
        ("app/main.py".to_owned(), "import importlib\nimportlib.import_module('r.tests.tool')"),
        ("app/tests/test_main.py".to_owned(), ""),
    ];
    let files = files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>();
    let (left, report, folder) = slimmed(&files, &[]);
    for path in ["p/tests/plugin.py", "q/tests/start.py", "r/tests/tool.py"] {
        assert!(left.contains(&site(path)), "{path}");
    }
    assert!(left.contains(&"app/tests/test_main.py".to_owned()), "an application's own tests stay");
    assert!(!left.contains(&site("p/tests/test_p.py")));
    assert_eq!(report["edited"][0]["path"], site("p-1.dist-info/RECORD"));
    let explained = pydock(["explain", "-q"])
        .arg(format!("oci:{}", folder.path().join("in").display()))
        .args([site("p/tests/test_p.py"), site("r/tests/tool.py"), "nowhere".to_owned()])
        .ok();
    insta::assert_snapshot!("explain", explained.stdout);
}

/// A Debian image: `gcc` was asked for and pulled `lib` in, `libmagic1` came by itself, git and convert were asked for too.
fn debian<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let status = "\
Package: base\nStatus: install ok installed\nPriority: required\nArchitecture: amd64\nSection: admin\n\n\
Package: gcc\nStatus: install ok installed\nArchitecture: amd64\nSection: devel\nDepends: lib (>= 1)\n\n\
Package: lib\nStatus: install ok installed\nArchitecture: amd64\nSection: libs\n\n\
Package: libmagic1\nStatus: install ok installed\nArchitecture: amd64\nSection: libs\n\n\
Package: git\nStatus: install ok installed\nArchitecture: amd64\nSection: vcs\n\n\
Package: imagemagick\nStatus: install ok installed\nArchitecture: amd64\nSection: graphics\n\n\
Package: server\nStatus: install ok installed\nArchitecture: amd64\nSection: net\n\n";
    let mut files = vec![
        ("var/lib/dpkg/status", status),
        (
            "var/lib/apt/extended_states",
            "Package: lib\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: libmagic1\nArchitecture: amd64\nAuto-Installed: 1\n\n",
        ),
        ("var/lib/dpkg/info/base.list", "/.\n/usr\n/usr/bin\n/usr/bin/sh\n"),
        ("var/lib/dpkg/info/gcc.list", "/usr/bin\n/usr/bin/gcc\n/usr/lib/gcc\n/usr/lib/gcc/cc1\n"),
        ("var/lib/dpkg/info/gcc.postinst", "#!/bin/sh\n"),
        ("var/lib/dpkg/info/lib.list", "/usr/lib\n/usr/lib/lib.so.1\n"),
        ("var/lib/dpkg/info/libmagic1.list", "/usr/lib\n/usr/lib/libmagic.so.1\n"),
        ("var/lib/dpkg/info/git.list", "/usr/bin/git\n"),
        ("var/lib/dpkg/info/imagemagick.list", "/usr/bin/convert\n"),
        ("var/lib/dpkg/info/server.list", "/usr/bin/server\n"),
        ("usr/bin/sh", "x"),
        ("usr/bin/gcc", "x"),
        ("usr/bin/cc", "-> /etc/alternatives/cc"),
        ("etc/alternatives/cc", "-> /usr/bin/gcc"),
        ("var/lib/dpkg/alternatives/cc", "auto\n/usr/bin/cc\n\n/usr/bin/gcc\n20\n\n"),
        ("usr/lib/gcc/cc1", "x"),
        ("usr/lib/lib.so.1", "x"),
        ("usr/lib/libmagic.so.1", "x"),
        ("usr/bin/git", "x"),
        ("usr/bin/convert", "x"),
        ("usr/bin/server", "x"),
        (".git/left", "x"),
        (
            "usr/local/lib/python3.11/site-packages/x-1.dist-info/RECORD",
            "x/__init__.py,,\nmagic/__init__.py,,\npip/x.py,,\n",
        ),
    ];
    files.extend_from_slice(more);
    files
}

#[test]
fn packages_go_whole_with_what_only_they_needed_and_the_database_tells_the_truth() {
    let (left, report, folder) = slimmed(&debian(&[]), &[]);
    assert_eq!(packages(&report, "removedPackages"), ["gcc", "lib", "libmagic1", "git", "imagemagick"]);
    assert_eq!(packages(&report, "keptPackages"), ["base", "server"]);
    let left = left.into_iter().filter(|path| !path.contains("python3.11")).collect::<Vec<_>>();
    assert_eq!(
        left,
        [
            "usr/bin/server",
            "usr/bin/sh",
            "var/lib/apt/extended_states",
            "var/lib/dpkg/info/base.list",
            "var/lib/dpkg/info/server.list",
            "var/lib/dpkg/status"
        ]
    );
    drop(folder);
    let (_, report, _) = slimmed(&debian(&[]), &["--level", "safe"]);
    assert!(packages(&report, "removedPackages").is_empty());
}

#[test]
fn a_package_stays_when_anything_names_its_program_or_library() {
    for (path, text, package) in [
        ("app/a.py", "subprocess.run(['git', 'clone', url])", "git"),
        ("app/a.py", "shutil.which('convert')", "imagemagick"),
        ("app/a.py", "subprocess.run('cat x | convert - y', shell=True)", "imagemagick"),
        ("app/start.sh", "#!/bin/sh\n# not gcc\nuntil git ls-remote; do :; done\nexec server", "git"),
        ("app/a.py", "os.system('gcc -c x.c')", "gcc"),
        ("app/a.py", "ctypes.CDLL('libmagic.so.1')", "libmagic1"),
        ("app/a.py", "ctypes.util.find_library('magic')", "libmagic1"),
        ("usr/local/lib/python3.11/site-packages/magic/__init__.py", "names = ['libmagic.so.1']", "libmagic1"),
        ("usr/local/lib/python3.11/site-packages/GitPython-3.1.dist-info/RECORD", "git/__init__.py,,\n", "git"),
        ("usr/local/lib/python3.11/site-packages/x/__init__.py", "subprocess.run(['git', 'rev-parse', 'HEAD'])", ""),
        ("usr/local/lib/python3.11/ctypes/util.py", "subprocess.run(['gcc', '-v'])", ""),
        ("usr/local/lib/python3.11/site-packages/pip/x.py", "call(['git', 'clone'])", ""),
    ] {
        let (_, report, _) = slimmed(&debian(&[(path, text)]), &[]);
        let kept = packages(&report, "keptPackages");
        let optional =
            kept.iter().filter(|name| !["base", "server"].contains(&name.as_str())).cloned().collect::<Vec<_>>();
        let expected = match package {
            "" => vec![],
            "gcc" => vec!["gcc", "lib"],
            other => vec![other],
        };
        assert_eq!(optional, expected, "{path}: {text}");
    }
}

#[test]
fn an_alpine_image_loses_its_build_dependencies_and_apks_database_is_true() {
    let installed = "P:musl\nA:x86_64\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\n\n\
P:.build-deps\nA:noarch\nD:gcc libffi-dev\n\n\
P:gcc\nA:x86_64\nD:so:libc.musl-x86_64.so.1 isl\nF:usr/bin\nR:gcc\n\n\
P:isl\nA:x86_64\nF:usr/lib\nR:libisl.so.23\n\n\
P:libffi-dev\nA:x86_64\nD:libffi\nF:usr/include\nR:ffi.h\n\n\
P:libffi\nA:x86_64\nF:usr/lib\nR:libffi.so.8\n\n\
P:ca-certificates\nA:noarch\nF:etc\nR:ca\n\n";
    let files = [
        ("lib/apk/db/installed", installed),
        ("etc/apk/world", "musl\nca-certificates\n.build-deps=20240101.0\n"),
        ("lib/ld-musl-x86_64.so.1", "x"),
        ("usr/bin/gcc", "x"),
        ("usr/lib/libisl.so.23", "x"),
        ("usr/include/ffi.h", "x"),
        ("usr/lib/libffi.so.8", "x"),
        ("etc/ca", "x"),
        ("app/a.py", "ctypes.CDLL('libffi.so.8')"),
    ];
    let (left, report, folder) = slimmed(&files, &[]);
    assert_eq!(packages(&report, "removedPackages"), [".build-deps", "gcc", "isl", "libffi-dev"]);
    assert!(left.contains(&"usr/lib/libffi.so.8".to_owned()) && !left.contains(&"usr/lib/libisl.so.23".to_owned()));
    let out = folder.path().join("out");
    let (manifest, _) = crate::support::image::documents(&out);
    let layer = crate::support::image::read_blob(&out, &manifest["layers"][0]);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&layer[..]));
    let mut texts = std::collections::BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        texts.insert(tree::show(&entry.path_bytes()), text);
    }
    assert_eq!(texts["etc/apk/world"], "musl\nca-certificates\n");
    let names = texts["lib/apk/db/installed"].lines().filter_map(|line| line.strip_prefix("P:")).collect::<Vec<_>>();
    assert_eq!(names, ["musl", "libffi", "ca-certificates"]);
}

#[test]
fn what_cannot_be_read_is_reported_and_kept_and_never_a_crash() {
    let nested = format!("x = {}", "(".repeat(100_000));
    let large = format!("x = 1\n{}", "#".repeat(50_000_000));
    let files = [
        (
            "var/lib/dpkg/status",
            "garbage\n\nPackage: a\nStatus: install ok installed\n\nPackage: a\nStatus: install ok installed\n",
        ),
        ("var/lib/dpkg/info/a.list", "/usr/bin/a\n/usr/bin/a\n"),
        ("usr/bin/a", "x"),
        ("usr/bin/liar", "\u{7f}ELF\u{2}\u{1}\u{1} and nothing that is true"),
        ("app/nested.py", &nested),
        ("app/large.py", &large),
        ("app/broken.py", "import os\ndef (:\n"),
    ];
    let (left, report, _) = slimmed(&files, &[]);
    for path in ["usr/bin/a", "usr/bin/liar", "app/nested.py", "app/large.py", "app/broken.py"] {
        assert!(left.contains(&path.to_owned()), "{path}");
    }
    let unread =
        report["unread"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("unread", unread);
}

#[test]
fn sources_are_read_if_something_may_go_or_the_next_run_may_ask_them() {
    let files = [("app/broken.py", "import os\ndef (:\n")];
    let unread = |options: &[&str]| slimmed(&files, options).1["unread"].as_array().unwrap().len();
    let built_in = Profile::built_in();
    let without = built_in.iter().flat_map(|profile| ["--without", &profile.name]).collect::<Vec<_>>();
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().display().to_string();
    assert_eq!(unread(&[]), 1);
    assert_eq!(unread(&without), 0);
    assert_eq!(unread(&[&without[..], &["--remove", "some/path"]].concat()), 1);
    assert_eq!(unread(&[&without[..], &["--cache-dir", &cache]].concat()), 1);
}

#[test]
fn two_pythons_keep_apart_and_a_virtual_environment_belongs_to_its_home() {
    let venv = "app/.venv/lib/python3.11/site-packages";
    let files = [
        ("usr/lib/python3.11/os.py".to_owned(), ""),
        ("usr/lib/python3.11/encodings/__init__.py".to_owned(), ""),
        ("app/.venv/pyvenv.cfg".to_owned(), "home = /usr/local/bin\nversion = 3.11.2\n"),
        ("usr/local/bin/python3.11".to_owned(), "x"),
        (format!("{venv}/pkg/__init__.py"), "import pkg.tests.needed"),
        (format!("{venv}/pkg/tests/needed.py"), "import tkinter"),
        (format!("{venv}/pkg/tests/test_x.py"), ""),
        ("usr/local/lib/python3.11/tkinter/__init__.py".to_owned(), ""),
        ("usr/lib/python3.11/tkinter/__init__.py".to_owned(), ""),
    ];
    let files = files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>();
    let (left, ..) = slimmed(&files, &[]);
    assert!(
        left.contains(&format!("{venv}/pkg/tests/needed.py")) && !left.contains(&format!("{venv}/pkg/tests/test_x.py"))
    );
    assert!(left.contains(&"usr/local/lib/python3.11/tkinter/__init__.py".to_owned()));
    assert!(!left.contains(&"usr/lib/python3.11/tkinter/__init__.py".to_owned()), "no file imports it there");
}

#[test]
fn a_header_that_a_module_of_its_package_parses_stays() {
    let (header, other) = (site("pkg/include/bitgen.h"), site("pkg/include/other.h"));
    let (init, module) = (site("pkg/__init__.py"), site("pkg/_examples/cffi/parse.py"));
    let between = site("pkg/_examples/cffi/__init__.py");
    let parser = "open(os.path.join(include, 'bitgen.h'))";
    let files = [(&*header, ""), (&*other, ""), (&*init, ""), (&*between, ""), (&*module, parser)];
    let (left, ..) = slimmed(&files, &[]);
    assert!(left.contains(&header) && !left.contains(&other));
}

#[test]
fn stubs_stay_for_lazy_loaders() {
    let stub = site("pkg/__init__.pyi");
    let lazy = site("pkg/__init__.py");
    let loader = site("lazy_loader/__init__.py");
    let (left, ..) = slimmed(&[(&stub, "x: int"), (&lazy, "x = 1")], &[]);
    assert!(!left.contains(&stub));
    let (left, report, _) = slimmed(&[(&stub, "x: int"), (&lazy, "import lazy_loader as lazy"), (&loader, "")], &[]);
    assert!(left.contains(&stub));
    assert!(kept(&report, &stub).contains("the module lazy_loader"), "{report}");
}

#[test]
fn a_layer_of_text_only_keeps_its_blob_when_nothing_is_named() {
    let layer = Layer::of(&["f app/main.py import os"]);
    let folder = tempfile::tempdir().unwrap();
    Image::new([layer]).write(folder.path());
    let out = crate::images::slim(folder.path(), &["--level", "max"]);
    assert_eq!(crate::support::image::root(out.path())["digest"], crate::support::image::root(folder.path())["digest"]);
}
