//! The files that well-known programs run and well-known modules read, where the file itself does not show it.

use std::collections::BTreeSet;

use super::config::Programs;
use super::installs::Installs;
use super::names::files_below;
use crate::rootfs::{NodeId, Rootfs};

/// Programs and the programs that they start by name.
const RUNS: [(&str, &[&str]); 23] = [
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
    ("pandoc", &["rsvg-convert"]),
];

/// Modules of the standard library, by file name, and the paths that they read.
const READS: [(&str, &[&str]); 1] =
    // `ssl.create_default_context` trusts the certificate authorities in the folders that are compiled into OpenSSL.
    [(
        "ssl.py",
        &["etc/ssl", "usr/lib/ssl", "usr/share/ca-certificates", "usr/local/share/ca-certificates", "etc/pki"],
    )];

/// The parts of compilers that read headers. GCC's lie in a folder of its own, the others are programs.
const COMPILERS: [&str; 5] = ["cc1", "cc1plus", "cc1obj", "clang", "tcc"];
/// Where compilers search for headers, besides the folders of Python installations.
const HEADERS: [&str; 2] = ["usr/include", "usr/local/include"];

/// Files that a file is known to need.
pub(super) struct Known {
    pub(super) files: Vec<NodeId>,
    /// Whether it runs them. Otherwise it reads them.
    pub(super) runs: bool,
}

/// Returns whether a file is known to need others.
pub(super) fn is_known(rootfs: &Rootfs, node: NodeId, programs: &Programs) -> bool {
    runs(rootfs, node, programs).is_some() || reads(rootfs, node).is_some() || is_compiler(rootfs, node, programs)
}

/// Returns what a program or module is known to need.
pub(super) fn needs(rootfs: &Rootfs, node: NodeId, programs: &Programs, installs: &Installs) -> Vec<Known> {
    let runs = runs(rootfs, node, programs)
        .map(|runs| Known { files: runs.iter().filter_map(|run| programs.find(rootfs, run)).collect(), runs: true });
    let open = |path: &&'static str| rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {});
    let reads = reads(rootfs, node).map(|reads| Known {
        files: reads.iter().filter_map(open).flat_map(|folder| files_below(rootfs, folder)).collect(),
        runs: false,
    });
    let headers = is_compiler(rootfs, node, programs).then(|| {
        let of_system = HEADERS.iter().filter_map(open);
        let of_python = installs.all.iter().filter_map(|install| {
            let prefix = rootfs.parent(rootfs.parent(install.stdlib));
            rootfs.resolve(prefix, b"include", &mut |_| {})
        });
        let folders = of_system.chain(of_python).collect::<BTreeSet<_>>();
        Known { files: folders.into_iter().flat_map(|folder| files_below(rootfs, folder)).collect(), runs: false }
    });
    runs.into_iter().chain(reads).chain(headers).collect()
}

/// Returns whether a file is a compiler. A compiler that is kept needs headers, too.
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
