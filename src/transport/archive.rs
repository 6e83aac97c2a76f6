//! `oci-archive:` and `docker-archive:`: an image layout or the output of `docker save`, as a tar.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::docker_archive::DockerArchiveSource;
use super::error::TransportError;
use super::layout::{self, Files, LayoutSource};
use super::spool::{Spool, SpooledBlob};
use super::staging::{StagedPlace, StagedSink, Staging};
use super::{FileSlice, Source};
use crate::blob::read_full;
use crate::digest::Digest;
use crate::image::document::MAX_NESTED_INDEXES;
use crate::image::{Descriptor, Document, ImageConfig, Manifest, index};
use crate::layer::codec::{self, Compression};
use crate::layer::tar::{TarError, TarReader};
use crate::layer::{Entry, EntryKind};
use crate::rootfs_path::RootfsPath;

/// A tar file whose members can be opened by name.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    place: String,
    members: HashMap<String, Entry>,
    /// Keeps the spool of an archive from standard input.
    _spool: Option<Spool>,
}

impl Archive {
    /// Indexes the members of a tar file. A compressed file is decompressed to a spool in `work`.
    ///
    /// # Errors
    /// If it cannot be read, or is not a tar file.
    pub fn open(path: &Path, work: &Path) -> Result<Self, TransportError> {
        let read = || TransportError::file("read", path);
        let mut start = [0; 4];
        let count = File::open(path).and_then(|mut file| read_full(&mut file, &mut start)).map_err(read())?;
        let place = format!("`{}`", path.display());
        if Compression::sniff(&start[..count]) == Compression::None {
            return Self::index(path.to_owned(), place, None);
        }
        Self::decompressed(File::open(path).map_err(read())?, place, work, read())
    }

    /// Copies an archive from standard input to a spool in `work`. A compressed archive is decompressed.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn from_stdin(work: &Path) -> Result<Self, TransportError> {
        let read = |source| TransportError::Stdio { action: "read", source };
        Self::decompressed(io::stdin().lock(), "the archive on standard input".to_owned(), work, read)
    }

    fn decompressed(
        input: impl io::Read,
        place: String,
        work: &Path,
        read: impl FnOnce(io::Error) -> TransportError,
    ) -> Result<Self, TransportError> {
        let spool = Spool::new(work)?;
        let path = spool.path().join("archive.tar");
        let mut file = File::create_new(&path).map_err(TransportError::file("write", &path))?;
        let mut input = BufReader::new(input);
        let copied = io::BufRead::fill_buf(&mut input)
            .map(Compression::sniff)
            .and_then(|compression| codec::decoder(compression, input))
            .and_then(|mut input| io::copy(&mut input, &mut file));
        copied.map_err(read)?;
        Self::index(path, place, Some(spool))
    }

    /// Copies an archive to a spool, and indexes its members at the same time.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub(super) fn copied(input: impl io::Read, place: String, spool: Spool) -> Result<Self, TransportError> {
        let path = spool.path().join("image.tar");
        let file = File::create_new(&path).map_err(TransportError::file("write", &path))?;
        let copying = Copying { input, file, path: path.clone(), place: place.clone() };
        let mut input = BufReader::with_capacity(1 << 20, copying);
        let members = Self::members(&mut input, &place)?;
        // The sender expects that its stream is read to the end.
        io::copy(&mut input, &mut io::sink())
            .map_err(|source| unreadable(place.clone(), TarError::Read { offset: 0, source }))?;
        Ok(Self { path, place, members, _spool: Some(spool) })
    }

    fn index(path: PathBuf, place: String, spool: Option<Spool>) -> Result<Self, TransportError> {
        let file = File::open(&path).map_err(TransportError::file("read", &path))?;
        let members = Self::members(BufReader::with_capacity(1 << 20, file), &place)?;
        Ok(Self { path, place, members, _spool: spool })
    }

    fn members(input: impl io::BufRead, place: &str) -> Result<HashMap<String, Entry>, TransportError> {
        let mut tar = TarReader::new(input);
        let mut members = HashMap::new();
        loop {
            let next = tar.next_entry().and_then(|entry| match entry {
                Some(entry) => tar.finish_entry(&entry).map(|()| Some(entry)),
                None => Ok(None),
            });
            match next {
                Ok(Some(entry)) => members.insert(entry.path.to_string(), entry),
                Ok(None) => break,
                Err(source) => return Err(unreadable(place.to_owned(), source)),
            };
        }
        Ok(members)
    }

    /// Returns the size of a file in the archive; `None` if it does not exist. Links are followed.
    pub fn size(&self, path: &str) -> Option<u64> {
        self.file(path).map(|entry| entry.size)
    }

    /// Returns a file in the archive. Links are followed: old versions of `docker save` store equal layers as symlinks
    /// to the first.
    fn file(&self, path: &str) -> Option<&Entry> {
        let mut path = RootfsPath::parse(path.as_bytes()).ok()?;
        for _ in 0..8 {
            let entry = self.members.get(&path.to_string())?;
            path = match &entry.kind {
                EntryKind::File => return Some(entry),
                EntryKind::HardLink(target) => target.clone(),
                EntryKind::Symlink(target) => relative(&path.parent(), target)?,
                _ => return None,
            };
        }
        None
    }
}

