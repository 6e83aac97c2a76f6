//! Real tools. One that is missing fails the test: `scripts/setup.sh` installs them.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs a tool, which must succeed, and returns what it prints.
pub(crate) fn run<S: AsRef<OsStr>>(tool: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(tool);
    command.args(args);
    let output = command.output().unwrap_or_else(|error| panic!("{tool}: {error}; run scripts/setup.sh"));
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the committed image.
pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pyapp.oci.tar")
}

/// Copies an image with skopeo, which checks it on the way.
pub(crate) fn skopeo_copy(from: &str, to: &str, more: &[&str]) {
    let args =
        [&["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"], more, &[from, to]];
    run("skopeo", args.concat());
}

/// Returns a free port.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a server listens on a port.
pub(crate) fn wait_for(port: u16) {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no server listens on port {port}");
}
