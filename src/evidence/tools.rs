//! Build tools and system scripts whose literal program names are not runtime dependencies, and are therefore ignored.

use super::installs::Install;
use crate::rootfs::{NodeId, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Top-level packages that build and install, and therefore name compilers and version control. An image that only runs
/// does not call them. Imports of them count as usual.
const BUILD_TOOLS: [&str; 14] = [
    "pip",
    "setuptools",
    "pkg_resources",
    "wheel",
    "distutils",
    "_distutils_hack",
    "Cython",
    "pyximport",
    "mesonbuild",
    "poetry",
    "virtualenv",
    "flit_core",
    "hatchling",
    "setuptools_scm",
];
/// Build tools inside other packages.
const BUILD_PARTS: [&str; 8] = [
    "numpy/distutils",
    "numpy/f2py",
    "scipy/_build_utils",
    "numba/pycc",
    "sklearn/_build_utils",
    "matplotlib/testing",
    "numpy/testing",
    "torch/utils/cpp_extension.py",
];

/// Returns whether a source belongs to the standard library or a build tool. The application does not run the programs
/// that it names: `ctypes.util` tries `gcc` after `ldconfig`.
pub(super) fn is_build_tool(rootfs: &Rootfs, install: &Install, node: NodeId, path: &RootfsPath) -> bool {
    let Some(site) =
        rootfs.folders_above(node).find(|folder| *folder != install.stdlib && install.roots.contains(folder))
    else {
        return rootfs.folders_above(node).any(|folder| folder == install.stdlib);
    };
    let path = path.to_string();
    let path = path[rootfs.path(site).to_string().len()..].trim_start_matches('/');
    let top = path.split(['/', '.']).next().unwrap_or_default();
    BUILD_TOOLS.contains(&top)
        || BUILD_PARTS.iter().any(|part| path.starts_with(part))
        || path.ends_with("/setup.py")
        || path.ends_with("/_version.py")
        || path.ends_with("/versioneer.py")
        || path.ends_with("/conftest.py")
}

/// Returns whether a command asks version control about the checkout that a source lies in: `git describe --tags`.
///
/// Installed distributions do so to report their version. An image has no checkout of them, so the command fails with
/// or without the program. In an application's own sources, every word counts.
pub(super) fn asks_about_checkout(command: &str) -> bool {
    const QUESTIONS: [&str; 16] = [
        "rev-parse",
        "describe",
        "log",
        "status",
        "show",
        "diff",
        "rev-list",
        "symbolic-ref",
        "ls-files",
        "branch",
        "remote",
        "config",
        "id",
        "identify",
        "info",
        "--help",
    ];
    let mut words = command.split_whitespace();
    let is_version_control = matches!(words.next(), Some("git" | "hg" | "svn" | "bzr"));
    is_version_control
        && words.next().is_some_and(|question| QUESTIONS.contains(&question) || question.starts_with('-'))
}

/// Returns whether a file is a script that an image does not run: maintainer scripts run when packages are installed or
/// removed, and `python3.11-config` and similar programs print compiler flags.
pub(super) fn is_system_script(path: &RootfsPath) -> bool {
    let text = path.to_string();
    text.starts_with("var/lib/")
        || text.starts_with("lib/apk/")
        || text.starts_with("usr/lib/apk/")
        || text.ends_with("-config")
}

/// Folders of tools that are checked out whole. Their scripts build Pythons and the like; an image that only runs does
/// not.
const CHECKED_OUT: [&str; 7] = [".pyenv", ".rbenv", ".nvm", ".asdf", ".sdkman", ".oh-my-zsh", ".git"];

/// Returns whether a file belongs to a tool that is checked out whole, or was installed by npm.
pub(super) fn is_foreign_tool(path: &RootfsPath) -> bool {
    path.parent()
        .components()
        .any(|part| part == b"node_modules" || CHECKED_OUT.iter().any(|tool| tool.as_bytes() == part))
}

/// Programs whose strings name other programs without running them: shells and interpreters, editors, compilers and
/// debuggers, databases (keywords), and programs that are many programs in one.
const NAME_MANY: [&str; 37] = [
    "bash",
    "busybox",
    "cc1",
    "cpp",
    "dash",
    "gcc",
    "gdb",
    "gpgv",
    "ksh",
    "ld",
    "lua",
    "ltrace",
    "make",
    "mariadbd",
    "mysqld",
    "nano",
    "node",
    "pandoc",
    "perl",
    "php",
    "postgres",
    "python",
    "redis-server",
    "ruby",
    "screen",
    "socat",
    "sqlite",
    "strace",
    "systemctl",
    "systemd",
    "tmux",
    "toybox",
    "uwsgi",
    "uwsgi-core",
    "valgrind",
    "vim.tiny",
    "zsh",
];

/// Returns whether the strings of a program name other programs that it does not run.
pub(super) fn names_many_programs(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
    NAME_MANY.contains(&stem) || NAME_MANY.contains(&&*name)
}
