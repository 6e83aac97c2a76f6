//! Real tools. One that is missing fails the test: `scripts/setup.sh` installs them.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

/// A Debian `docker-registry` on a free port of the loopback.
pub(crate) struct Registry {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts an empty registry; with `htpasswd`, one that wants a login.
    pub(crate) fn start(htpasswd: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            folder.path().display()
        );
        if let Some(line) = htpasswd {
            let file = folder.path().join("htpasswd");
            std::fs::write(&file, line).unwrap();
            config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry: {error}; run scripts/setup.sh"));
        wait_for(port);
        Self { child, port, folder }
    }

    /// Returns the reference of an image in this registry.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// Returns whether a tag is visible.
    pub(crate) fn has_tag(&self, repository: &str, tag: &str) -> bool {
        let link = format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link");
        self.folder.path().join(link).exists()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens on a port.
pub(crate) fn wait_for(port: u16) {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nobody listens on port {port}");
}
