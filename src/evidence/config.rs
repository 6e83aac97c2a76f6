//! What the image's config names: what it starts, where it works, which folders it declares.

use super::script;
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, Rootfs};

/// Folders that are searched when the config has no `PATH`; the default of container runtimes.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a container looks for programs.
#[derive(Debug, Clone)]
pub struct Programs {
    folders: Vec<NodeId>,
}

impl Programs {
    /// Reads the config's `PATH`.
    pub fn new(config: &ImageConfig, rootfs: &Rootfs) -> Self {
        let path = config.env_value("PATH").unwrap_or(DEFAULT_PATH).split(':').filter(|folder| !folder.is_empty());
        let folders = path.filter_map(|folder| rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {})).collect();
        Self { folders }
    }

    /// Returns the file that a program's name means: a path, or the first of that name in `PATH`. Symlinks are not followed.
    pub fn find(&self, rootfs: &Rootfs, name: &str) -> Option<NodeId> {
        if let Some((folder, name)) = name.rsplit_once('/') {
            let folder = rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {})?;
            return rootfs.child(folder, name.as_bytes());
        }
        self.folders.iter().find_map(|&folder| rootfs.child(folder, name.as_bytes()))
    }
}

/// Returns the files and folders that `config` names, with the key that does.
///
/// Folders are needed themselves, not what they hold: a working directory with a `.git` in it stays without it.
pub fn named(config: &ImageConfig, rootfs: &Rootfs, programs: &Programs) -> Vec<(NodeId, &'static str)> {
    let mut named = Vec::new();
    let open = |path: &str| rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {});
    let workdir = config.text("WorkingDir").unwrap_or("/");
    named.extend(open(workdir).map(|node| (node, "WorkingDir")));
    named.extend(config.names("Volumes").filter_map(open).map(|node| (node, "Volumes")));
    for key in ["Entrypoint", "Cmd", "Shell"] {
        for word in config.strings(key).flat_map(script::commands) {
            let relative = open(workdir).and_then(|from| rootfs.resolve(from, word.as_bytes(), &mut |_| {}));
            let found = programs.find(rootfs, word).or(relative.filter(|_| word.contains('/') || word.contains('.')));
            named.extend(found.map(|node| (node, key)));
        }
    }
    for word in health_check(config) {
        named.extend(programs.find(rootfs, &word).map(|node| (node, "Healthcheck")));
    }
    named
}

/// The words of the health check that may be programs: of `CMD-SHELL`, any.
fn health_check(config: &ImageConfig) -> Vec<String> {
    let test = config.container("Healthcheck").and_then(|check| check.get("Test"));
    let items = test.and_then(|test| test.as_array()).into_iter().flatten();
    items.filter_map(|item| item.as_str()).skip(1).flat_map(script::commands).map(str::to_owned).collect()
}
