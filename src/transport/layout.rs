//! `oci:`: an OCI image layout in a folder. Spec: image-spec `image-layout.md`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::error::TransportError;
use super::slice::FileSlice;
use super::staging::{StagedPlace, StagedSink, Staging};
use super::{BlobReader, RawBlob, Source};
use crate::digest::Digest;
use crate::image::document::MAX_DOCUMENT;
use crate::image::{Descriptor, media_type};

/// The annotation of an index entry with its tag. Spec: image-spec `annotations.md`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The file of a layout with the list of its images.
const INDEX: &str = "index.json";
/// The content of the file `oci-layout`.
pub const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The files of a layout in a folder or an archive.
pub trait Files: Send + Sync {
    /// Opens a file by its path in the layout for random access; `None` if it does not exist.
    ///
    /// # Errors
    /// If it exists but cannot be opened.
    fn slice(&self, path: &str) -> Result<Option<FileSlice>, TransportError>;

    /// Opens a file by its path in the layout; `None` if it does not exist.
    ///
    /// # Errors
    /// As [`Files::slice`].
    fn open(&self, path: &str) -> Result<Option<BlobReader>, TransportError> {
        let Some(slice) = self.slice(path)? else { return Ok(None) };
        Ok(Some(Box::new(slice.reader().map_err(TransportError::file("read", path))?)))
    }

    /// Returns the name of the layout in error messages.
    fn place(&self) -> String;
}

/// Returns the path of a blob in a layout.
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads a JSON file of a layout or archive, within [`MAX_DOCUMENT`]; `None` if it does not exist.
pub(super) fn read_json(files: &dyn Files, path: &str) -> Result<Option<Value>, TransportError> {
    let Some(reader) = files.open(path)? else { return Ok(None) };
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(reader, MAX_DOCUMENT + 1), &mut text)
        .map_err(TransportError::file("read", path))?;
    if text.len() as u64 > MAX_DOCUMENT {
        return Err(TransportError::TooLarge { place: files.place(), file: path.to_owned() });
    }
    let json = serde_json::from_slice(&text).map_err(|source| TransportError::Json {
        place: files.place(),
        file: path.to_owned(),
        source,
    })?;
    Ok(Some(json))
}

/// Reads an image from the files of a layout.
pub struct LayoutSource<F> {
    files: F,
    tag: Option<String>,
}

impl<F: Files> LayoutSource<F> {
    /// Reads the image that `tag` names, or the only one.
    pub fn new(files: F, tag: Option<String>) -> Self {
        Self { files, tag }
    }

    /// Returns the descriptor in `index.json` to which the reference points.
    fn entry(&self) -> Result<Descriptor, TransportError> {
        let place = self.files.place();
        let index = read_json(&self.files, "index.json")?.ok_or_else(|| TransportError::NoImage(place.clone()))?;
        let entries: Vec<Descriptor> = serde_json::from_value(index["manifests"].clone())
            .map_err(|source| TransportError::Json { place: place.clone(), file: "index.json".to_owned(), source })?;
        let tags = || {
            let tag = |entry: &Descriptor| entry.annotation(REF_NAME).unwrap_or("(no tag)").to_owned();
            entries.iter().map(tag).collect::<Vec<_>>()
        };
        let chosen = match &self.tag {
            // The last entry of a tag counts, because a later push replaces an earlier one.
            Some(tag) => entries.iter().rfind(|entry| entry.annotation(REF_NAME) == Some(tag)),
            None if entries.len() > 1 => {
                return Err(TransportError::Ambiguous { place, tags: tags() });
            }
            None => entries.first(),
        };
        match (chosen, &self.tag) {
            (Some(entry), _) => Ok(entry.clone()),
            (None, Some(tag)) => Err(TransportError::NoTag { place, tag: tag.clone(), tags: tags() }),
            (None, None) => Err(TransportError::NoImage(place)),
        }
    }

    fn open(&self, descriptor: &Descriptor) -> Result<RawBlob, TransportError> {
        let inner = self
            .files
            .open(&blob_path(&descriptor.digest))?
            .ok_or_else(|| TransportError::MissingBlob { digest: descriptor.digest, place: self.files.place() })?;
        Ok(RawBlob::new(inner))
    }
}

#[async_trait]
impl<F: Files> Source for LayoutSource<F> {
    async fn root(&self) -> Result<(Vec<u8>, Option<String>), TransportError> {
        let entry = self.entry()?;
        Ok((self.manifest(&entry).await?, Some(entry.media_type)))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
        read_document("manifest", self.open(descriptor)?, descriptor)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<RawBlob, TransportError> {
        self.open(descriptor)
    }

    async fn slice(&self, descriptor: &Descriptor) -> Result<Option<FileSlice>, TransportError> {
        self.files.slice(&blob_path(&descriptor.digest))
    }
}

/// Reads a document into memory, within [`MAX_DOCUMENT`].
///
/// # Errors
/// If it is larger, or does not match its descriptor.
pub fn read_document(what: &'static str, blob: RawBlob, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    let result = if descriptor.size > MAX_DOCUMENT {
        Err(io::Error::other(format!("it claims {} bytes; at most {MAX_DOCUMENT} are allowed", descriptor.size)))
    } else {
        io::copy(&mut blob.verified(descriptor), &mut bytes)
    };
    result.map(|_| bytes).map_err(|source| TransportError::Document { what, digest: descriptor.digest, source })
}

