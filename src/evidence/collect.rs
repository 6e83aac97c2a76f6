//! Looks at files while layers are scanned, and keeps of each only what evidence will ask for.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::elf::{self, ElfFacts};
use super::python::{self, Mention, PythonFacts, Unread};
use super::script;
use super::windows::Windows;
use crate::layer::Entry;
use crate::layer::scan::Observer;
use crate::packages;
use crate::rootfs::NodeId;

/// The largest text that is kept, in bytes: a package database, a RECORD.
const MAX_TEXT: u64 = 16 << 20;
/// Where an image says which distribution it is, the first that there is. Source: os-release(5).
pub const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// How much of a script's first line is read.
const MAX_LINE: usize = 256;

/// What the files of a rootfs say, by node; names of one file share it.
pub type Facts = HashMap<NodeId, Arc<FileFacts>>;

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
    /// The words of a shell script that may be programs.
    pub words: Vec<Mention>,
    /// Its content, if it is one of the texts that are kept whole.
    pub text: Option<String>,
}

/// Python sources that were read already, by the hash of their content: one image often holds a module several times (two
/// Pythons of one version, vendored packages), and parsing is what evidence costs.
#[derive(Debug, Clone, Default)]
pub struct SeenSources(Arc<Mutex<HashMap<u128, Arc<FileFacts>>>>);

impl SeenSources {
    /// Reads a source, or tells what was read of the same before.
    fn read(&self, source: &[u8]) -> Arc<FileFacts> {
        // A lock that somebody died with still guards whole entries.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = xxhash_rust::xxh3::xxh3_128(source);
        if let Some(facts) = lock().get(&key) {
            return facts.clone();
        }
        let mut facts = FileFacts::default();
        facts.read_python(source);
        let facts = Arc::new(facts);
        lock().insert(key, facts.clone());
        facts
    }
}

/// Collects what the files of one layer say, by the index of their entry.
#[derive(Debug, Default)]
pub struct Collector {
    /// What was found.
    pub found: HashMap<u32, Arc<FileFacts>>,
    seen: SeenSources,
    /// The source that is read, in memory that was used before.
    source: Vec<u8>,
    windows: Windows,
}

impl Collector {
    /// A collector that shares what it reads with those of other layers.
    pub fn sharing(seen: SeenSources) -> Self {
        Self { seen, ..Self::default() }
    }

    fn look(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<Arc<FileFacts>> {
        let path = String::from_utf8_lossy(entry.path.as_bytes());
        if path.ends_with(".py") && entry.size <= python::MAX_SOURCE {
            self.source.clear();
            content.take(entry.size).read_to_end(&mut self.source)?;
            return Ok(self.seen.read(&self.source));
        }
        let mut facts = FileFacts::default();
        if path.ends_with(".py") {
            facts.unread = Some(Unread::TooLarge);
        } else if wants_text(&path) {
            if entry.size <= MAX_TEXT {
                facts.text = String::from_utf8(read_all(entry.size, content)?).ok();
            }
        } else {
            self.look_inside(entry, &path, content, &mut facts)?;
        }
        Ok(facts.into())
    }

    /// Looks at a file that only its first bytes can tell.
    fn look_inside(
        &mut self,
        entry: &Entry,
        path: &str,
        content: &mut dyn BufRead,
        facts: &mut FileFacts,
    ) -> io::Result<()> {
        let mut start = [0; 4];
        let count = read_start(content, &mut start)?;
        let mut content = io::Cursor::new(start).take(count as u64).chain(content);
        if start == elf::MAGIC {
            match elf::read(entry.size, &mut content, &mut self.windows)? {
                Some(elf) => facts.elf = Some(elf.into()),
                None => facts.is_broken_elf = true,
            }
        } else if start.starts_with(b"#!") && (entry.mode & 0o111 != 0 || path.ends_with(".sh")) {
            read_script(entry.size, &mut content, facts)?;
        }
        Ok(())
    }
}

impl Observer for Collector {
    fn observe(&mut self, index: usize, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()> {
        let facts = self.look(entry, content)?;
        if *facts != FileFacts::default() {
            self.found.insert(index as u32, facts);
        }
        Ok(())
    }
}

/// Files that are kept whole.
fn wants_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    packages::wants(path)
        || OS_RELEASE.contains(&path)
        || matches!(name, "RECORD" | "entry_points.txt" | "pyvenv.cfg" | "direct_url.json")
        || name.ends_with(".pth")
        || name.ends_with(".egg-link")
        || path == "etc/ld.so.conf"
        || path.starts_with("etc/ld.so.conf.d/")
        || path.starts_with("etc/ld-musl-")
}

fn read_start(content: &mut dyn BufRead, start: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < start.len() {
        match content.read(&mut start[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn read_all(size: u64, content: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size.min(MAX_TEXT) as usize);
    content.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl FileFacts {
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
    let count = read_start(content, &mut line)?;
    line.truncate(count);
    let rest = line.clone();
    let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
    let words = String::from_utf8_lossy(&line[2.min(end)..end]).trim().to_owned();
    let mut whole = io::Cursor::new(rest).chain(content);
    if words.contains("python") && size > python::MAX_SOURCE {
        facts.unread = Some(Unread::TooLarge);
    } else if words.contains("python") {
        facts.read_python(&read_all(size, &mut whole)?);
    } else if script::is_shell(&words) && size <= script::MAX_SCRIPT {
        facts.words = script::words(&String::from_utf8_lossy(&read_all(size, &mut whole)?));
    }
    facts.interpreter = Some(words.into());
    Ok(())
}
