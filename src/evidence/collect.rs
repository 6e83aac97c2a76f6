//! Looks at files while layers are scanned, and keeps of each only what evidence will ask for.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::elf::{self, ElfFacts};
use super::python::{self, PythonFacts, Unread};
use super::sources::{SeenSources, SourceReader};
use super::windows::Windows;
use super::words::Words;
use super::{script, texts};
use crate::blob::{read_full, read_onto};
use crate::budget::{Budget, Resource};
use crate::content::Content;
use crate::layer::Entry;
use crate::layer::scan::Observer;
use crate::packages;
use crate::rootfs::NodeMap;
use crate::spare::Spare;
use crate::state;

/// The largest text that is kept, in bytes: a package database, a RECORD.
const MAX_TEXT: u64 = 16 << 20;
/// Where an image says which distribution it is, the first that there is. Source: os-release(5).
pub const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// The loader's cache of libraries. Source: ldconfig(8), "FILES".
pub const LD_CACHE: &str = "etc/ld.so.cache";
/// How much of a script's first line is read.
const MAX_LINE: usize = 256;

/// What the files of a rootfs say, by node; names of one file share it.
pub type Facts = NodeMap<Arc<FileFacts>>;

/// What one file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// What it says as Python source.
    pub python: Option<Box<PythonFacts>>,
    /// Why not all of it could be read.
    pub unread: Option<Unread>,
    /// What it says as an ELF object.
    pub elf: Option<Box<ElfFacts>>,
    /// Whether it is an ELF object that lies about itself.
    pub is_broken_elf: bool,
    /// The words of its `#!` line.
    pub interpreter: Option<Box<str>>,
    /// The words of a script or a configuration.
    pub words: Words,
    /// Its content, if it is one of the texts that are kept whole.
    pub text: Option<Arc<str>>,
    /// Its content, if it is one of the files that are kept whole and no text.
    pub bytes: Option<Arc<[u8]>>,
    /// What its first bytes say that it is.
    pub content: Option<Content>,
}

/// Collects what the files of one layer say, by the index of their entry.
#[derive(Debug, Default)]
pub struct Collector {
    found: HashMap<u32, Arc<FileFacts>>,
    sources: SourceReader,
    skips_sources: bool,
    windows: Windows,
    budget: Budget,
}

impl Collector {
    /// A collector that shares the sources it reads with those of other layers, and reads them on a thread of its own when there is one
    /// to spare.
    pub fn sharing(seen: SeenSources, spare: Option<Spare>) -> Self {
        Self { sources: SourceReader::new(seen, spare), ..Self::default() }
    }

    /// Counts what is kept in the image's budget.
    pub fn within(self, budget: Budget) -> Self {
        let sources = self.sources.within(budget.clone());
        Self { budget, sources, ..self }
    }

    /// A collector that reads no Python sources, which is what takes longest: for plans that nobody asks what needs what.
    pub fn without_sources() -> Self {
        Self { skips_sources: true, ..Self::default() }
    }

    /// Returns what was found, by the index of the entry.
    pub fn finish(mut self) -> HashMap<u32, Arc<FileFacts>> {
        self.found.extend(self.sources.finish());
        self.found.retain(|_, facts| **facts != FileFacts::default());
        self.found
    }

    fn look(&mut self, path: &str, entry: &Entry, content: &mut dyn BufRead) -> io::Result<FileFacts> {
        let mut facts = FileFacts::default();
        if path.ends_with(".py") {
            facts.unread = Some(Unread::TooLarge);
        } else if wants_text(path) {
            if entry.size > MAX_TEXT {
                facts.unread = Some(Unread::TooLarge);
            } else {
                match String::from_utf8(read_all(entry.size, content)?) {
                    Ok(text) => {
                        if state::lists::is_list(path) {
                            facts.words = texts::words(path, &text);
                        }
                        facts.text = Some(text.into());
                    }
                    Err(_) => facts.unread = Some(Unread::Encoding),
                }
            }
        } else if wants_bytes(path) {
            if entry.size <= MAX_TEXT {
                facts.bytes = Some(read_all(entry.size, content)?.into());
            }
        } else {
            self.look_inside(entry, path, content, &mut facts)?;
        }
        Ok(facts)
    }

