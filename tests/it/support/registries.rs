//! Real registries on free ports of the loopback, and what stands between them and their clients.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::tools::{fixture, free_port, run, skopeo_copy, wait_for};

/// Which registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's `docker-registry`: distribution v2.
    Debian,
    /// Distribution v3.
    V3,
    /// zot: knows referrers as they were before OCI 1.1.
    Zot,
    /// olareg: knows referrers.
    Olareg,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Debian, Self::V3, Self::Zot, Self::Olareg];
    /// Those that can ask for a login.
    pub(crate) const WITH_LOGINS: [Self; 3] = [Self::Debian, Self::V3, Self::Zot];

    /// Returns the command that serves a folder.
    fn command(self, setup: &Setup, folder: &Path, port: u16) -> Command {
        let configured = |program, file: &str, text: String| {
            let file = folder.join(file);
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new(program);
            command.arg("serve").arg(file);
            command
        };
        match self {
            Self::Debian => configured("docker-registry", "config.yml", setup.distribution(folder, port)),
            Self::V3 => configured("registry", "config.yml", setup.distribution(folder, port)),
            Self::Zot => configured("zot", "config.json", setup.zot(folder, port)),
            Self::Olareg => {
                let mut command = Command::new("olareg");
                command.args(["serve", "--addr", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(folder);
                command
            }
        }
    }
}

/// How a registry is set up.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// A line of htpasswd: who may log in.
    pub htpasswd: Option<String>,
    /// The token server that is to be asked.
    pub tokens: Option<PathBuf>,
    /// Its port.
    pub token_port: u16,
    /// A folder of certificates.
    pub tls: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    pub client_certificates: bool,
}

/// A registry on a free port of the loopback.
pub(crate) struct Registry {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts an empty registry.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::with(kind, &Setup::default())
    }

    /// Starts an empty registry that is set up somehow.
    pub(crate) fn with(kind: Kind, setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = kind.command(setup, folder.path(), port);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/setup.sh"));
        wait_for(port);
        Self { child, port, folder }
    }

    /// Returns the reference of an image in this registry.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// Returns whether a tag is visible, in distribution's store.
    pub(crate) fn has_tag(&self, repository: &str, tag: &str) -> bool {
        let link = format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link");
        self.folder.path().join(link).exists()
    }

    /// Pushes the committed image.
    pub(crate) fn push_fixture(&self, name: &str) {
        let to = format!("docker://{}", self.image(name));
        skopeo_copy(&format!("oci-archive:{}", fixture().display()), &to, &[]);
    }
}

impl Setup {
    /// Writes who may log in, if anybody has to; returns where.
    fn htpasswd_file(&self, folder: &Path) -> Option<PathBuf> {
        let file = folder.join("htpasswd");
        std::fs::write(&file, self.htpasswd.as_ref()?).unwrap();
        Some(file)
    }