/// A layout in a folder, to read.
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn slice(&self, path: &str) -> Result<Option<FileSlice>, TransportError> {
        let path = self.0.join(path);
        match File::open(&path).and_then(FileSlice::whole) {
            Ok(slice) => Ok(Some(slice)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TransportError::file("read", path)(error)),
        }
    }

    fn place(&self) -> String {
        format!("the OCI layout `{}`", self.0.display())
    }
}

/// A layout in a folder, to write.
pub struct LayoutPlace {
    folder: PathBuf,
    tags: Vec<String>,
}

/// Writes to a layout in `folder`. The parent of the folder must exist.
///
/// # Errors
/// If nothing can be written to it.
pub fn sink(folder: PathBuf, tags: Vec<String>) -> Result<StagedSink<LayoutPlace>, TransportError> {
    let work = if folder.is_dir() { folder.clone() } else { parent_of(&folder) };
    StagedSink::new(&work, LayoutPlace { folder, tags })
}

impl LayoutPlace {
    /// Writes a file that becomes visible when it is complete.
    fn write(&self, staging: &Staging, name: &str, text: &str) -> Result<(), TransportError> {
        let path = self.folder.join(name);
        let (mut file, part) = staging.spool().file()?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(TransportError::file("write", &path))?;
        readable_by_all(&part)?;
        part.persist(&path).map_err(|error| TransportError::file("write", &path)(error.error))
    }
}

#[async_trait]
impl StagedPlace for LayoutPlace {
    fn has(&self, descriptor: &Descriptor) -> bool {
        let there = fs::metadata(self.folder.join(blob_path(&descriptor.digest)));
        there.is_ok_and(|file| file.len() == descriptor.size)
    }

    async fn publish(&self, staging: &Staging, root: &Descriptor) -> Result<(), TransportError> {
        let files = Folder(self.folder.clone());
        // An index to which nothing can be added is an error before anything is written.
        LayoutIndex::read(&files)?;
        let blobs = self.folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(TransportError::file("create", &blobs))?;
        for blob in staging.take() {
            let path = blobs.join(blob.facts.digest.hex());
            readable_by_all(&blob.path)?;
            // After a power failure, the index must not list blobs that were lost.
            sync(&blob.path)?;
            blob.path.persist(&path).map_err(|error| TransportError::file("write", &path)(error.error))?;
        }
        sync(&blobs)?;
        self.write(staging, "oci-layout", OCI_LAYOUT)?;
        // Two runs may write two images to one layout. Each must add its image to the index of the other.
        let lock = File::open(&blobs).map_err(TransportError::file("lock", &blobs))?;
        lock.lock().map_err(TransportError::file("lock", &blobs))?;
        let index = LayoutIndex::read(&files)?.unwrap_or_default().with(root, &self.tags);
        self.write(staging, "index.json", &index.to_string())?;
        sync(&self.folder)
    }
}

/// Writes a file, or the names in a folder, from memory to the disk.
fn sync(path: &Path) -> Result<(), TransportError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(TransportError::file("write", path))
}

/// Returns the folder of `path`.
pub(super) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a file readable by all users. Files of a spool are readable by their owner only, but other tools write images
/// that are readable by all users.
pub(super) fn readable_by_all(path: &Path) -> Result<(), TransportError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(TransportError::file("write", path))
}

/// An `index.json`. Only its list of manifests is changed.
#[derive(Debug, Clone)]
pub(super) struct LayoutIndex {
    json: Map<String, Value>,
    entries: Vec<Value>,
}

impl Default for LayoutIndex {
    fn default() -> Self {
        let json = Map::from_iter([
            ("schemaVersion".to_owned(), 2.into()),
            ("mediaType".to_owned(), media_type::OCI_INDEX.into()),
        ]);
        Self { json, entries: Vec::new() }
    }
}

impl LayoutIndex {
    /// Reads the index of a layout; `None` if it does not exist.
    ///
    /// # Errors
    /// If it is not an object with a list of manifests.
    fn read(files: &dyn Files) -> Result<Option<Self>, TransportError> {
        let Some(json) = read_json(files, INDEX)? else { return Ok(None) };
        let malformed = |source| TransportError::Json { place: files.place(), file: INDEX.to_owned(), source };
        let mut json = serde_json::from_value::<Map<String, Value>>(json).map_err(malformed)?;
        let entries = json.shift_remove("manifests").unwrap_or_else(|| Vec::<Value>::new().into());
        Ok(Some(Self { json, entries: serde_json::from_value(entries).map_err(malformed)? }))
    }

    /// Returns an index in which `tags` point to `descriptor` only. Without tags, the entry without a tag is replaced.
    pub(super) fn with(mut self, descriptor: &Descriptor, tags: &[String]) -> Value {
        match tags {
            [] => self.put(descriptor, None),
            tags => tags.iter().for_each(|tag| self.put(descriptor, Some(tag))),
        }
        self.json.insert("manifests".to_owned(), self.entries.into());
        self.json.into()
    }

    fn put(&mut self, descriptor: &Descriptor, tag: Option<&str>) {
        let mut entry = descriptor.clone();
        if let Some(tag) = tag {
            entry.annotations.insert(REF_NAME.to_owned(), tag.into());
        }
        let is_same = |other: &Value| {
            let name = other.get("annotations").and_then(|annotations| annotations.get(REF_NAME));
            name.and_then(Value::as_str) == tag
        };
        self.entries.retain(|other| !is_same(other));
        self.entries.push(json!(entry));
    }
}
