//! Classifies calls in Python sources by the name of the called function.

use std::sync::LazyLock;

/// What the arguments of a call name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The first argument is a module.
    Module,
    /// The first argument is a package from which the call reads a file.
    Resource,
    /// The first argument may be a package. The call gives access to its files.
    Files,
    /// The first argument is a program, or a list that begins with one.
    Program,
    /// Each argument is a shared library.
    Library,
}

const CALLS: [(Call, &[&str]); 5] = [
    (Call::Module, &["import_module", "__import__", "walk_packages", "ModuleType", "find_spec", "run_module"]),
    (
        Call::Resource,
        &[
            "get_data",
            "open_text",
            "open_binary",
            "read_text",
            "read_binary",
            "path",
            "contents",
            "resource_filename",
            "resource_stream",
            "resource_string",
        ],
    ),
    (Call::Files, &["files", "as_file"]),
    (
        Call::Program,
        &[
            "run",
            "Popen",
            "call",
            "check_call",
            "check_output",
            "getoutput",
            "getstatusoutput",
            "system",
            "popen",
            "which",
            "find_executable",
            "create_subprocess_exec",
            "create_subprocess_shell",
            "execv",
            "execvp",
            "execl",
            "execlp",
            "execve",
            "execvpe",
            "spawnv",
            "spawnvp",
            "spawnl",
            "spawnlp",
            "spawn",
            "posix_spawn",
            "posix_spawnp",
        ],
    ),
    (
        Call::Library,
        &[
            "CDLL",
            "PyDLL",
            "WinDLL",
            "OleDLL",
            "LoadLibrary",
            "load_library",
            "find_library",
            "dlopen",
            "_dlopen",
            "loadlib",
            "load_lib",
            "cdll",
            "load_extension",
        ],
    ),
];

/// For each first byte, the lengths of names that begin with it, as bits. They rule out most names.
static LENGTHS: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut lengths = [0; 256];
    for name in CALLS.iter().flat_map(|(_, names)| *names) {
        lengths[usize::from(name.as_bytes()[0])] |= 1 << name.len();
    }
    lengths
});

impl Call {
    /// Returns the kind of a call by the function's name; `None` if such a call is not evidence.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let lengths = name.first().map_or(0, |&first| LENGTHS[usize::from(first)]);
        if name.len() >= 64 || lengths & (1 << name.len()) == 0 {
            return None;
        }
        let call = CALLS.iter().find(|(_, names)| names.iter().any(|known| known.as_bytes() == name));
        call.map(|(call, _)| *call)
    }
}

/// Modules that run programs.
const RUNNERS: [&str; 12] = [
    "subprocess",
    "sh",
    "plumbum",
    "pexpect",
    "ptyprocess",
    "invoke",
    "fabric",
    "delegator",
    "envoy",
    "commands",
    "sarge",
    "shellingham",
];

/// Returns whether a source that imports this module runs programs.
pub(super) fn runs_programs(module: &str) -> bool {
    RUNNERS.contains(&module.split('.').next().unwrap_or(module))
}

/// Parts of identifiers that indicate a program.
const PROGRAM_NAMES: [&str; 18] = [
    "bin",
    "binary",
    "binaries",
    "exe",
    "exec",
    "executable",
    "executables",
    "program",
    "programs",
    "prog",
    "command",
    "commands",
    "cmd",
    "cmds",
    "cmdline",
    "tool",
    "tools",
    "gpgbinary",
];

/// Returns whether the name of a variable, parameter, keyword or key indicates a program: `gs_binary`, `GIT_CMD`,
/// `converterTool`.
pub(super) fn is_program_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(['_', '-', '.']).any(|part| PROGRAM_NAMES.contains(&part))
        || ["Binary", "Exe", "Executable", "Program", "Command", "Cmd", "Tool"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_the_whole_name() {
        assert_eq!(Call::named(b"find_spec"), Some(Call::Module));
        assert_eq!(Call::named(b"as_file"), Some(Call::Files));
        assert_eq!(Call::named(b"cdll"), Some(Call::Library));
        for other in ["", "ru", "ruin", "run_", "Run", &"r".repeat(64), &"r".repeat(67)] {
            assert_eq!(Call::named(other.as_bytes()), None, "{other}");
        }
    }
}