/// Returns the error for an archive that cannot be read. The archive is not at fault if its stream broke, or if a full
/// disk stopped the copy.
fn unreadable(place: String, error: TarError) -> TransportError {
    match error {
        TarError::Read { offset, source } => match source.downcast::<TransportError>() {
            Ok(error) => error,
            Err(source) => TransportError::Archive { place, source: TarError::Read { offset, source } },
        },
        TarError::ReadData { path, offset, source } => match source.downcast::<TransportError>() {
            Ok(error) => error,
            Err(source) => TransportError::Archive { place, source: TarError::ReadData { path, offset, source } },
        },
        source => TransportError::Archive { place, source },
    }
}

/// Copies the bytes that are read to a file. Its errors are [`TransportError`]s.
struct Copying<R> {
    input: R,
    file: File,
    path: PathBuf,
    /// The sender, for messages.
    place: String,
}

impl<R: io::Read> io::Read for Copying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let broken = |source| io::Error::other(TransportError::Stream { place: self.place.clone(), source });
        let unwritten = |source| io::Error::other(TransportError::file("write", &self.path)(source));
        let count = match self.input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            read => read.map_err(broken)?,
        };
        self.file.write_all(&buffer[..count]).map_err(unwritten)?;
        Ok(count)
    }
}

/// Resolves the target of a symlink in an archive; `None` if it is outside of the archive.
fn relative(folder: &RootfsPath, target: &[u8]) -> Option<RootfsPath> {
    let mut path = folder.clone();
    for name in target.split(|&b| b == b'/') {
        path = match name {
            b"" | b"." => path,
            b".." if path.is_root() => return None,
            b".." => path.parent(),
            name => path.join(name),
        };
    }
    Some(path)
}