    /// Looks at a file that only its first bytes describe.
    fn look_inside(
        &mut self,
        entry: &Entry,
        path: &str,
        content: &mut dyn BufRead,
        facts: &mut FileFacts,
    ) -> io::Result<()> {
        let mut start = [0; 16];
        let count = read_full(content, &mut start)?;
        let start = &start[..count];
        let mut content = io::Cursor::new(start).chain(content);
        if start.starts_with(elf::MAGIC) {
            match elf::read(entry.size, &mut content, &mut self.windows)? {
                Some(elf) => facts.elf = Some(elf.into()),
                None => facts.is_broken_elf = true,
            }
        } else if start.starts_with(b"#!") {
            read_script(entry.size, &mut content, facts)?;
        } else if texts::is_configuration(path) && entry.size <= texts::MAX_TEXT && !start.contains(&0) {
            facts.words = texts::words(path, &String::from_utf8_lossy(&read_all(entry.size, &mut content)?));
        } else {
            facts.content = Content::of(start);
        }
        Ok(())
    }
}

impl Observer for Collector {
    fn observe(&mut self, index: usize, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()> {
        let path = String::from_utf8_lossy(entry.path.as_bytes());
        let index = index as u32;
        if self.skips_sources && path.ends_with(".py") {
            return Ok(());
        }
        if path.ends_with(".py") && entry.size <= python::MAX_SOURCE {
            let mut source = self.sources.buffer();
            read_onto(&mut source, content, entry.size)?;
            self.sources.read(index, source);
        } else {
            let facts = self.look(&path, entry, content)?;
            if facts != FileFacts::default() {
                self.budget.spend(Resource::Contents, facts.weight()).map_err(io::Error::other)?;
                self.found.insert(index, facts.into());
            }
        }
        // Sources are read on other threads: what they cost is known a little later.
        self.budget.spend(Resource::Contents, 0).map_err(io::Error::other)
    }
}

/// Files that are kept whole and are no text.
fn wants_bytes(path: &str) -> bool {
    path == LD_CACHE
}

/// Texts that are kept whole.
fn wants_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    packages::wants(path)
        || state::lists::is_list(path)
        || OS_RELEASE.contains(&path)
        || matches!(name, "RECORD" | "entry_points.txt" | "pyvenv.cfg" | "direct_url.json")
        || name == "installed-files.txt"
        || name.ends_with(".pth")
        || name.ends_with(".egg-link")
        || path == "etc/ld.so.conf"
        || path.starts_with("etc/ld.so.conf.d/")
        || path.starts_with("etc/ld-musl-")
}

fn read_all(size: u64, content: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size.min(MAX_TEXT) as usize);
    read_onto(&mut bytes, content, size)?;
    Ok(bytes)
}

impl FileFacts {
    /// Returns about how many bytes the facts take in memory.
    fn weight(&self) -> u64 {
        let texts =
            self.text.as_ref().map_or(0, |text| text.len()) + self.bytes.as_ref().map_or(0, |bytes| bytes.len());
        let python = self.python.as_ref().map_or(0, |python| python.weight());
        let elf = self.elf.as_ref().map_or(0, |elf| elf.strings.weight());
        (size_of::<Self>() + texts) as u64 + self.words.weight() + python + elf
    }

    /// Reads a Python source.
    pub(super) fn of_python(source: &[u8], budget: &Budget) -> Self {
        let mut facts = Self::default();
        facts.read_python(source);
        // Who reads entries finds out that there is too much.
        let _ = budget.spend(Resource::Contents, facts.weight());
        facts
    }

    fn read_python(&mut self, source: &[u8]) {
        let (python, unread) = python::read(source);
        self.unread = unread;
        if python != PythonFacts::default() {
            self.python = Some(python.into());
        }
    }
}

fn read_script(size: u64, content: &mut dyn BufRead, facts: &mut FileFacts) -> io::Result<()> {
    let mut line = vec![0; MAX_LINE];
    let count = read_full(content, &mut line)?;
    line.truncate(count);
    let rest = line.clone();
    let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
    let words = String::from_utf8_lossy(&line[2.min(end)..end]).trim().to_owned();
    let mut whole = io::Cursor::new(rest).chain(content);
    if words.contains("python") && size > python::MAX_SOURCE {
        facts.unread = Some(Unread::TooLarge);
    } else if words.contains("python") {
        facts.read_python(&read_all(size, &mut whole)?);
    } else if size <= script::MAX_SCRIPT {
        facts.words = script::words(&String::from_utf8_lossy(&read_all(size, &mut whole)?));
    }
    facts.interpreter = Some(words.into());
    Ok(())
}
