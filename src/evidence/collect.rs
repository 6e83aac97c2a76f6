//! Examines files while layers are scanned, and stores only what evidence needs later.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::elf::{self, ElfFacts};
use super::python::{self, PythonFacts, UnreadReason};
use super::sources::{SeenSources, SourceReader};
use super::windows::Windows;
use super::words::Words;
use super::{script, texts};
use crate::blob::{read_full, read_onto};
use crate::budget::{Budget, Resource};
use crate::content::Content;
use crate::idle::IdleThreads;
use crate::layer::Entry;
use crate::layer::scan::Observer;
use crate::packages;
use crate::rootfs::NodeMap;
use crate::state;

/// The largest text that is stored, in bytes: a package database, a RECORD.
const MAX_TEXT: u64 = 16 << 20;
/// Files that name the distribution of an image; the first that exists counts. Source: os-release(5).
pub const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// The dynamic loader's cache of libraries. Source: ldconfig(8), "FILES".
pub const LD_CACHE: &str = "etc/ld.so.cache";
/// How many bytes of a script's first line are read.
const MAX_LINE: usize = 256;

/// The facts about the files of a rootfs, by node. The names of a hard link share them.
pub type Facts = NodeMap<Arc<FileFacts>>;

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// What was found in it as Python source.
    pub python: Option<Box<PythonFacts>>,
    /// Why it could not be read, or not completely.
    pub unread: Option<UnreadReason>,
    /// What was found in it as an ELF object.
    pub elf: Option<Box<ElfFacts>>,
    /// Whether it is a malformed ELF object.
    pub is_broken_elf: bool,
    /// The text of its `#!` line, without `#!`.
    pub interpreter: Option<Box<str>>,
    /// The words of a script or a configuration file.
    pub words: Words,
    /// Its content, if it is a text that is stored whole.
    pub text: Option<Arc<str>>,
    /// Its content, if it is a binary file that is stored whole.
    pub bytes: Option<Arc<[u8]>>,
    /// Its type, by its first bytes.
    pub content: Option<Content>,
}

/// Collects facts about the files of one layer, by the index of their entry.
#[derive(Debug, Default)]
pub struct Collector {
    found: HashMap<u32, Arc<FileFacts>>,
    sources: SourceReader,
    skips_sources: bool,
    windows: Windows,
    budget: Budget,
}

impl Collector {
    /// Creates a collector that shares parsed sources with the collectors of other layers. It parses on another thread
    /// if one is idle.
    pub fn sharing(seen: SeenSources, idle: Option<IdleThreads>) -> Self {
        Self { sources: SourceReader::new(seen, idle), ..Self::default() }
    }

    /// Charges what is stored to the image's budget.
    pub fn within(self, budget: Budget) -> Self {
        let sources = self.sources.within(budget.clone());
        Self { budget, sources, ..self }
    }

    /// Creates a collector that skips Python sources, which take the most time. It serves plans that need no evidence.
    pub fn without_sources() -> Self {
        Self { skips_sources: true, ..Self::default() }
    }

    /// Returns the facts, by the index of the entry.
    pub fn finish(mut self) -> HashMap<u32, Arc<FileFacts>> {
        self.found.extend(self.sources.finish());
        self.found.retain(|_, facts| **facts != FileFacts::default());
        self.found
    }

    fn look(&mut self, path: &str, entry: &Entry, content: &mut dyn BufRead) -> io::Result<FileFacts> {
        let mut facts = FileFacts::default();
        if path.ends_with(".py") {
            facts.unread = Some(UnreadReason::TooLarge);
        } else if wants_text(path) {
            if entry.size > MAX_TEXT {
                facts.unread = Some(UnreadReason::TooLarge);
            } else {
                match String::from_utf8(read_all(entry.size, content)?) {
                    Ok(text) => {
                        if state::lists::is_list(path) {
                            facts.words = texts::words(path, &text);
                        }
                        facts.text = Some(text.into());
                    }
                    Err(_) => facts.unread = Some(UnreadReason::Encoding),
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

    /// Examines a file whose type only its first bytes show.
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
        // Other threads read sources and charge their cost later, so this only checks the budget.
        self.budget.spend(Resource::Contents, 0).map_err(io::Error::other)
    }
}

/// Returns whether a binary file is stored whole.
fn wants_bytes(path: &str) -> bool {
    path == LD_CACHE
}

/// Returns whether a text is stored whole.
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
    /// Returns about how many bytes of memory the facts take.
    fn weight(&self) -> u64 {
        let texts =
            self.text.as_ref().map_or(0, |text| text.len()) + self.bytes.as_ref().map_or(0, |bytes| bytes.len());
        let python = self.python.as_ref().map_or(0, |python| python.weight());
        let elf = self.elf.as_ref().map_or(0, |elf| elf.strings.weight());
        (size_of::<Self>() + texts) as u64 + self.words.weight() + python + elf
    }

    pub(super) fn of_python(source: &[u8], budget: &Budget) -> Self {
        let mut facts = Self::default();
        facts.read_python(source);
        // The error is ignored here: the thread that reads entries checks the budget.
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
        facts.unread = Some(UnreadReason::TooLarge);
    } else if words.contains("python") {
        facts.read_python(&read_all(size, &mut whole)?);
    } else if size <= script::MAX_SCRIPT {
        facts.words = script::words(&String::from_utf8_lossy(&read_all(size, &mut whole)?));
    }
    facts.interpreter = Some(words.into());
    Ok(())
}
