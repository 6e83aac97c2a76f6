//! What well-known programs run and what well-known modules read, where the file itself does not show it.

use std::collections::BTreeSet;

use super::config::Programs;
use super::names::files_below;
use super::world::Worlds;
use crate::rootfs::{NodeId, Rootfs};

/// Programs and the programs that they start by name.
const RUNS: [(&str, &[&str]); 22] = [
    ("git", &["ssh", "less", "gpg", "ssh-keygen", "git-lfs"]),
    ("hg", &["ssh"]),
    ("svn", &["ssh"]),
    ("rsync", &["ssh"]),
    ("scp", &["ssh"]),
    ("sftp", &["ssh"]),
    ("sshfs", &["ssh", "fusermount3", "fusermount"]),
    ("tar", &["gzip", "bzip2", "xz", "zstd", "lzip", "lzma", "compress"]),
    ("bsdtar", &["gzip", "bzip2", "xz", "zstd", "lzip"]),
    ("logrotate", &["gzip", "xz", "zstd"]),
    ("man", &["groff", "less"]),
    ("gpg", &["gpg-agent", "gpgconf", "dirmngr"]),
    ("gpg2", &["gpg-agent", "gpgconf", "dirmngr"]),
    ("soffice", &["java"]),
    ("xvfb-run", &["Xvfb", "xauth"]),
    ("Xvfb", &["xkbcomp"]),
    ("chromedriver", &["chromium"]),
    ("geckodriver", &["firefox", "firefox-esr"]),
    ("mpg123", &["curl", "wget"]),
    ("zip", &["unzip"]),
    ("busybox", &["ssl_client"]),
    ("docker", &["git"]),
];

/// Modules and the paths that they read at places of their own, by the end of the module's path.
const READS: [(&str, &[&str]); 1] =
    // The authorities that `ssl.create_default_context` trusts lie where OpenSSL was built to look for them.
    [(
        "ssl.py",
        &["etc/ssl", "usr/lib/ssl", "usr/share/ca-certificates", "usr/local/share/ca-certificates", "etc/pki"],
    )];

/// The parts of compilers that read headers: GCC's are in a folder of its own, the others are programs.
const COMPILERS: [&str; 5] = ["cc1", "cc1plus", "cc1obj", "clang", "tcc"];
/// Where they look for headers that are not beside a Python installation.
const HEADERS: [&str; 2] = ["usr/include", "usr/local/include"];

/// Files that a file is known to need.
pub(super) struct Known {
    /// The files.
    pub(super) files: Vec<NodeId>,
    /// Whether it runs them; else it reads them.
    pub(super) runs: bool,
}

/// Returns whether anything is known of a file by its name.
pub(super) fn is_known(rootfs: &Rootfs, node: NodeId, programs: &Programs) -> bool {
    runs(rootfs, node, programs).is_some() || reads(rootfs, node).is_some() || is_compiler(rootfs, node, programs)
}

/// Returns what a program runs and a module reads by what is known of its name.
pub(super) fn needs(rootfs: &Rootfs, node: NodeId, programs: &Programs, worlds: &Worlds) -> Vec<Known> {
    let runs = runs(rootfs, node, programs)
        .map(|runs| Known { files: runs.iter().filter_map(|run| programs.find(rootfs, run)).collect(), runs: true });
    let open = |path: &&'static str| rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {});
    let reads = reads(rootfs, node).map(|reads| Known {
        files: reads.iter().filter_map(open).flat_map(|folder| files_below(rootfs, folder)).collect(),
        runs: false,
    });
    let headers = is_compiler(rootfs, node, programs).then(|| {
        let of_system = HEADERS.iter().filter_map(open);
        let of_python = worlds.worlds.iter().filter_map(|world| {
            let prefix = rootfs.parent(rootfs.parent(world.stdlib));
            rootfs.resolve(prefix, b"include", &mut |_| {})
        });
        let folders = of_system.chain(of_python).collect::<BTreeSet<_>>();
        Known { files: folders.into_iter().flat_map(|folder| files_below(rootfs, folder)).collect(), runs: false }
    });
    runs.into_iter().chain(reads).chain(headers).collect()
}

/// Returns whether a file is a compiler that something kept runs: then it needs headers, too.
fn is_compiler(rootfs: &Rootfs, node: NodeId, programs: &Programs) -> bool {
    let name = rootfs.name(node);
    let stem = name.split(|&byte| byte == b'-').next().unwrap_or(name);
    if !COMPILERS.iter().any(|compiler| compiler.as_bytes() == stem) {
        return false;
    }
    let is_in_gcc = || rootfs.folders_above(node).any(|folder| rootfs.name(folder) == b"gcc");
    programs.is_one(rootfs, node) || stem.starts_with(b"cc1") && is_in_gcc()
}

fn runs(rootfs: &Rootfs, node: NodeId, programs: &Programs) -> Option<&'static [&'static str]> {
    let name = rootfs.name(node);
    let (_, runs) = RUNS.iter().find(|(program, _)| program.as_bytes() == name)?;
    programs.is_one(rootfs, node).then_some(*runs)
}

fn reads(rootfs: &Rootfs, node: NodeId) -> Option<&'static [&'static str]> {
    let name = rootfs.name(node);
    let (_, reads) = READS.iter().find(|(module, _)| module.as_bytes() == name)?;
    rootfs.child(rootfs.parent(node), b"os.py").is_some().then_some(*reads)
}
