//! What the image's config names: what it starts, where it works, which folders it declares.

use super::needs::{Needs, Reason};
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, Rootfs};

/// Folders that are searched when the config has no `PATH`; the default of container runtimes.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Adds what `config` names.
///
/// Folders are needed themselves, not what they hold: a working directory with a `.git` in it stays without it.
pub fn gather(config: &ImageConfig, rootfs: &Rootfs, needs: &mut Needs) {
    let mut need = |key: &str, node: Option<NodeId>| {
        if let Some(node) = node {
            needs.add(rootfs.path(node), Reason::Config { key: key.to_owned() }, false);
        }
    };
    let open = |path: &str| rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {});
    let workdir = config.text("WorkingDir").unwrap_or("/");
    need("WorkingDir", open(workdir));
    for volume in config.names("Volumes") {
        need("Volumes", open(volume));
    }
    let search = config.env_value("PATH").unwrap_or(DEFAULT_PATH);
    for key in ["Entrypoint", "Cmd", "Shell"] {
        for word in config.strings(key) {
            if word.contains('/') {
                let from = open(workdir).unwrap_or(rootfs.root());
                need(key, rootfs.resolve(from, word.as_bytes(), &mut |_| {}));
            } else {
                need(key, search.split(':').find_map(|folder| open(&format!("{folder}/{word}"))));
            }
        }
    }
    for word in health_check(config) {
        need("Healthcheck", search.split(':').find_map(|folder| open(&format!("{folder}/{word}"))));
    }
}

/// The words of the health check that may be programs: of `CMD-SHELL`, any.
fn health_check(config: &ImageConfig) -> Vec<String> {
    let test = config.container("Healthcheck").and_then(|check| check.get("Test"));
    let items = test.and_then(|test| test.as_array()).into_iter().flatten();
    items
        .filter_map(|item| item.as_str())
        .skip(1)
        .flat_map(|item| item.split(|c: char| c.is_whitespace() || "|&;()".contains(c)))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
