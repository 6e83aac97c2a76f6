//! A registry behind an nginx that fails at random. Run by `scripts/test.sh` as the large images are: it takes minutes.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::parts;
use crate::support::pydock;
use crate::support::registries::{Kind, Nginx, Registry};
use crate::support::tools::run;

const SLIMS: usize = 200;
/// How many slims run at once: most wait, because the registry asks them to.
const AT_ONCE: usize = 6;

#[test]
#[ignore = "200 slims take minutes; scripts/test.sh runs it in release mode"]
fn two_hundred_slims_through_faults_end_right_or_with_a_clear_error() {
    let registries = Kind::ALL.map(Registry::start);
    let faults = [0, 1, 2, 3].map(|index| Nginx::failing(&registries[index]));
    for registry in &registries {
        registry.push_fixture("app:1");
    }
    pydock(["slim", "-q", "--no-attach", &registries[0].image("app:1"), &registries[0].image("right:1")]).ok();
    let right = parts(&registries[0].image("right:1"));
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= SLIMS {
                return;
            }
            let (registry, port) = (&registries[number % 4], faults[number % 4].port);
            let name = format!("out-{number}:1");
            let to = format!("127.0.0.1:{port}/{name}");
            let output = pydock(["slim", "-q", &format!("127.0.0.1:{port}/app:1"), &to]).output();
            let is_there =
                Command::new("crane").args(["digest", "--insecure", &registry.image(&name)]).output().unwrap();
            if output.status.success() {
                run("crane", ["validate", "--insecure", "--fast", "--remote", &registry.image(&name)]);
            } else {
                failed.fetch_add(1, Ordering::Relaxed);
                let error = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{error}");
                assert!(error.starts_with("error: cannot "), "{error}");
            }
            assert!(!output.status.success() || is_there.status.success());
            if is_there.status.success() {
                assert_eq!(parts(&registry.image(&name)), right, "slim {number}");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert!(failed < SLIMS / 20, "{failed} of {SLIMS} failed: trying again does not help as it should");
}
