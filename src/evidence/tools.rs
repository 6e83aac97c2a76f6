//! Sources that name programs which nobody runs in an image that only runs: what they say of programs and libraries is not believed.

use super::python::Command;
use super::world::World;
use crate::rootfs::{NodeId, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Top-level packages whose sources name compilers and version control as their business: they build and install, and an
/// image that only runs does not call them. What imports them counts as ever.
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
/// Packages inside others that are such tools.
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

/// Tells whether a source is the standard library's or a build tool's: programs that it names are not the application's, as
/// `ctypes.util` tries `gcc` after `ldconfig`.
pub(super) fn is_tool(rootfs: &Rootfs, world: &World, node: NodeId, path: &RootfsPath) -> bool {
    let Some(site) = rootfs.folders_above(node).find(|folder| *folder != world.stdlib && world.roots.contains(folder))
    else {
        return rootfs.folders_above(node).any(|folder| folder == world.stdlib);
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

/// Installed distributions ask version control about their own checkout, to tell their version. In an image there is none,
/// so the question fails with the program as it does without; an application's own sources are believed in full.
pub(super) fn asks_about_checkout(command: &Command) -> bool {
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
    let is_version_control = matches!(&*command.program.text, "git" | "hg" | "svn" | "bzr");
    let argument = command.argument.as_deref();
    is_version_control && argument.is_some_and(|argument| QUESTIONS.contains(&argument) || argument.starts_with("-"))
}

/// Maintainers' scripts run when packages come and go; `python3.11-config` and the like tell compilers' flags. Nobody runs them
/// in an image that only runs.
pub(super) fn is_system_script(path: &RootfsPath) -> bool {
    let text = path.to_string();
    text.starts_with("var/lib/")
        || text.starts_with("lib/apk/")
        || text.starts_with("usr/lib/apk/")
        || text.ends_with("-config")
}
