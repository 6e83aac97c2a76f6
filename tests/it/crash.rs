//! kill -9 and full disks: the destination is as before or complete, and what is left over goes with the next run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::fault_server::FaultServer;
use crate::support::image::root;
use crate::support::tools::{fixture, run};
use crate::support::{Image, pydock, tree};

fn leftovers(folder: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".pydock")).collect()
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_the_destination_as_before_or_complete() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let source = format!("oci-archive:{}", fixture().display());
    let slim = |level: &str| {
        pydock(["slim", "-q", "--level", level, &source, &format!("oci:{}:app", out.display())])
            .env("TMPDIR", place.path())
    };
    slim("safe").ok();
    let before = root(&out)["digest"].clone();
    slim("standard").ok();
    let complete = root(&out)["digest"].clone();
    assert_ne!(before, complete);
    let mut killed = 0;
    for moment in 0..30 {
        slim("safe").ok();
        let mut child = slim("standard").command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(60 * moment));
        killed += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        let digest = root(&out)["digest"].clone();
        assert!(digest == before || digest == complete, "after {} ms: {digest}", 60 * moment);
        assert!(!tree::of_layout(&out).is_empty(), "every blob of the visible image is whole");
    }
    assert!(killed >= 3, "only {killed} runs were killed before they ended");
    slim("standard").ok();
    assert_eq!(leftovers(&out), Vec::<String>::new());
    assert_eq!(leftovers(place.path()), Vec::<String>::new());
}

#[test]
fn signals_end_a_run_clean_it_up_and_are_its_exit_code() {
    let image = tempfile::tempdir().unwrap();
    Image::of(&[&["f a 1"]]).write(image.path());
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let registry = FaultServer::start(|request| {
            // Long enough that the run waits for it when the signal comes.
            if request.path.contains("/blobs/") {
                std::thread::sleep(Duration::from_secs(20));
            }
            None
        });
        registry.load("app:1", image.path());
        let place = tempfile::tempdir().unwrap();
        let out = format!("oci:{}", place.path().join("out").display());
        let run_it = pydock(["slim", "-q", &registry.image("app:1"), &out]).env("TMPDIR", place.path());
        let mut child = run_it.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !registry.asked().iter().any(|request| request.path.contains("/blobs/")) {
            std::thread::sleep(Duration::from_millis(10));
        }
        run("kill", [signal, &child.id().to_string()]);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "{signal}");
    }
}

#[test]
fn blobs_are_on_the_disk_before_the_index_names_them() {
    let place = tempfile::tempdir().unwrap();
    let (image, out, trace) = (place.path().join("image"), place.path().join("out"), place.path().join("trace"));
    Image::of(&[&["f a 1", "f x/__pycache__/c.pyc 1"], &["f b 2"]]).write(&image);
    let slim =
        pydock(["slim", "-q", &format!("oci:{}", image.display()), &format!("oci:{}:app", out.display())]).command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "4096", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", "-o"]).arg(&trace);
    assert!(strace.arg(slim.get_program()).args(slim.get_args()).status().unwrap().success());
    let lines = std::fs::read_to_string(&trace).unwrap();
    let place_of = |line: &&str| lines.lines().position(|other| other == *line).unwrap();
    let renames = lines.lines().filter(|line| line.contains("rename"));
    let quoted = |line: &str, number: usize| line.split('"').nth(number).map(str::to_owned);
    let (to_blobs, others) = renames.partition::<Vec<_>, _>(|line| quoted(line, 3).unwrap().contains("/blobs/sha256/"));
    let index = others.iter().find(|line| quoted(line, 3).unwrap().ends_with("index.json")).unwrap();
    let synced = |path: &str, before: usize| {
        lines.lines().take(before).any(|line| line.contains("sync(") && line.contains(&format!("<{path}>")))
    };
    assert!(to_blobs.len() >= 3, "layers, config and manifest: {lines}");
    for rename in to_blobs {
        let (old, new) = (quoted(rename, 1).unwrap(), quoted(rename, 3).unwrap());
        let is_synced = synced(&old, place_of(&rename)) || synced(&new, place_of(index));
        assert!(is_synced && place_of(&rename) < place_of(index), "{new}: {lines}");
    }
    assert!(synced(&out.join("blobs/sha256").display().to_string(), place_of(index)), "the folder: {lines}");
    assert!(synced(&quoted(index, 1).unwrap(), place_of(index)), "the index: {lines}");
}

#[test]
fn a_full_disk_here_and_a_connection_that_breaks_are_not_blamed_on_the_image() {
    let image = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let noise = (0..6_000_000).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (state >> 33) as u8 % 90)
    });
    Image::of(&[&[&format!("f noise {}", noise.collect::<String>())]]).write(image.path());
    let registry = FaultServer::start(|_| None);
    registry.load("app:1", image.path());
    let place = tempfile::tempdir().unwrap();
    run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", place.path().to_str().unwrap()]);
    let out = format!("oci:{}", image.path().join("out").display());
    let ran = pydock(["slim", "-q", &registry.image("app:1"), &out]).env("TMPDIR", place.path()).output();
    let left = std::fs::read_dir(place.path()).unwrap().count();
    run("umount", [place.path()]);
    let error = String::from_utf8_lossy(&ran.stderr);
    assert_eq!((ran.status.code(), left), (Some(1), 0), "{error}");
    assert!(error.contains("No space left on device") && error.contains("set TMPDIR"), "{error}");
    assert!(!error.contains("damaged"), "{error}");
}

#[test]
fn a_full_disk_leaves_the_destination_as_it_was() {
    // A file system of 8 MiB, on which the new image does not fit.
    let place = tempfile::tempdir().unwrap();
    run("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", place.path().to_str().unwrap()]);
    let source = format!("oci-archive:{}", fixture().display());
    let mut errors = Vec::new();
    for to in ["oci:out", "oci-archive:out.tar"] {
        let ran = pydock(["slim", "-q", &source, to]).folder(place.path()).output();
        let left = std::fs::read_dir(place.path()).unwrap().count();
        errors.push((ran.status.code(), left, String::from_utf8_lossy(&ran.stderr).into_owned()));
    }
    run("umount", [place.path()]);
    for (code, left, error) in errors {
        assert_eq!((code, left), (Some(1), 0), "{error}");
        assert!(error.contains("No space left on device"), "{error}");
    }
}
