//! Finds shared libraries as the loader does. Source: ld.so(8), dlopen(3).

use std::collections::HashMap;

use super::collect::Facts;
use super::elf::ElfFacts;
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, NodeKind, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Folders that the loaders of glibc and musl search by default.
const DEFAULT: [&str; 6] = ["lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib", "lib32"];

/// The libraries in the folders that the loader searches.
#[derive(Debug)]
pub struct Libraries {
    /// The libraries of all folders by name, in search order.
    by_name: HashMap<Box<[u8]>, Vec<NodeId>>,
    /// Plug-ins: objects in folders below those of libraries, by name.
    plugins: HashMap<Box<[u8]>, Vec<NodeId>>,
}

impl Libraries {
    /// Reads `ld.so.conf`, the image's `LD_LIBRARY_PATH` and the default folders.
    pub fn new(rootfs: &Rootfs, config: &ImageConfig, facts: &Facts) -> Self {
        let mut folders = Vec::new();
        let mut add = |path: &str| {
            let node = rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {});
            if let Some(node) = node.filter(|node| !folders.contains(node)) {
                folders.push(node);
            }
        };
        for path in config.env_value("LD_LIBRARY_PATH").unwrap_or_default().split(':').filter(|path| !path.is_empty()) {
            add(path);
        }
        for path in configured(rootfs, facts) {
            add(&path);
        }
        DEFAULT.iter().for_each(|path| add(path));
        for triplet in ["lib", "usr/lib"] {
            let Some(folder) = rootfs.resolve(rootfs.root(), triplet.as_bytes(), &mut |_| {}) else { continue };
            for (name, _) in rootfs.named_children(folder) {
                let name = String::from_utf8_lossy(name);
                if name.contains("-linux-") {
                    add(&format!("{triplet}/{name}"));
                }
            }
        }
        let mut by_name: HashMap<Box<[u8]>, Vec<NodeId>> = HashMap::new();
        for &folder in &folders {
            for (name, node) in rootfs.named_children(folder) {
                if name.windows(3).any(|part| part == b".so") || name.starts_with(b"lib") {
                    by_name.entry(name.into()).or_default().push(node);
                }
            }
        }
        let mut plugins: HashMap<Box<[u8]>, Vec<NodeId>> = HashMap::new();
        let mut todo = folders.iter().flat_map(|&folder| rootfs.children(folder)).copied().collect::<Vec<_>>();
        let mut seen = NodeSet::default();
        while let Some(node) = todo.pop() {
            if !rootfs.is_directory(node) || !seen.insert(node) {
                continue;
            }
            for (name, child) in rootfs.named_children(node) {
                if name.ends_with(b".so") {
                    plugins.entry(name.into()).or_default().push(child);
                }
                todo.push(child);
            }
        }
        Self { by_name, plugins }
    }

    /// Returns the library that the loader finds for a `NEEDED` entry of an object.
    pub fn needed(&self, rootfs: &Rootfs, object: &RootfsPath, elf: &ElfFacts, name: &str) -> Option<NodeId> {
        if name.contains('/') {
            return rootfs.resolve(rootfs.root(), name.as_bytes(), &mut |_| {});
        }
        let origin = object.parent().to_string();
        let own = elf.search.iter().find_map(|folder| {
            let folder = folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", &format!("/{origin}"));
            let folder = rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {})?;
            rootfs.child(folder, name.as_bytes())
        });
        own.or_else(|| self.by_name.get(name.as_bytes())?.first().copied())
    }

    /// Returns the libraries that `dlopen`, ctypes or `find_library` may find for a name: `libmagic.so.1`, `magic`.
    pub fn opened(&self, name: &str) -> Vec<NodeId> {
        let name = name.rsplit('/').next().unwrap_or(name);
        if name.len() < 2 {
            return Vec::new();
        }
        if let Some(found) = self.by_name.get(name.as_bytes()) {
            return found.clone();
        }
        if let found @ [_, ..] = self.extension(name) {
            return found.to_vec();
        }
        let stem = if name.starts_with("lib") { name.to_owned() } else { format!("lib{name}") };
        // `find_library` searches the loader's cache. It holds sonames, not the plain `.so` that a compiler uses.
        let prefix = format!("{stem}.so.");
        let is_named = |file: &[u8]| file.starts_with(prefix.as_bytes());
        let mut found = self
            .by_name
            .iter()
            .filter(|(file, _)| is_named(file))
            .flat_map(|(_, nodes)| nodes)
            .copied()
            .collect::<Vec<_>>();
        found.sort_unstable();
        found
    }
}

impl Libraries {
    /// Returns the plug-ins with a file name, anywhere below the folders of libraries: `pam_env.so`,
    /// `ngx_http_geoip_module.so`.
    pub fn plugin(&self, name: &str) -> &[NodeId] {
        let name = name.rsplit('/').next().unwrap_or(name);
        self.plugins.get(name.as_bytes()).map_or(&[], Vec::as_slice)
    }

    /// Returns the loadable extensions of a name, which objects are not linked with: `mod_spatialite` means
    /// `mod_spatialite.so`.
    pub fn extension(&self, name: &str) -> &[NodeId] {
        let is_library = name.starts_with("lib") || name.contains('.');
        let found = self.by_name.get(format!("{name}.so").as_bytes()).filter(|_| !is_library);
        found.map_or(&[], Vec::as_slice)
    }
}

/// Returns the folders that `ld.so.conf`, the files in `ld.so.conf.d`, and musl's own file list.
fn configured(rootfs: &Rootfs, facts: &Facts) -> Vec<String> {
    let text = |path: &str| {
        let node = rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {})?;
        facts.get(node)?.text.clone()
    };
    let mut files = vec!["etc/ld.so.conf".to_owned()];
    for folder in ["etc/ld.so.conf.d", "etc"] {
        let Some(node) = rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {}) else { continue };
        let names =
            rootfs.named_children(node).filter(|&(_, child)| matches!(rootfs.node(child).kind, NodeKind::File { .. }));
        let names = names.map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let wanted = names.filter(|name| folder.ends_with(".d") || name.starts_with("ld-musl-"));
        files.extend(wanted.map(|name| format!("{folder}/{name}")));
    }
    let lines = files.iter().filter_map(|file| text(file)).collect::<Vec<_>>().join("\n");
    let words = lines.split(['\n', ':']).map(str::trim);
    words.filter(|line| line.starts_with('/')).map(str::to_owned).collect()
}
