//! What an application uses is kept, however it names it. Each test is a kind of evidence, each row a situation of that kind.
//!
//! The layers are text, as in `support::image`. The base image brings Python and the packages of a table; all of these came by
//! themselves (automatic), so that nothing but evidence keeps them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Image, pydock, tree};

const SITE: &str = "usr/local/lib/python3.11/site-packages";

/// Packages of the base: name, section, and their files. A file is written as `PATH` or `PATH -> TARGET`.
const PACKAGES: [(&str, &str, &[&str]); 27] = [
    ("git", "vcs", &["usr/bin/git"]),
    ("openssh-client", "net", &["usr/bin/ssh"]),
    ("ghostscript", "text", &["usr/bin/gs"]),
    ("file", "utils", &["usr/bin/file"]),
    ("make", "devel", &["usr/bin/make"]),
    ("gcc", "devel", &["usr/bin/gcc", "usr/lib/gcc/x86_64-linux-gnu/12/cc1"]),
    ("imagemagick", "graphics", &["usr/bin/convert"]),
    ("curl", "web", &["usr/bin/curl"]),
    ("vim", "editors", &["usr/bin/vim"]),
    ("xz-utils", "utils", &["usr/bin/xz"]),
    ("tar", "utils", &["usr/bin/tar"]),
    ("redis-tools", "database", &["usr/bin/redis-cli"]),
    ("gnupg", "utils", &["usr/bin/gpg"]),
    ("libgdal32", "libs", &["usr/lib/x86_64-linux-gnu/libgdal.so.32"]),
    ("libmagic1", "libs", &["usr/lib/x86_64-linux-gnu/libmagic.so.1"]),
    ("libjemalloc2", "libs", &["usr/lib/x86_64-linux-gnu/libjemalloc.so.2"]),
    ("spatialite", "libs", &["usr/lib/x86_64-linux-gnu/mod_spatialite.so"]),
    ("libsasl2-modules", "libs", &["usr/lib/x86_64-linux-gnu/sasl2/libplain.so.2"]),
    ("libnss-sss", "libs", &["usr/lib/x86_64-linux-gnu/libnss_sss.so.2"]),
    ("psqlodbc", "libs", &["usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so"]),
    ("librsvg2-common", "libs", &["usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-svg.so"]),
    ("wamerican", "text", &["usr/share/dict/words"]),
    ("fonts-dejavu-core", "fonts", &["usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"]),
    ("ca-certificates", "misc", &["usr/share/ca-certificates/mozilla/A.crt"]),
    ("delegates", "graphics", &["etc/ImageMagick-6/delegates.xml"]),
    ("nsswitch", "admin", &["etc/libnss.conf"]),
    ("libimage-exiftool-perl", "perl", &["usr/bin/exiftool"]),
];

/// An image of a base and of what an application adds.
struct Case {
    base: Vec<String>,
    app: Vec<String>,
    status: String,
    automatic: String,
    config: Value,
}

