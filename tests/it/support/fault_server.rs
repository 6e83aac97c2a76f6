//! A registry in memory that can misbehave, for faults that no real registry can be made to show.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use pydock::digest::Digest;
use serde_json::Value;

use super::image::{read_blob, read_json, root};

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// What the server answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// After how many bytes of the body the connection ends.
    cut: Option<usize>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Ends the connection after some bytes of the body.
    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What a server does instead of what a registry does; `None`: as a registry does.
type Fault = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

#[derive(Default)]
struct Store {
    blobs: HashMap<String, Vec<u8>>,
    /// By `repository:tag` and by `repository@digest`.
    manifests: HashMap<String, (String, Vec<u8>)>,
    uploads: HashMap<String, Vec<u8>>,
    asked: Vec<Request>,
}

/// A server on a free port of the loopback. It lives as long as the test's process.
#[derive(Clone)]
pub(crate) struct FaultServer {
    pub port: u16,
    store: Arc<Mutex<Store>>,
}

impl FaultServer {
    pub(crate) fn start(fault: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), store: Arc::default() };
        let (accepting, fault) = (server.clone(), Arc::new(fault) as Arc<Fault>);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, fault) = (accepting.clone(), fault.clone());
                std::thread::spawn(move || server.serve(stream, &*fault));
            }
        });
        server
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the reference of an image in this registry.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Puts the image of a layout under a name with a tag.
    pub(crate) fn load(&self, name: &str, folder: &Path) {
        let descriptor = root(folder);
        let manifest = read_json(folder, &descriptor);
        let mut store = self.store.lock().unwrap();
        for blob in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            store.blobs.insert(text(&blob["digest"]), read_blob(folder, blob));
        }
        let stored = (text(&descriptor["mediaType"]), read_blob(folder, &descriptor));
        let repository = name.split(':').next().unwrap();
        store.manifests.insert(format!("{repository}:{}", text(&descriptor["digest"])), stored.clone());
        store.manifests.insert(name.to_owned(), stored);
    }

    /// Returns whether a tag exists, as `repository:tag`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.store.lock().unwrap().manifests.contains_key(name)
    }

    /// Returns what clients asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.store.lock().unwrap().asked.clone()
    }

    fn serve(&self, stream: TcpStream, fault: &Fault) {
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let mut output = stream;
        while let Some(request) = read_request(&mut input) {
            self.store.lock().unwrap().asked.push(request.clone());
            let answer = fault(&request).unwrap_or_else(|| self.answer(&request));
            let mut head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
            head.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
            let body = if request.method == "HEAD" { &[][..] } else { &answer.body };
            let body = &body[..answer.cut.unwrap_or(body.len())];
            if output.write_all(&[head.as_bytes(), b"\r\n", body].concat()).is_err() || answer.cut.is_some() {
                return;
            }
        }
    }

    /// Answers as a registry does. Spec: distribution-spec.
    fn answer(&self, request: &Request) -> Answer {
        let mut store = self.store.lock().unwrap();
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let Some(path) = path.strip_prefix("/v2/") else { return Answer::new(404) };
        if path.is_empty() {
            return Answer::new(200);
        }
        let accepted = |id: usize| Answer::new(202).header("Location", format!("/v2/up/blobs/uploads/{id}"));
        match request.method.as_str() {
            "POST" => {
                let id = store.uploads.len();
                store.uploads.insert(id.to_string(), Vec::new());
                accepted(id)
            }
            "PATCH" | "PUT" if path.contains("/blobs/uploads/") => {
                let id = path.rsplit('/').next().unwrap().to_owned();
                let Some(upload) = store.uploads.get_mut(&id) else { return Answer::new(404) };
                upload.extend_from_slice(&request.body);
                if request.method == "PATCH" {
                    return accepted(id.parse().unwrap());
                }
                let bytes = store.uploads.remove(&id).unwrap();
                let digest = Digest::of(&bytes).to_string();
                store.uploads.insert(id, Vec::new());
                if !query.replace("%3A", ":").contains(&digest) {
                    return Answer::new(400);
                }
                store.blobs.insert(digest, bytes);
                Answer::new(201)
            }
            "PUT" => {
                let Some((repository, tag)) = path.split_once("/manifests/") else { return Answer::new(404) };
                let kind = request.headers["content-type"].clone();
                let digest = Digest::of(&request.body).to_string();
                for name in [tag, &digest] {
                    store.manifests.insert(format!("{repository}:{name}"), (kind.clone(), request.body.clone()));
                }
                Answer::new(201)
            }
            _ => {
                if let Some((repository, tag)) = path.split_once("/manifests/") {
                    return match store.manifests.get(&format!("{repository}:{tag}")) {
                        Some((kind, bytes)) => Answer::new(200).header("Content-Type", kind).body(bytes.clone()),
                        None => Answer::new(404),
                    };
                }
                let blob = path.split_once("/blobs/").and_then(|(_, digest)| store.blobs.get(digest));
                blob.map_or_else(|| Answer::new(404), |bytes| Answer::new(200).body(bytes.clone()))
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Reads a request; `None` at the end of the connection, or if a client encrypts.
fn read_request(input: &mut impl BufRead) -> Option<Request> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    if !path.starts_with('/') {
        return None;
    }
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}
