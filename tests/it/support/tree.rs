//! Reads whole trees, by two ways that share nothing with the program: a plain in-memory unpacker over the tar crate, and
//! a walk over a folder that another tool has unpacked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use pydock::digest::Digest;
use serde_json::Value;

use super::image::{read_blob, read_json};

/// A tree: path (bytes, no leading slash) to its file, as one line of text.
pub(crate) type Tree = BTreeMap<Vec<u8>, String>;

/// Unpacks the image of a layout in memory.
pub(crate) fn of_layout(folder: &Path) -> Tree {
    of_manifest(folder, &super::image::root(folder))
}

/// Unpacks one image of a layout in memory.
pub(crate) fn of_manifest(folder: &Path, manifest: &Value) -> Tree {
    let manifest = read_json(folder, manifest);
    let mut unpacked = Unpacked::default();
    for layer in manifest["layers"].as_array().unwrap() {
        let blob = read_blob(folder, layer);
        let media_type = layer["mediaType"].as_str().unwrap();
        let mut tar = Vec::new();
        if media_type.contains("zstd") {
            zstd::stream::copy_decode(&blob[..], &mut tar).unwrap();
        } else if media_type.contains("gzip") {
            flate2::bufread::MultiGzDecoder::new(&blob[..]).read_to_end(&mut tar).unwrap();
        } else {
            tar = blob;
        }
        unpacked.layer(&tar);
    }
    unpacked.tree()
}

/// A rootfs as an unpacker makes it: names, and what they are names of.
#[derive(Default)]
struct Unpacked {
    names: BTreeMap<Vec<u8>, usize>,
    inodes: Vec<Inode>,
}

#[derive(Clone)]
struct Inode {
    kind: &'static str,
    text: String,
    target: Vec<u8>,
}