    /// Writes the configuration of a distribution registry.
    fn distribution(&self, folder: &Path, port: u16) -> String {
        let store = folder.display();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {store}\nhttp:\n  addr: 127.0.0.1:{port}\n"
        );
        if let Some(tls) = &self.tls {
            let file = |name: &str| tls.join(name).display().to_string();
            config += &format!("  tls:\n    certificate: {}\n    key: {}\n", file("server.pem"), file("server.key"));
            if self.client_certificates {
                config += &format!("    clientcas: [{}]\n", file("ca.pem"));
            }
        }
        if let Some(file) = self.htpasswd_file(folder) {
            config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
        }
        if let Some(certificates) = &self.tokens {
            config += &format!(
                "auth:\n  token:\n    realm: http://127.0.0.1:{}/token\n    service: test\n    issuer: tester\n    rootcertbundle: {}\n",
                self.token_port,
                certificates.join("server.pem").display()
            );
        }
        config
    }

    /// Writes the configuration of zot.
    fn zot(&self, folder: &Path, port: u16) -> String {
        let mut http = json!({ "address": "127.0.0.1", "port": port.to_string(), "auth": { "failDelay": 1 } });
        if let Some(tls) = &self.tls {
            http["tls"] = json!({ "cert": tls.join("server.pem"), "key": tls.join("server.key") });
            if self.client_certificates {
                http["tls"]["cacert"] = json!(tls.join("ca.pem"));
            }
        }
        if let Some(file) = self.htpasswd_file(folder) {
            http["auth"]["htpasswd"] = json!({ "path": file });
        }
        if let Some(certificates) = &self.tokens {
            let realm = format!("http://127.0.0.1:{}/token", self.token_port);
            let certificate = certificates.join("server.pem");
            http["auth"]["bearer"] = json!({ "realm": realm, "service": "test", "cert": certificate });
        }
        let storage = json!({ "rootDirectory": folder.join("store"), "gc": false });
        json!({ "storage": storage, "http": http, "log": { "level": "error" } }).to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a line of htpasswd.
pub(crate) fn htpasswd(user: &str, password: &str) -> String {
    let script = format!("import crypt; print(crypt.crypt('{password}', crypt.mksalt(crypt.METHOD_BLOWFISH)))");
    format!("{user}:{}", run("python3", ["-W", "ignore", "-c", &script]).trim())
}

/// Makes an authority, and certificates of a server at 127.0.0.1 and of a client.
pub(crate) fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |args: &[&str]| run("openssl", args);
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    let authority = ["-subj", "/CN=test authority", "-keyout", &file("ca.key"), "-out", &file("ca.pem")];
    openssl(&[&new[..], &authority].concat());
    for (name, more) in [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")] {
        let (key, certificate) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
        let subject = format!("/CN={name}");
        let signed = [
            "-CA",
            &file("ca.pem"),
            "-CAkey",
            &file("ca.key"),
            "-addext",
            more,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        openssl(&[&new[..], &signed, &["-subj", &subject, "-keyout", &key, "-out", &certificate]].concat());
    }
    folder
}

/// A token server whose tokens are signed with `server.key` of a folder of certificates.
pub(crate) struct TokenServer {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl TokenServer {
    /// Starts a server that knows `tester:not-so-secret` and the identity token `for-good`; its tokens live for `seconds`.
    pub(crate) fn start(certificates: &Path, seconds: u32) -> Self {
        let port = free_port();
        let log = certificates.join("tokens.log");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/token_server.py");
        let mut command = Command::new("python3");
        command.arg(script).args([port.to_string(), seconds.to_string()]).arg(certificates).arg(&log);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        wait_for(port);
        Self { child, port, log }
    }

    /// Returns the scopes that were asked for, a line a token.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An nginx before a registry.
pub(crate) struct Nginx {
    child: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Answers some requests with 429 and 500, cuts connections and slows down, at random.
    pub(crate) fn failing(registry: &Registry) -> Self {
        Self::start(
            registry,
            "if ($fault = busy) { add_header Retry-After 1 always; return 429; }
             if ($fault = broken) { return 500; }
             if ($fault = cut) { return 444; }
             set $rate 0;
             if ($fault = slow) { set $rate 8m; }
             limit_rate $rate;",
        )
    }

    /// Answers as a registry that knows no ranges.
    pub(crate) fn without_ranges(registry: &Registry) -> Self {
        Self::start(registry, "max_ranges 0; proxy_set_header Range '';")
    }

    /// Passes on whatever is asked, whomever it is asked of.
    pub(crate) fn passing(registry: &Registry) -> Self {
        Self::start(registry, "")
    }

    fn start(registry: &Registry, location: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "daemon off; worker_processes 1; error_log stderr crit; pid {folder}/pid;
            events {{}}
            http {{
              access_log off; client_max_body_size 0; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
              split_clients $request_id $fault {{ 4% busy; 4% broken; 4% cut; 4% slow; * none; }}
              server {{
                listen 127.0.0.1:{port};
                location / {{
                  {location}
                  proxy_request_buffering off;
                  proxy_set_header Host $http_host;
                  proxy_pass http://127.0.0.1:{};
                }}
              }}
            }}",
            registry.port,
            folder = folder.path().display(),
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(&file).arg("-p").arg(folder.path()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("nginx: {error}; run scripts/setup.sh"));
        wait_for(port);
        Self { child, port, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master ends its workers.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Passes connections on, counts, and may cut.
pub(crate) struct Proxy {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

/// Whose bytes are counted before a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The server's answers.
    Answers,
    /// The client's requests.
    Requests,
}

impl Proxy {
    /// Passes everything on.
    pub(crate) fn to(port: u16) -> Self {
        Self::cutting(port, 0..0, 0, Side::Answers)
    }

    /// Cuts some connections, by number, after some bytes of a side.
    pub(crate) fn cutting(to: u16, cut: impl RangeBounds<usize> + Send + 'static, after: usize, side: Side) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let [connections, sent, received] = std::array::from_fn(|_| Arc::<AtomicUsize>::default());
        let counts = [connections.clone(), sent.clone(), received.clone()];
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let number = counts[0].fetch_add(1, Ordering::Relaxed);
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
                let limit = |this: Side| if cut.contains(&number) && this == side { after } else { usize::MAX };
                let requests = (client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(requests, limit(Side::Requests), counts[1].clone());
                pass((server, client), limit(Side::Answers), counts[2].clone());
            }
        });
        Self { port, connections, sent, received }
    }

    /// Returns how many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns how many bytes clients have sent.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how many bytes the server has answered.
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns the reference of an image behind this proxy.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }
}

fn pass((mut from, mut to): (TcpStream, TcpStream), limit: usize, count: Arc<AtomicUsize>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        let mut passed = 0;
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            passed += read;
            count.fetch_add(read, Ordering::Relaxed);
            if passed > limit || to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
