//! Resolves a word to what it means in an image: a program in `PATH`, a shared library, or an absolute path.
//!
//! One table of rules applies to all texts ([`Trust`]). Every word of an application's own files counts. In other
//! files, words count as far as the text shows that it runs programs or opens libraries.

use super::common::{is_common, is_compiler, is_editor};
use super::config::Programs;
use super::library::Libraries;
use super::words::{Use, Word};
use crate::rootfs::{NodeId, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Who wrote a text, and therefore how far its words are evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The application: no package and no RECORD lists the file.
    Own,
    /// An installed Python distribution.
    Distribution {
        /// Whether the source runs programs.
        runs_programs: bool,
    },
    /// A configuration file that a package of the operating system owns.
    System {
        /// Whether it is one of the files that name programs.
        names_programs: bool,
    },
    /// The strings of an ELF object.
    Native {
        /// Whether names among them may be programs that the object runs.
        names_programs: bool,
    },
}

/// The kind of file that a word refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Program,
    /// A shared library or a loadable extension.
    Library,
    Path,
}

/// The shortest string of an object that can be a program's name, in bytes. Most shorter strings are bytes of tables.
const MIN_NATIVE_NAME: usize = 4;

impl Trust {
    /// Returns whether a word in such a text is evidence for the program of that name.
    fn takes_program(self, word: Word<'_>) -> bool {
        let Word { text, r#use, .. } = word;
        let is_exact = !is_common(text) && !is_editor(text) && !is_compiler(text);
        match self {
            Self::Own => !is_common(text) || r#use >= Use::Command,
            Self::Distribution { .. } if is_editor(text) || r#use == Use::Checkout => false,
            Self::Distribution { .. } if r#use == Use::Run => true,
            Self::Distribution { .. } if r#use == Use::Named => !is_compiler(text) && !is_common(text),
            Self::Distribution { runs_programs } => runs_programs && is_exact,
            Self::System { names_programs } => names_programs && (is_exact || r#use >= Use::Command),
            Self::Native { names_programs } => names_programs && is_exact && text.len() >= MIN_NATIVE_NAME,
        }
    }
}

/// Looks words up in one image.
#[derive(Debug)]
pub(super) struct NameLookup<'a> {
    pub(super) rootfs: &'a Rootfs,
    pub(super) programs: &'a Programs,
    pub(super) libraries: &'a Libraries,
}

/// A file that a word refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) node: NodeId,
    /// Whether the word names only a folder above the file.
    pub(super) is_below: bool,
}

impl Meant {
    fn exactly(node: NodeId) -> Self {
        Self { node, is_below: false }
    }
}

impl NameLookup<'_> {
    /// Returns the files that a word refers to. `opens_libraries` means that the text opens libraries under any name,
    /// so `magic` refers to `libmagic.so.1`.
    pub(super) fn meaning(&self, word: Word<'_>, trust: Trust, opens_libraries: bool) -> (Meaning, Vec<Meant>) {
        let exactly = |nodes: &[NodeId]| nodes.iter().copied().map(Meant::exactly).collect::<Vec<_>>();
        let Word { text, .. } = word;
        if text.starts_with('/') {
            return (Meaning::Path, self.path(text, trust, word));
        }
        if text.contains(".so") {
            let found = self.libraries.opened(text);
            // Configuration names plug-ins without their folder; the library adds it.
            let plugins = match trust {
                Trust::Own | Trust::System { .. } if found.is_empty() => self.libraries.plugin(text),
                _ => &[],
            };
            return (Meaning::Library, exactly(&[&found, plugins].concat()));
        }
        if let Some(program) = self.programs.find(self.rootfs, text).filter(|_| trust.takes_program(word)) {
            return (Meaning::Program, exactly(&[program]));
        }
        let library = match trust {
            _ if opens_libraries => self.libraries.opened(text),
            Trust::Own => self.libraries.extension(text).to_vec(),
            _ => Vec::new(),
        };
        (Meaning::Library, exactly(&library))
    }

    /// Returns the file at an absolute path. For the folder of a package's data, also returns everything below it.
    fn path(&self, text: &str, trust: Trust, word: Word<'_>) -> Vec<Meant> {
        let Ok(path) = RootfsPath::parse(text.as_bytes()) else { return Vec::new() };
        let name = String::from_utf8_lossy(path.file_name());
        if trust != Trust::Own && is_tool_name(&name) && !trust.takes_program(Word { text: &name, ..word }) {
            return Vec::new();
        }
        let rootfs = self.rootfs;
        let Some(folder) = rootfs.resolve(rootfs.root(), path.parent_bytes(), &mut |_| {}) else { return Vec::new() };
        let Some(node) = rootfs.child(folder, path.file_name()) else { return Vec::new() };
        let end = rootfs.resolve(folder, path.file_name(), &mut |_| {});
        match end {
            Some(end) if rootfs.is_directory(end) && is_data_folder(&rootfs.path(end)) => {
                let below = files_below(rootfs, end).into_iter().map(|node| Meant { node, is_below: true });
                std::iter::once(Meant::exactly(node)).chain(below).collect()
            }
            Some(end) if rootfs.is_directory(end) => Vec::new(),
            _ => vec![Meant::exactly(node)],
        }
    }
}