impl Unpacked {
    fn layer(&mut self, tar: &[u8]) {
        let mut entries = Vec::new();
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = normal(&entry.path_bytes());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let extensions = entry.pax_extensions().unwrap().map(|records| {
                let record = |record: std::io::Result<tar::PaxExtension<'_>>| {
                    let record = record.unwrap();
                    (record.key().unwrap().to_owned(), record.value_bytes().to_vec())
                };
                records
                    .map(record)
                    .filter(|(key, _)| key.starts_with("SCHILY.xattr") || key == "mtime")
                    .collect::<Vec<_>>()
            });
            let header = entry.header();
            let text = format!(
                "{:o} {}:{} {} {:?} {}",
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap(),
                extensions.unwrap_or_default(),
                Digest::of(&content).short(),
            );
            let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
            entries.push((path, header.entry_type(), text, link));
        }
        // Whiteouts are about lower layers only, wherever they stand in the tar. The folder of one is a directory of this layer, as overlayfs
        // unpacks it there: no symlink of a lower layer is followed.
        let is_whiteout = |path: &&Vec<u8>| {
            let name = split(path).1.strip_prefix(b".wh.".as_slice()).unwrap_or_default();
            name == b".wh..opq" || !name.is_empty() && !name.starts_with(b".wh.")
        };
        let whiteouts = entries.iter().map(|(path, ..)| path).filter(is_whiteout).collect::<Vec<_>>();
        for path in &whiteouts {
            self.own_folder(split(path).0);
        }
        for path in whiteouts {
            self.white_out(path);
        }
        for (path, kind, text, link) in entries {
            let name = path.rsplit(|&b| b == b'/').next().unwrap();
            if !name.starts_with(b".wh.") {
                self.place(path, kind, text, link);
            }
        }
    }

    /// Makes directories of the symlinks in a folder's path.
    fn own_folder(&mut self, folder: &[u8]) {
        let ends = (0..folder.len()).filter(|&at| folder[at] == b'/').chain([folder.len()]);
        for path in ends.map(|end| &folder[..end]).filter(|path| !path.is_empty()) {
            match self.names.get(path).map(|&inode| self.inodes[inode].kind) {
                Some("d") => {}
                Some("l") => {
                    self.names.remove(path);
                    self.make_folders(path);
                }
                _ => return,
            }
        }
    }

    fn white_out(&mut self, path: &[u8]) {
        let (folder, name) = split(path);
        let is_folder =
            folder.is_empty() || self.names.get(folder).is_some_and(|&inode| self.inodes[inode].kind == "d");
        if !is_folder {
            return;
        }
        if name == b".wh..wh..opq" {
            self.remove_below(folder);
        } else if let Some(name) = name.strip_prefix(b".wh.") {
            let path = join(folder, name);
            self.remove_below(&path);
            self.names.remove(&path);
        }
    }

    fn place(&mut self, path: Vec<u8>, kind: tar::EntryType, text: String, link: Vec<u8>) {
        if path.is_empty() {
            return;
        }
        let (folder, name) = split(&path);
        let folder = self.follow(folder);
        self.make_folders(&folder);
        let path = join(&folder, name);
        if kind == tar::EntryType::Link {
            let (folder, name) = split(&link);
            let target = join(&self.follow(&normal(folder)), name);
            let inode = self.names[&target];
            self.remove_below(&path);
            self.names.insert(path, inode);
            return;
        }
        let kind = match kind {
            tar::EntryType::Directory => "d",
            tar::EntryType::Symlink => "l",
            tar::EntryType::Fifo => "p",
            _ => "f",
        };
        let was_folder = self.names.get(&path).is_some_and(|&inode| self.inodes[inode].kind == "d");
        if !(was_folder && kind == "d") {
            self.remove_below(&path);
        }
        self.inodes.push(Inode { kind, text, target: if kind == "l" { link } else { Vec::new() } });
        self.names.insert(path, self.inodes.len() - 1);
    }

    fn make_folders(&mut self, folder: &[u8]) {
        if folder.is_empty() || self.names.get(folder).is_some_and(|&inode| self.inodes[inode].kind == "d") {
            return;
        }
        self.make_folders(split(folder).0);
        self.inodes.push(Inode { kind: "d", text: "implied".to_owned(), target: Vec::new() });
        self.names.insert(folder.to_vec(), self.inodes.len() - 1);
    }

    fn remove_below(&mut self, path: &[u8]) {
        let prefix = join(path, b"");
        self.names.retain(|name, _| path.is_empty() || !name.starts_with(&prefix));
        if path.is_empty() {
            self.names.clear();
        }
    }

    /// Follows symlinks in a folder's path.
    fn follow(&self, folder: &[u8]) -> Vec<u8> {
        let mut todo = folder.split(|&b| b == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut at = Vec::new();
        let mut hops = 0;
        while let Some(name) = todo.pop() {
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    at = split(&at).0.to_vec();
                    continue;
                }
                _ => {}
            }
            let next = join(&at, &name);
            match self.names.get(&next).map(|&inode| &self.inodes[inode]) {
                Some(Inode { kind: "l", target, .. }) if hops < 40 => {
                    hops += 1;
                    todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
                    if target.starts_with(b"/") {
                        at.clear();
                    }
                }
                _ => at = next,
            }
        }
        at
    }

    fn tree(&self) -> Tree {
        let mut first: HashMap<usize, &Vec<u8>> = HashMap::new();
        let line = |(path, &inode): (&Vec<u8>, &usize)| {
            let Inode { kind, text, target } = &self.inodes[inode];
            let first = *first.entry(inode).or_insert_with(|| self.names.iter().find(|(_, i)| **i == inode).unwrap().0);
            let same = if first == path { String::new() } else { format!(" same as {}", show(first)) };
            (path.clone(), format!("{kind} {text} {}{same}", show(target)))
        };
        self.names.iter().map(line).collect()
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn normal(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

/// Walks a folder: type, mode, owner, time, xattrs, links and content of everything in it.
pub(crate) fn of_folder(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut first: HashMap<u64, Vec<u8>> = HashMap::new();
    walk(root, root, &mut tree, &mut first);
    tree
}

fn walk(root: &Path, folder: &Path, tree: &mut Tree, first: &mut HashMap<u64, Vec<u8>>) {
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    entries.sort();
    for path in entries {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let kind = metadata.file_type();
        let content = if kind.is_symlink() {
            show(std::fs::read_link(&path).unwrap().as_os_str().as_bytes())
        } else if kind.is_file() {
            Digest::of(&std::fs::read(&path).unwrap()).short()
        } else {
            String::new()
        };
        let xattrs = xattr::list(&path).unwrap().map(|key| {
            let value = xattr::get(&path, &key).unwrap().unwrap_or_default();
            format!("{key:?}={}", show(&value))
        });
        let mut xattrs = xattrs.collect::<Vec<_>>();
        xattrs.sort();
        let same = match first.get(&metadata.ino()) {
            Some(other) if metadata.is_file() => format!("same as {}", show(other)),
            _ => String::new(),
        };
        first.entry(metadata.ino()).or_insert_with(|| name.clone());
        tree.insert(
            name,
            format!(
                "{:o} {}:{} {}.{:09} rdev {} fifo {} {xattrs:?} {content} {same}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.rdev(),
                kind.is_fifo(),
            ),
        );
        if metadata.is_dir() {
            walk(root, &path, tree, first);
        }
    }
}

/// Returns a path as the plan prints it.
pub(crate) fn show(path: &[u8]) -> String {
    pydock::rootfs_path::escape(path)
}

/// Returns a tree of [`of_folder`] in which some files have another content, given by its short digest.
pub(crate) fn with_contents(tree: &Tree, contents: &BTreeMap<Vec<u8>, String>) -> Tree {
    let mut tree = tree.clone();
    for (path, digest) in contents {
        let line = tree.get_mut(path).unwrap_or_else(|| panic!("{} is edited but not there", show(path)));
        let (rest, _) = line.trim_end().rsplit_once(' ').unwrap();
        *line = format!("{rest} {digest} ");
    }
    tree
}

/// Checks that `new` is `old` without `removed`, and nothing else. A hard link's group is known by its first name, which
/// may be among the removed: such lines are compared without it, as long as the group itself stays one.
pub(crate) fn assert_is_old_minus(old: &Tree, new: &Tree, removed: &BTreeSet<Vec<u8>>) {
    let strip = |line: &str| line.split(" same as ").next().unwrap().trim_end().to_owned();
    let mut expected = Tree::new();
    for (path, line) in old.iter().filter(|(path, _)| !removed.contains(*path)) {
        expected.insert(path.clone(), strip(line));
    }
    let actual = new.iter().map(|(path, line)| (path.clone(), strip(line))).collect::<Tree>();
    for (path, line) in &expected {
        assert_eq!(actual.get(path), Some(line), "{} differs", show(path));
    }
    for path in actual.keys() {
        assert!(expected.contains_key(path), "{} is new", show(path));
    }
    assert_eq!(link_groups(old, removed), link_groups(new, &BTreeSet::new()), "hard links differ");
}

/// Returns the sets of names that share one file.
fn link_groups(tree: &Tree, removed: &BTreeSet<Vec<u8>>) -> BTreeSet<BTreeSet<String>> {
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, line) in tree {
        let first = line.split_once("same as ").map_or_else(|| show(path), |(_, first)| first.to_owned());
        let group = groups.entry(first).or_default();
        if !removed.contains(path) {
            group.insert(show(path));
        }
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}