impl Files for Archive {
    fn slice(&self, path: &str) -> Result<Option<FileSlice>, TransportError> {
        let Some(entry) = self.file(path) else { return Ok(None) };
        let file = File::open(&self.path).map_err(TransportError::file("read", &self.path))?;
        Ok(Some(FileSlice { file, start: entry.span.data_start, size: entry.size }))
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

/// The kind of archive that a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// `oci-archive:`.
    Oci,
    /// `docker-archive:`.
    Docker,
    /// `-`: either kind.
    Any,
}

/// Opens the image in an archive.
///
/// # Errors
/// If the archive is of another kind.
pub fn source(archive: Archive, kind: ArchiveKind, tag: Option<String>) -> Result<Box<dyn Source>, TransportError> {
    let is_oci = archive.size("index.json").is_some();
    let is_docker = archive.size("manifest.json").is_some();
    match kind {
        ArchiveKind::Docker if is_docker => Ok(Box::new(DockerArchiveSource::new(archive, tag)?)),
        ArchiveKind::Oci | ArchiveKind::Any if is_oci => Ok(Box::new(LayoutSource::new(archive, tag))),
        ArchiveKind::Any if is_docker => Ok(Box::new(DockerArchiveSource::new(archive, tag)?)),
        _ => Err(TransportError::NoArchive(archive.place)),
    }
}

/// Where an archive is written.
#[derive(Debug)]
pub enum ArchiveOutput {
    /// A file, which becomes visible when it is complete.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// An archive that is an OCI image layout and that Docker can load: it has both `index.json` and `manifest.json`.
pub struct ArchivePlace {
    output: ArchiveOutput,
    tags: Vec<String>,
}

/// Writes an archive to `output`. `work` is the folder of temporary files for an archive on standard output.
///
/// # Errors
/// If nothing can be written to it.
pub fn sink(output: ArchiveOutput, tags: Vec<String>, work: &Path) -> Result<StagedSink<ArchivePlace>, TransportError> {
    let work = match &output {
        ArchiveOutput::File(path) => layout::parent_of(path),
        ArchiveOutput::Stdout => work.to_owned(),
    };
    StagedSink::new(&work, ArchivePlace { output, tags })
}

#[async_trait]
impl StagedPlace for ArchivePlace {
    async fn publish(&self, staging: &Staging, root: &Descriptor) -> Result<(), TransportError> {
        match &self.output {
            ArchiveOutput::Stdout => {
                write_archive(staging.take(), root, &self.tags, io::BufWriter::new(io::stdout().lock()))
                    .map_err(|source| TransportError::Stdio { action: "write", source })
            }
            ArchiveOutput::File(path) => {
                let (file, part) = staging.spool().file()?;
                write_archive(staging.take(), root, &self.tags, file).map_err(TransportError::file("write", path))?;
                layout::readable_by_all(&part)?;
                part.persist(path).map_err(|error| TransportError::file("write", path)(error.error))
            }
        }
    }
}

/// Writes the staged blobs of an image as an archive.
pub(super) fn write_archive(
    blobs: Vec<SpooledBlob>,
    root: &Descriptor,
    tags: &[String],
    output: impl Write,
) -> io::Result<()> {
    let blobs = blobs.into_iter().map(|blob| (blob.facts.digest, blob)).collect::<HashMap<_, _>>();
    let read = |digest: &Digest| blobs.get(digest).and_then(|blob| std::fs::read(&blob.path).ok());
    let manifest = docker_manifest(root, tags, &read);
    let index = layout::LayoutIndex::default().with(root, tags);
    let mut files = vec![
        ("oci-layout".to_owned(), MemberContent::Bytes(layout::OCI_LAYOUT.into())),
        ("index.json".to_owned(), MemberContent::Bytes(index.to_string().into())),
    ];
    files.extend(manifest.map(|json| ("manifest.json".to_owned(), MemberContent::Bytes(json.to_string().into()))));
    let mut blobs = blobs.iter().collect::<Vec<_>>();
    blobs.sort_by_key(|(digest, _)| **digest);
    files.extend(blobs.iter().map(|(digest, blob)| (layout::blob_path(digest), MemberContent::File(&blob.path))));
    write_tar(output, &files)
}

/// The content of a member of a new archive.
enum MemberContent<'a> {
    Bytes(Vec<u8>),
    File(&'a Path),
}

/// Writes members without times and owners, so that the bytes depend on the image only.
fn write_tar(output: impl Write, files: &[(String, MemberContent<'_>)]) -> io::Result<()> {
    let mut tar = tar::Builder::new(output);
    let header = |size, kind| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header
    };
    for folder in ["blobs/", "blobs/sha256/"] {
        tar.append_data(&mut header(0, tar::EntryType::Directory), folder, io::empty())?;
    }
    for (path, content) in files {
        match content {
            MemberContent::Bytes(bytes) => {
                let mut header = header(bytes.len() as u64, tar::EntryType::Regular);
                tar.append_data(&mut header, path, &bytes[..])?;
            }
            MemberContent::File(file) => {
                let file = File::open(file)?;
                let mut header = header(file.metadata()?.len(), tar::EntryType::Regular);
                tar.append_data(&mut header, path, file)?;
            }
        }
    }
    tar.into_inner()?.flush()
}

/// Returns the `manifest.json` with which Docker can load an archive; `None` if it has no image. Of an index, the image
/// for this machine is used.
fn docker_manifest(root: &Descriptor, tags: &[String], read: &dyn Fn(&Digest) -> Option<Vec<u8>>) -> Option<Value> {
    let manifest = loadable(root, read, 0)?;
    ImageConfig::parse(read(&manifest.config.digest)?).ok()?;
    let layers = manifest.layers.iter().map(|layer| layout::blob_path(&layer.digest));
    Some(json!([{
        "Config": layout::blob_path(&manifest.config.digest),
        "RepoTags": tags.iter().map(|tag| repo_tag(tag)).collect::<Vec<_>>(),
        "Layers": layers.collect::<Vec<_>>(),
    }]))
}

/// Returns the manifest of the image that Docker loads.
fn loadable(root: &Descriptor, read: &dyn Fn(&Digest) -> Option<Vec<u8>>, depth: usize) -> Option<Manifest> {
    if depth > MAX_NESTED_INDEXES {
        return None;
    }
    match Document::parse(read(&root.digest)?, Some(&root.media_type)).ok()? {
        Document::Manifest(manifest) => manifest.is_image().then_some(*manifest),
        Document::Index(list) => {
            let here = |entry: &&Descriptor| {
                let platform = entry.platform.as_ref();
                platform.is_some_and(|platform| platform.os == "linux" && platform.architecture == go_architecture())
            };
            let entry = list
                .manifests
                .iter()
                .filter(|entry| !index::is_attestation(entry))
                .find(here)
                .or(list.manifests.first())?;
            loadable(entry, read, depth + 1)
        }
    }
}

/// Returns the architecture of this machine by its name in Go and in images.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Returns `name:tag`, which Docker requires. In a layout, a tag may have another form.
fn repo_tag(tag: &str) -> String {
    match tag.rsplit_once(':') {
        Some((_, after)) if !after.contains('/') => tag.to_owned(),
        _ => format!("{tag}:latest"),
    }
}
