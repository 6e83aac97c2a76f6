//! Runs the program; what it prints and how it exits is always checked.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// One run of the program.
pub(crate) struct Run(Command);

/// What a run that was expected to end as it did has printed.
pub(crate) struct Ran {
    pub stdout: String,
    pub stderr: String,
}

/// Starts a run without login and without bars.
pub(crate) fn pydock<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pydock"));
    command.args(args).env("DOCKER_CONFIG", "/nonexistent").env_remove("PYDOCK_CACHE_DIR").stdin(Stdio::null());
    Run(command)
}

impl Run {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    pub(crate) fn stdin(mut self, input: impl Into<Stdio>) -> Self {
        self.0.stdin(input);
        self
    }

    /// Returns the command, for tests that kill it.
    pub(crate) fn command(self) -> Command {
        self.0
    }

    /// Runs and returns everything.
    pub(crate) fn output(mut self) -> Output {
        self.0.output().unwrap()
    }

    /// Expects success.
    pub(crate) fn ok(self) -> Ran {
        self.exits(0)
    }

    /// Expects an exit code.
    pub(crate) fn exits(mut self, code: i32) -> Ran {
        let output = self.0.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{:?}\n{stdout}\n{stderr}", self.0);
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ran { stdout, stderr }
    }

    /// Expects exit code 1, and returns the error as printed.
    pub(crate) fn error(self) -> String {
        let ran = self.exits(1);
        assert_eq!(ran.stdout, "");
        let start = ran.stderr.find("error: ").expect("no error is printed");
        let message = ran.stderr[start..].to_owned();
        assert!(
            message.lines().all(|line| ["error: ", "  caused by: ", "hint: "].iter().any(|p| line.starts_with(p))),
            "{message}"
        );
        message
    }
}
