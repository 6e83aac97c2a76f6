//! Builds images: layers as text, one entry a line.
//!
//! ```text
//! d etc                    a directory           f etc/passwd some text   a file
//! l lib -> usr/lib         a symlink             h b = a                  a hard link
//! w etc/passwd             a whiteout            o etc                    an opaque whiteout
//! p fifo                   a FIFO                x f name=value           a file with an xattr
//! ```

use std::io::Write;
use std::path::Path;

use pydock::digest::Digest;
use pydock::layer::codec::{Compression, Encoder};
use serde_json::{Value, json};
use tar::{EntryType, Header};

/// One layer: the bytes of its tar.
#[derive(Clone)]
pub(crate) struct Layer {
    pub tar: Vec<u8>,
    pub compression: Compression,
}

impl Layer {
    /// Makes a layer of entries as text.
    pub(crate) fn of(lines: &[&str]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for line in lines {
            append(&mut tar, line);
        }
        Self::raw(tar.into_inner().unwrap())
    }

    /// Makes a layer of any bytes.
    pub(crate) fn raw(tar: Vec<u8>) -> Self {
        Self { tar, compression: Compression::Gzip }
    }

    pub(crate) fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(self.compression, None, None, Vec::new()).unwrap();
        encoder.write_all(&self.tar).unwrap();
        encoder.finish().unwrap()
    }

    pub(crate) fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

fn append(tar: &mut tar::Builder<Vec<u8>>, line: &str) {
    let (kind, rest) = line.split_at(1);
    let rest = rest.trim();
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_mtime(1_700_000_000);
    header.set_size(0);
    let plain = |header: &mut Header, kind| header.set_entry_type(kind);
    match kind {
        "d" => {
            plain(&mut header, EntryType::Directory);
            header.set_mode(0o755);
            tar.append_data(&mut header, rest, &[][..]).unwrap();
        }
        "f" => {
            let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        "x" => {
            let (path, attribute) = rest.split_once(' ').unwrap();
            let (name, value) = attribute.split_once('=').unwrap();
            let key = format!("SCHILY.xattr.user.{name}");
            tar.append_pax_extensions([(key.as_str(), value.as_bytes())]).unwrap();
            tar.append_data(&mut header, path, &[][..]).unwrap();
        }
        "l" => {
            let (path, target) = rest.split_once(" -> ").unwrap();
            plain(&mut header, EntryType::Symlink);
            tar.append_link(&mut header, path, target).unwrap();
        }
        "h" => {
            let (path, target) = rest.split_once(" = ").unwrap();
            plain(&mut header, EntryType::Link);
            tar.append_link(&mut header, path, target).unwrap();
        }
        "p" => {
            plain(&mut header, EntryType::Fifo);
            tar.append_data(&mut header, rest, &[][..]).unwrap();
        }
        "w" => {
            let (folder, name) = rest.rsplit_once('/').map_or(("", rest), |(f, n)| (f, n));
            let path = Path::new(folder).join(format!(".wh.{name}"));
            tar.append_data(&mut header, path, &[][..]).unwrap();
        }
        "o" => tar.append_data(&mut header, Path::new(rest).join(".wh..wh..opq"), &[][..]).unwrap(),
        _ => panic!("no such kind of entry: {line}"),
    }
}

/// An image, and how its documents can be spoiled.
#[derive(Clone)]
pub(crate) struct Image {
    pub layers: Vec<Layer>,
    pub config: Value,
    pub docker: bool,
    pub annotations: Value,
    spoil: Vec<Spoil>,
}

type Spoil = fn(&mut Value);

impl Image {
    pub(crate) fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            layers: layers.into_iter().collect(),
            config: json!({
                "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
                "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/app"], "Healthcheck": {"Test": ["CMD", "true"]}},
                "vendor.key": {"kept": [1, 2.5, null]},
            }),
            docker: false,
            annotations: json!({}),
            spoil: Vec::new(),
        }
    }

    /// Makes an image of layers as text.
    pub(crate) fn of(layers: &[&[&str]]) -> Self {
        Self::new(layers.iter().map(|lines| Layer::of(lines)))
    }

    /// Gives it Docker's media types.
    pub(crate) fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    pub(crate) fn env(mut self, line: &str) -> Self {
        self.config["config"]["Env"].as_array_mut().unwrap().push(line.into());
        self
    }

    /// Sets the history: lines that begin with `#` are empty layers'.
    pub(crate) fn history(mut self, lines: &[&str]) -> Self {
        let line = |line: &&str| match line.strip_prefix('#') {
            Some(text) => json!({"created_by": text, "empty_layer": true}),
            None => json!({"created_by": line}),
        };
        self.config["history"] = lines.iter().map(line).collect();
        self
    }

    pub(crate) fn platform(mut self, architecture: &str) -> Self {
        self.config["architecture"] = architecture.into();
        self
    }

    /// Changes the manifest before it is written.
    pub(crate) fn spoil_manifest(mut self, spoil: Spoil) -> Self {
        self.spoil.push(spoil);
        self
    }

    /// Writes the image's blobs into a layout and returns the descriptor of its manifest.
    pub(crate) fn write_blobs(&self, folder: &Path) -> Value {
        let (manifest_type, config_type) = match self.docker {
            true => (
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.container.image.v1+json",
            ),
            false => ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"),
        };
        let mut layers = Vec::new();
        for layer in &self.layers {
            let media_type = match self.docker {
                true => "application/vnd.docker.image.rootfs.diff.tar.gzip",
                false => layer.media_type(),
            };
            layers.push(write_blob(folder, media_type, &layer.blob()));
        }
        let mut config = self.config.clone();
        let diff_ids = self.layers.iter().map(|layer| Digest::of(&layer.tar).to_string());
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>()});
        let config = write_blob(folder, config_type, config.to_string().as_bytes());
        let mut manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
        if self.annotations != json!({}) {
            manifest["annotations"] = self.annotations.clone();
        }
        for spoil in &self.spoil {
            spoil(&mut manifest);
        }
        write_blob(folder, manifest_type, manifest.to_string().as_bytes())
    }

    /// Writes the image as the only one of a layout.
    pub(crate) fn write(&self, folder: &Path) -> Value {
        let manifest = self.write_blobs(folder);
        write_index(folder, std::slice::from_ref(&manifest));
        manifest
    }
}

/// Writes a blob into a layout and returns its descriptor.
pub(crate) fn write_blob(folder: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
}

/// Writes `index.json` and `oci-layout`.
pub(crate) fn write_index(folder: &Path, manifests: &[Value]) {
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Reads the JSON blob of a descriptor.
pub(crate) fn read_json(folder: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&read_blob(folder, descriptor)).unwrap()
}

/// Reads the blob of a descriptor.
pub(crate) fn read_blob(folder: &Path, descriptor: &Value) -> Vec<u8> {
    let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
    let bytes = std::fs::read(folder.join("blobs/sha256").join(digest.hex())).unwrap();
    assert_eq!(Digest::of(&bytes), digest, "a blob is not what its name says");
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

/// Returns the last descriptor of a layout's `index.json`.
pub(crate) fn root(folder: &Path) -> Value {
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    index["manifests"].as_array().unwrap().last().unwrap().clone()
}

/// Returns the manifest and config of the image in a layout.
pub(crate) fn documents(folder: &Path) -> (Value, Value) {
    let manifest = read_json(folder, &root(folder));
    let config = read_json(folder, &manifest["config"]);
    (manifest, config)
}