impl Case {
    fn new() -> Self {
        let lib = "usr/local/lib/python3.11";
        let base = ["/os.py", "/encodings/__init__.py"].map(|file| format!("f {lib}{file} "));
        let mut case = Self {
            base: base.to_vec(),
            app: vec!["f app/start ".to_owned()],
            status: String::new(),
            automatic: String::new(),
            config: json!({"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["/app/start"], "WorkingDir": "/app"}),
        };
        for (name, section, files) in PACKAGES {
            case.install(name, section, files, "", true);
        }
        case
    }

    /// Installs a package in the base.
    fn install(&mut self, name: &str, section: &str, files: &[&str], more: &str, is_automatic: bool) {
        self.status += &stanza(name, section, more);
        if is_automatic {
            self.automatic += &format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        }
        let list = files.iter().map(|file| format!("/{file}\n")).collect::<String>();
        self.base.push(format!("f var/lib/dpkg/info/{name}.list {list}"));
        self.base.extend(files.iter().map(|file| format!("f {file} {name}")));
    }

    /// Adds a file to the application's layer.
    fn file(mut self, path: &str, text: &str) -> Self {
        self.app.push(format!("f {path} {text}"));
        self
    }

    /// Adds an installed Python distribution of one module, with its RECORD.
    fn distribution(mut self, module: &str, text: &str) -> Self {
        self.app.push(format!("f {SITE}/{module} {text}"));
        self.app.push(format!("f {SITE}/d-1.dist-info/RECORD {module},,\n"));
        self
    }

    fn env(mut self, line: &str) -> Self {
        self.config["Env"].as_array_mut().unwrap().push(line.into());
        self
    }

    fn config(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    /// Slims the image; returns the paths that are left and the report.
    fn slim(&self, options: &[&str]) -> (BTreeSet<String>, Value) {
        let folder = tempfile::tempdir().unwrap();
        let mut base = self.base.clone();
        if !self.status.is_empty() {
            base.push(format!("f var/lib/dpkg/status {}", self.status));
            base.push(format!("f var/lib/apt/extended_states {}", self.automatic));
        }
        let lines = [&base, &self.app].map(|layer| layer.iter().map(String::as_str).collect::<Vec<_>>());
        let mut image = Image::of(&[&lines[0], &lines[1]]).history(&["ADD", "#CMD [\"python3\"]", "COPY"]);
        image.config["config"] = self.config.clone();
        image.write(&folder.path().join("in"));
        let (from, to) = (folder.path().join("in"), folder.path().join("out"));
        let ran = pydock(["slim", "-q", "--format", "json"])
            .arg(format!("oci:{}", from.display()))
            .arg(format!("oci:{}", to.display()))
            .args(options)
            .ok();
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let left = tree::of_layout(&to).into_keys().map(|path| tree::show(&path)).collect();
        (left, report["images"][0].clone())
    }

    /// Returns the names of the packages that are kept, all of which came by themselves.
    fn kept(&self) -> Vec<String> {
        let (_, report) = self.slim(&[]);
        let kept = report["keptPackages"].as_array().unwrap();
        kept.iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn stanza(name: &str, section: &str, more: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSection: {section}\nVersion: 1\n{more}\n"
    )
}

/// Each row: a file of the application, its text, the packages that it keeps.
fn assert_kept(rows: &[(&str, &str, &[&str])]) {
    for (path, text, packages) in rows {
        let mut kept = Case::new().file(path, text).kept();
        kept.sort();
        assert_eq!(kept, *packages, "{path}: {text}");
    }
}

#[test]
fn nothing_is_kept_that_nothing_names() {
    assert_eq!(Case::new().kept(), Vec::<String>::new());
}

#[test]
fn any_word_of_the_applications_own_sources_keeps_a_program() {
    assert_kept(&[
        ("app/a.py", "CMD = ['git', 'clone']\nrun(CMD)", &["git", "gnupg", "openssh-client"]),
        ("app/a.py", "def clean(tool='redis-cli'): run([tool])", &["redis-tools"]),
        ("app/a.py", "call(f'redis-cli -h {host} flushall')", &["redis-tools"]),
        ("app/a.py", "TOOLS = {'cache': {'flush': 'please run redis-cli first'}}", &["redis-tools"]),
        ("app/a.py", "import sh\nsh.redis_cli('x')", &["redis-tools"]),
        ("app/a.py", "run(['bash', '-c', 'cd /tmp && file *'])", &["file"]),
        ("app/a.py", "run(os.environ.get('GS', 'gs'))", &["ghostscript"]),
        ("app/a.py", "x = 'convert the file and make it so'", &["imagemagick"]),
        ("app/a.py", "'''git redis-cli'''\ndef f():\n    'gs'", &[]),
        ("app/a.py", "# git\nx = 1", &[]),
        ("app/entry.sh", "#!/bin/sh\nuntil redis-cli ping; do sleep 1; done", &["redis-tools"]),
        ("app/task", "#!/usr/bin/env node\nrequire('child_process').exec('redis-cli')", &["redis-tools"]),
    ]);
}

#[test]
fn any_word_of_the_applications_own_configuration_keeps_a_program() {
    assert_kept(&[
        ("etc/supervisor/conf.d/app.conf", "[program:x]\ncommand=redis-cli monitor\n", &["redis-tools"]),
        ("etc/cron.d/app", "# git\n*/5 * * * * root make -C /app\n", &["make"]),
        ("var/spool/cron/crontabs/root", "@daily redis-cli bgsave\n", &["redis-tools"]),
        ("app/Procfile", "worker: redis-cli subscribe x\n", &["redis-tools"]),
        ("app/Makefile", "run:\n\t@redis-cli ping\n", &["redis-tools"]),
        ("app/settings.yaml", "tools:\n  - [gs, -q]\n", &["ghostscript"]),
        ("app/package.json", "{\"scripts\": {\"start\": \"redis-cli monitor\"}}", &["redis-tools"]),
        ("app/.env", "PDF_TOOL=gs\n", &["ghostscript"]),
        ("etc/services.d/x/run", "#!/command/execlineb -P\nredis-cli monitor\n", &["redis-tools"]),
        ("usr/local/share/jupyter/kernels/x/kernel.json", "{\"argv\": [\"redis-cli\"]}", &["redis-tools"]),
        ("app/.github/workflows/ci.yml", "run: git fetch && make\n", &[]),
        ("app/docker-compose.yml", "command: git\n", &[]),
    ]);
}

#[test]
fn libraries_and_paths_count_in_the_applications_own_files() {
    assert_kept(&[
        ("app/a.py", "for name in ['gdal', 'GDAL']:\n    find_library(name)", &["libgdal32"]),
        ("app/a.py", "LIB = 'libmagic.so.1'", &["libmagic1"]),
        ("app/settings.py", "SPATIALITE_LIBRARY_PATH = 'mod_spatialite'", &["spatialite"]),
        ("app/a.py", "WORDS = '/usr/share/dict/words'", &["wamerican"]),
        ("app/a.py", "FONTS = '/usr/share/fonts'", &["fonts-dejavu-core"]),
        ("app/a.py", "FONTS = f'/usr/share/fonts/truetype/{x}'", &["fonts-dejavu-core"]),
        ("app/app.ini", "dictionary = /usr/share/dict/words\n", &["wamerican"]),
        ("etc/odbcinst.ini", "[PostgreSQL]\nDriver = psqlodbcw.so\n", &["psqlodbc"]),
        ("etc/ld.so.preload", "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n", &["libjemalloc2"]),
        ("app/a.py", "x = ['/usr/bin', '/usr/share', '/usr/lib/x86_64-linux-gnu', '/']", &[]),
    ]);
}

#[test]
fn a_distribution_keeps_what_it_runs_but_not_every_word_it_has() {
    let rows: &[(&str, &[&str])] = &[
        ("from subprocess import Popen\ndef f(gpgbinary='gpg'): Popen([gpgbinary])", &["gnupg"]),
        ("class A:\n    tool = 'redis-cli'\n", &["redis-tools"]),
        ("import subprocess\nfor name in ['redis-cli', 'x']:\n    subprocess.run([name])", &["redis-tools"]),
        ("import subprocess\nTOOL = Path('/usr/bin/redis-cli')", &["redis-tools"]),
        ("shutil.which('file')", &["file"]),
        ("import ctypes\nNAMES = ('gdal', 'x')\nctypes.CDLL(NAMES[0])", &["libgdal32"]),
        ("truetype('/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf')", &["fonts-dejavu-core"]),
        ("x = 'the file redis-cli and make'", &[]),
        ("import subprocess\nx = ['file', 'make', 'convert']", &[]),
        ("import subprocess\nfor editor in ['vim']: subprocess.run([editor])", &[]),
        ("import subprocess\nx = 'gcc'", &[]),
        ("subprocess.run(['git', 'describe'])", &[]),
    ];
    for (text, packages) in rows {
        assert_eq!(Case::new().distribution("d/__init__.py", text).kept(), *packages, "{text}");
    }
}

#[test]
fn every_key_of_the_config_that_names_something_counts() {
    let rows: [(Case, &str); 7] = [
        (Case::new().env("LD_PRELOAD=libjemalloc.so.2"), "libjemalloc2"),
        (Case::new().env("WORDS=/usr/share/dict/words"), "wamerican"),
        (Case::new().env("EDITOR=vim -n"), "vim"),
        (Case::new().env("SPATIALITE_LIBRARY_PATH=mod_spatialite"), "spatialite"),
        (Case::new().config("OnBuild", json!(["RUN redis-cli ping"])), "redis-tools"),
        (Case::new().config("Healthcheck", json!({"Test": ["CMD-SHELL", "curl -f http://localhost"]})), "curl"),
        (Case::new().config("Entrypoint", json!(["/bin/sh", "-c", "exec redis-cli monitor"])), "redis-tools"),
    ];
    for (case, package) in rows {
        assert_eq!(case.kept(), [package], "{}", case.config);
    }
}

#[test]
fn a_package_asked_for_above_the_base_is_kept_unless_a_profile_means_it() {
    let above = |name: &str, section: &str, files: &[&str], more: &str| {
        let mut case = Case::new();
        let status = case.status.clone() + &stanza(name, section, more);
        case.app.push(format!("f var/lib/dpkg/status {status}"));
        case.app.push(format!("f var/lib/apt/extended_states {}", case.automatic));
        case.app.push(format!(
            "f var/lib/dpkg/info/{name}.list {}",
            files.iter().map(|file| format!("/{file}\n")).collect::<String>()
        ));
        case.app.extend(files.iter().map(|file| format!("f {file} x")));
        case.kept()
    };
    let plugin = "usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstjpeg.so";
    assert_eq!(above("gstreamer1.0-plugins-good", "libs", &[plugin], ""), ["gstreamer1.0-plugins-good"]);
    assert_eq!(above("driver", "libs", &["usr/lib/x.so"], "Depends: libmagic1\n"), ["libmagic1", "driver"]);
    assert_eq!(above("driver", "libs", &["usr/lib/x.so"], "Recommends: libmagic1, curl\n"), ["libmagic1", "driver"]);
    assert_eq!(above("golang-docker-credential-helpers", "golang", &["usr/bin/docker-credential-pass"], "").len(), 1);
    assert_eq!(above("libfoo-dev", "libdevel", &["usr/include/foo.h"], ""), Vec::<String>::new());
    assert_eq!(above("gcc-12", "devel", &["usr/bin/gcc-12"], ""), Vec::<String>::new());
    assert_eq!(above("foo-doc", "doc", &["usr/share/doc/foo/x"], ""), Vec::<String>::new());
}

#[test]
fn a_library_of_the_base_that_nothing_needs_goes_although_it_was_asked_for() {
    let mut case = Case::new();
    case.install("libextra1", "libs", &["usr/lib/x86_64-linux-gnu/libextra.so.1"], "", false);
    case.install("server", "net", &["usr/sbin/server"], "", false);
    assert_eq!(case.kept(), ["server"]);
}

#[test]
fn a_glob_of_a_profile_takes_no_package_with_programs_that_it_is_not_about() {
    let mut case = Case::new();
    for (name, program) in [("libfile-foo-perl", "foo"), ("git-lfs", "git-lfs"), ("clang-format", "clang-format")] {
        case.install(name, "utils", &[&format!("usr/bin/{program}")], "", false);
    }
    case.install("perl-modules-5.36", "perl", &["usr/share/perl/5.36/x.pm"], "", false);
    assert_eq!(case.kept(), ["libfile-foo-perl", "git-lfs", "clang-format"]);
}

#[test]
fn programs_run_programs_and_modules_read_paths_that_are_known() {
    assert_kept(&[("app/a.py", "run(['tar', 'xf', x])", &["tar", "xz-utils"])]);
    let case = Case::new().file("usr/local/lib/python3.11/ssl.py", "import _ssl");
    let case = case.file("app/a.py", "import ssl");
    let (left, _) = case.slim(&[]);
    let authority = "usr/share/ca-certificates/mozilla/A.crt";
    assert!(left.contains(authority));
}

#[test]
fn what_compiles_when_it_is_used_keeps_the_compiler_and_headers() {
    let header = format!("{SITE}/pkg/include/x.h");
    for (module, source) in [
        ("cffi/__init__.py", "import cffi\nffi = cffi.FFI()\nlib = ffi.verify('int f();')"),
        ("pyximport/__init__.py", "import pyximport"),
        ("torch/__init__.py", "import torch\nmodel = torch.compile(model)"),
        ("skimage/_vendored/pyximport.py", "from skimage._vendored import pyximport"),
        // Of several modules that compile, one is installed.
        ("pyximport/__init__.py", "try:\n    import triton\nexcept ImportError:\n    import pyximport"),
        ("cffi/__init__.py", "from cffi import FFI\nffi = FFI()\nffi.set_source('x', '')\nffi.compile()"),
    ] {
        let case = Case::new().file(&format!("{SITE}/{module}"), "").file("app/a.py", source).file(&header, "");
        let (left, report) = case.slim(&[]);
        assert!(left.contains(&header), "{source}: {report}");
    }
    let (left, _) = Case::new().file("app/a.py", "import jwt\njwt.verify('x')").file(&header, "").slim(&[]);
    assert!(!left.contains(&header));
    // Packages keep the scripts by which they were built.
    let build = "from cffi import FFI\nffi = FFI()\nif __name__ == '__main__':\n    ffi.compile()";
    let case = Case::new().file(&format!("{SITE}/cffi/__init__.py"), "").file(&header, "");
    let record = format!("{SITE}/pkg-1.dist-info/RECORD");
    let (left, _) = case.file(&format!("{SITE}/pkg/build.py"), build).file(&record, "pkg/build.py,,\n").slim(&[]);
    assert!(!left.contains(&header));
}

#[test]
fn what_compiles_when_it_is_used_keeps_setuptools_whole() {
    let part = format!("{SITE}/setuptools/_distutils/core.py");
    for (module, is_kept) in [("sympy.utilities.autowrap", true), ("sympy.core", false)] {
        let case = Case::new()
            .file(&format!("{SITE}/{}/__init__.py", module.replace('.', "/")), "")
            .file(&format!("{SITE}/sympy/__init__.py"), "")
            .file(&format!("{SITE}/Cython/Distutils/build_ext.py"), "import setuptools")
            .file(&format!("{SITE}/setuptools/__init__.py"), "")
            .file(&part, "")
            .file("app/a.py", &format!("import {module}"));
        let (left, report) = case.slim(&["--level", "max"]);
        assert_eq!(left.contains(&part), is_kept, "{module}: {report}");
    }
}

#[test]
fn a_compiler_that_the_application_runs_keeps_headers() {
    let header = "usr/include/math.h";
    for (source, is_kept) in [("subprocess.run(['gcc', 'x.c'])", true), ("pass", false)] {
        let case = Case::new().file("app/a.py", &format!("import subprocess\n{source}")).file(header, "");
        let (left, report) = case.slim(&[]);
        assert_eq!(left.contains(header), is_kept, "{source}: {report}");
        assert_eq!(left.contains("usr/lib/gcc/x86_64-linux-gnu/12/cc1"), is_kept, "{source}");
    }
}

#[test]
fn data_beside_a_module_is_kept_whatever_its_folder_is_called() {
    let package = |files: &[(&str, &str)]| {
        let mut case = Case::new();
        let record = files.iter().map(|(path, _)| format!("{path},,\n")).collect::<String>();
        case.app.extend(files.iter().map(|(path, text)| format!("f {SITE}/{path} {text}")));
        case.app.push(format!("f {SITE}/d-1.dist-info/RECORD {record}"));
        let (left, _) = case.slim(&[]);
        files
            .iter()
            .filter(|(path, _)| left.contains(&format!("{SITE}/{path}")))
            .map(|(path, _)| (*path).to_owned())
            .collect::<Vec<_>>()
    };
    let joined = "HERE = os.path.dirname(__file__)\nx = os.path.join(HERE, 'kernels', 'include')";
    let kept = package(&[("d/__init__.py", joined), ("d/kernels/include/a.hpp", ""), ("d/other/b.hpp", "")]);
    assert_eq!(kept, ["d/__init__.py", "d/kernels/include/a.hpp"]);
    let divided = "x = pathlib.Path(__file__).parent / 'tests' / 'data' / name";
    let kept = package(&[("d/__init__.py", divided), ("d/tests/data/a.csv", ""), ("d/tests/test_a.py", "")]);
    assert_eq!(kept, ["d/__init__.py", "d/tests/data/a.csv"]);
    let run = "subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), 'tests', 'worker.py')])";
    let kept = package(&[
        ("d/__init__.py", run),
        ("d/tests/__init__.py", ""),
        ("d/tests/worker.py", ""),
        ("d/tests/t.py", ""),
    ]);
    assert!(kept.contains(&"d/tests/worker.py".to_owned()) && !kept.contains(&"d/tests/t.py".to_owned()), "{kept:?}");
    let kept = package(&[("d/__init__.py", "x = 'data'"), ("d/data/a.h", "")]);
    assert_eq!(kept, ["d/__init__.py"]);
}

#[test]
fn what_an_entry_point_hands_out_whole_is_kept_whole() {
    let case = Case::new()
        .file(&format!("{SITE}/d-1.dist-info/entry_points.txt"), "[starters]\na = d.templates\n")
        .file(&format!("{SITE}/d/__init__.py"), "")
        .file(&format!("{SITE}/d/templates/__init__.py"), "")
        .file(&format!("{SITE}/d/templates/project/tests/test_a.py"), "")
        .file(&format!("{SITE}/d/tests/test_b.py"), "");
    let (left, _) = case.slim(&[]);
    assert!(left.contains(&format!("{SITE}/d/templates/project/tests/test_a.py")));
    assert!(!left.contains(&format!("{SITE}/d/tests/test_b.py")));
}

#[test]
fn claims_look_at_what_a_file_is() {
    let protein = format!("{SITE}/mm/water.pdb");
    let symbols = format!("{SITE}/mm/x.pdb");
    let swap = "app/.a.py.swp";
    let (left, _) = Case::new()
        .file(&protein, "CRYST1\nATOM\n")
        .file(&symbols, "Microsoft C/C++ MSF 7.00\r\n")
        .file(swap, "b0VIM 9.0")
        .file("app/atoms.swp", "1 2 3")
        .file("app/__pycache__/a.cpython-311.pyc", "x")
        .file("app/__pycache__/a.f-2.py311.nbi", "x")
        .file("app/b/__pycache__/b.cpython-311.pyc", "x")
        .slim(&[]);
    assert!(left.contains(&protein) && !left.contains(&symbols));
    assert!(left.contains("app/atoms.swp") && !left.contains(swap));
    assert!(left.contains("app/__pycache__/a.f-2.py311.nbi") && !left.contains("app/__pycache__/a.cpython-311.pyc"));
    assert!(!left.contains("app/b/__pycache__"), "an empty folder of bytecode goes");
}

#[test]
fn a_checkout_is_kept_if_the_application_asks_about_it() {
    let git = |path: &str, text: &str, level: &str| {
        let case = Case::new().file("app/.git/HEAD", "x").file("app/.gitignore", "x").file(path, text);
        case.slim(&["--level", level]).0.contains("app/.git/HEAD")
    };
    for level in ["safe", "standard"] {
        assert!(git("app/a.py", "check_output(['git', 'rev-parse', 'HEAD'])", level));
        assert!(git("app/start.sh", "#!/bin/sh\nexport REV=$(git describe)", level));
        assert!(git("app/tool.toml", "revision = 'git rev-parse HEAD'", level));
        assert!(!git("app/a.py", "x = 1", level));
        assert!(!git("app/.git/hooks/x.sample", "#!/bin/sh\ngit diff", level));
    }
}

#[test]
fn nothing_that_a_program_reads_goes_at_safe() {
    let kept = [
        "var/cache/fontconfig/a.cache-8",
        "var/cache/man/index.db",
        "app/.tox/py311/bin/python",
        "usr/local/lib/python3.11/site-packages/d/template/.gitignore",
        "root/.npm/_npx/a/x.js",
        "root/.cache/huggingface/x",
        "root/.cache/node/corepack/x",
    ];
    let gone = [
        "root/.cache/pip/http/x",
        "var/cache/dnf/x.solv",
        "root/.npm/_cacache/x",
        "app/.DS_Store",
        "root/.cache/go-build/x",
    ];
    let mut case = Case::new();
    for path in kept.iter().chain(&gone) {
        case = case.file(path, "x");
    }
    case = case.file(&format!("{SITE}/d-1.dist-info/RECORD"), "d/template/.gitignore,,\n");
    let (left, _) = case.slim(&["--level", "safe"]);
    for path in kept {
        assert!(left.contains(path), "{path}");
    }
    for path in gone {
        assert!(!left.contains(path), "{path}");
    }
    let uv =
        Case::new().file("root/.cache/uv/environments-v2/x", "").file("app/run.sh", "#!/bin/sh\nuv run --script x.py");
    assert!(uv.slim(&["--level", "safe"]).0.contains("root/.cache/uv/environments-v2/x"));
}

#[test]
fn a_folder_with_a_dist_info_is_a_folder_of_packages() {
    let (left, _) = Case::new()
        .file("opt/deps/d-1.dist-info/RECORD", "d/__init__.py,,\nd/tests/test_a.py,,\n")
        .file("opt/deps/d/__init__.py", "")
        .file("opt/deps/d/tests/test_a.py", "")
        .file("opt/deps/mine/tests/test_b.py", "")
        .slim(&[]);
    assert!(!left.contains("opt/deps/d/tests/test_a.py"));
    assert!(left.contains("opt/deps/mine/tests/test_b.py"), "no RECORD lists it: it is the application's");
}

#[test]
fn the_base_environment_of_conda_goes_if_only_another_one_runs() {
    let image = |command: &str| {
        let mut case = Case::new();
        case.config["Env"] = json!(["PATH=/opt/conda/envs/app/bin:/opt/conda/bin:/usr/bin"]);
        case.config["Cmd"] = json!(command.split(' ').collect::<Vec<_>>());
        for prefix in ["opt/conda", "opt/conda/envs/app"] {
            for file in
                ["bin/python3.11", "lib/python3.11/os.py", "lib/python3.11/encodings/__init__.py", "conda-meta/history"]
            {
                case = case.file(&format!("{prefix}/{file}"), "");
            }
            case.app.push(format!("l {prefix}/bin/python -> python3.11"));
        }
        case.slim(&[]).0
    };
    let left = image("python main.py");
    assert!(
        !left.contains("opt/conda/lib/python3.11/os.py") && left.contains("opt/conda/envs/app/lib/python3.11/os.py")
    );
    assert!(image("conda run -n app python main.py").contains("opt/conda/lib/python3.11/os.py"));
}

#[test]
fn packages_of_conda_go_whole_or_not_at_all() {
    let record = |name: &str, depends: &str, files: &str| {
        format!(
            "{{\n  \"name\": \"{name}\",\n  \"version\": \"1\",\n  \"depends\": [{depends}],\n  \"files\": [{files}]\n}}\n"
        )
    };
    let image = |source: &str| {
        Case::new()
            .env("PATH=/opt/conda/bin")
            .file(
                "opt/conda/conda-meta/gcc_linux-64-1-0.json",
                &record("gcc_linux-64", "\"sysroot_linux-64\"", "\"bin/gcc-x\""),
            )
            .file("opt/conda/conda-meta/sysroot_linux-64-1-0.json", &record("sysroot_linux-64", "", "\"x86/libc.so\""))
            .file("opt/conda/conda-meta/num-1-0.json", &record("num", "\"make\"", "\"lib/num.txt\""))
            .file("opt/conda/conda-meta/make-1-0.json", &record("make", "", "\"bin/make\""))
            .file("opt/conda/bin/gcc-x", "x")
            .file("opt/conda/x86/libc.so", "x")
            .file("opt/conda/lib/num.txt", "x")
            .file("opt/conda/bin/make", "x")
            .file("app/a.py", source)
            .slim(&[])
            .0
    };
    let left = image("x = 1");
    for gone in ["bin/gcc-x", "x86/libc.so", "conda-meta/gcc_linux-64-1-0.json"] {
        assert!(!left.contains(&format!("opt/conda/{gone}")), "{gone}");
    }
    assert!(left.contains("opt/conda/bin/make"), "num depends on it");
    let left = image("run(['/opt/conda/bin/gcc-x'])");
    assert!(left.contains("opt/conda/x86/libc.so"), "what is kept keeps what it depends on");
}

#[test]
fn packages_in_other_states_are_owned_and_reported() {
    let mut case = Case::new();
    case.install("half", "net", &["usr/bin/half"], "", true);
    case.status = case
        .status
        .replace(&stanza("half", "net", ""), &stanza("half", "net", "").replace("ok installed", "ok half-configured"));
    let (left, report) = case.slim(&[]);
    assert!(left.contains("usr/bin/half"));
    assert!(report["unread"].to_string().contains("half-configured"), "{}", report["unread"]);
}

#[test]
fn a_database_that_cannot_be_read_owns_everything() {
    let (left, report) = {
        let mut case = Case::new();
        case.status.clear();
        case.base.retain(|line| !line.contains("var/lib/dpkg"));
        case.base.push(format!("f var/lib/dpkg/status {}", "x".repeat((16 << 20) + 1)));
        case.slim(&[])
    };
    assert!(left.contains("usr/bin/gcc") && left.contains("usr/bin/make"));
    assert!(report["unread"].to_string().contains("could not be read"), "{}", report["unread"]);
}

#[test]
fn a_whiteout_hides_its_own_path_and_follows_no_symlink() {
    for upper in [["w link/keep", "f link/new x"], ["o link", "f link/new x"], ["f link/new x", "o link"]] {
        let folder = tempfile::tempdir().unwrap();
        Image::of(&[&["d target", "f target/keep k", "l link -> /target"], &upper]).write(&folder.path().join("in"));
        let to = folder.path().join("out");
        pydock(["slim", "-q", "--remove", "nothing"])
            .arg(format!("oci:{}", folder.path().join("in").display()))
            .arg(format!("oci:{}", to.display()))
            .ok();
        let left = tree::of_layout(&to).into_keys().map(|path| tree::show(&path)).collect::<Vec<_>>();
        assert!(
            left.contains(&"target/keep".to_owned()) && left.contains(&"link/new".to_owned()),
            "{upper:?}: {left:?}"
        );
    }
}