fn is_tool_name(name: &str) -> bool {
    is_compiler(name) || is_editor(name)
}

/// The largest number of files below one folder that are examined.
const MAX_BELOW: usize = 50_000;

/// Returns the files and symlinks below a folder.
pub fn files_below(rootfs: &Rootfs, folder: NodeId) -> Vec<NodeId> {
    let mut files = Vec::new();
    let mut todo = vec![folder];
    while let Some(node) = todo.pop().filter(|_| files.len() < MAX_BELOW) {
        match rootfs.is_directory(node) {
            true => todo.extend(rootfs.children(node)),
            false => files.push(node),
        }
    }
    files
}

/// Folders that many packages share, or whose files are not opened by way of the folder. A text that names one is not
/// evidence. With a slash at the end, this also applies to all folders below.
const SHARED: [&str; 58] = [
    "etc/alternatives",
    "etc/apt/",
    "etc/bash_completion.d/",
    "etc/cron.d",
    "etc/cron.daily",
    "etc/default",
    "etc/dpkg/",
    "etc/init.d",
    "etc/logrotate.d",
    "etc/profile.d",
    "etc/security",
    "etc/systemd/",
    "etc/X11",
    "lib/systemd/",
    "lib/udev/",
    "opt/conda",
    "usr/bin",
    "usr/games",
    "usr/include/",
    "usr/lib",
    "usr/lib/apt/",
    "usr/lib/binfmt.d/",
    "usr/lib/cgi-bin",
    "usr/lib/debug/",
    "usr/lib/dpkg/",
    "usr/lib/locale",
    "usr/lib/modules-load.d/",
    "usr/lib/pkgconfig",
    "usr/lib/sysctl.d/",
    "usr/lib/systemd/",
    "usr/lib/sysusers.d/",
    "usr/lib/tmpfiles.d/",
    "usr/lib/udev/",
    "usr/lib32",
    "usr/lib64",
    "usr/libexec",
    "usr/local",
    "usr/sbin",
    "usr/share",
    "usr/share/applications",
    "usr/share/bash-completion/",
    "usr/share/bug",
    "usr/share/dbus-1/",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/dpkg/",
    "usr/share/icons",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/pixmaps",
    "usr/share/pkgconfig",
    "usr/share/polkit-1/",
    "usr/share/zsh",
    "usr/src/",
    "var/cache",
    "var/lib",
];

/// Folders in which an interpreter or a compiler keeps its own library. To search there is not evidence of a need:
/// packages depend on the modules that they use.
const LIBRARIES_OF_INTERPRETERS: [&str; 16] = [
    "perl",
    "perl5",
    "perl-base",
    "python",
    "dist-packages",
    "site-packages",
    "ruby",
    "tcltk",
    "lua",
    "nodejs",
    "node_modules",
    "gcc",
    "gcc-cross",
    "llvm",
    "jvm",
    "php",
];

/// Returns whether a folder holds the data of few packages, so that a text that names the folder needs them.
fn is_data_folder(path: &RootfsPath) -> bool {
    let text = path.to_string();
    let parts = text.split('/').collect::<Vec<_>>();
    let is_library = |part: &&str| {
        let stem = part.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        LIBRARIES_OF_INTERPRETERS.contains(&stem) || part.contains("-linux-gnu") && parts.last() == Some(part)
    };
    let with_slash = format!("{text}/");
    let is_shared = |shared: &str| match shared.strip_suffix('/') {
        Some(_) => with_slash.starts_with(shared),
        None => text == shared,
    };
    let is_for_builds = ["pkgconfig", "cmake", "include"].contains(parts.last().unwrap_or(&""));
    parts.len() >= 2
        && !SHARED.iter().any(|shared| is_shared(shared))
        && !is_for_builds
        && !text.starts_with("usr/local/")
        && !parts.iter().any(is_library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_packages_data_differs_from_folders_that_all_share() {
        let is_data = |text: &str| is_data_folder(&RootfsPath::parse(text.as_bytes()).unwrap());
        for folder in ["usr/share/fonts", "usr/share/dict", "etc/ssl", "usr/lib/ssl", "usr/lib/x86_64-linux-gnu/sasl2"]
        {
            assert!(is_data(folder), "{folder}");
        }
        for folder in [
            "",
            "usr",
            "usr/share",
            "usr/lib/x86_64-linux-gnu",
            "usr/share/perl/5.36.0",
            "usr/lib/x86_64-linux-gnu/perl5/5.36",
            "usr/lib/python3/dist-packages/x",
            "usr/lib/python3.11",
            "usr/lib/gcc/x86_64-linux-gnu/12",
            "usr/share/doc",
            "usr/include/X11",
            "usr/lib/x86_64-linux-gnu/pkgconfig",
            "usr/lib/systemd/user",
        ] {
            assert!(!is_data(folder), "{folder}");
        }
    }
}
