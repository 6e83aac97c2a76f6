//! Programs that keep logins: `docker-credential-NAME`. Source: docker-credential-helpers, "Development".

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Login, Secret};

/// What a helper says when it has no login; not a failure.
const NOT_FOUND: &str = "credentials not found";
/// How long a helper may take: some ask a person.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many bytes of a helper's answer are read.
const MAX_ANSWER: u64 = 1 << 20;
/// The user name that stands before a token.
const TOKEN: &str = "<token>";

/// Why a login cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A file is there but cannot be read.
    #[error("the logins in `{}` cannot be read", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what Docker and podman write. What it says is left out: it may be a secret.
    #[error("the logins in `{}` cannot be read: line {line}, column {column} is not what `docker login` writes", .path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// A credential helper cannot be run.
    #[error("the credential helper `{helper}` cannot be run")]
    Run {
        /// Its name.
        helper: String,
        /// Why.
        source: io::Error,
    },
    /// A credential helper failed. What it printed is left out: it may be a secret.
    #[error("the credential helper `{helper}` failed for `{server}`")]
    Failed {
        /// Its name.
        helper: String,
        /// What it was asked for.
        server: String,
    },
    /// A credential helper did not answer.
    #[error("the credential helper `{helper}` did not answer for `{server}` within {} seconds", PATIENCE.as_secs())]
    Silent {
        /// Its name.
        helper: String,
        /// What it was asked for.
        server: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Asks a helper for the login to a server; `None` if it has none. The helper is killed when this is dropped.
pub(super) async fn ask(name: &str, server: &str) -> Result<Option<Login>, LoginError> {
    let helper = format!("docker-credential-{name}");
    let ran = tokio::time::timeout(PATIENCE, run(&helper, server)).await;
    let ran = ran.map_err(|_| LoginError::Silent { helper: helper.clone(), server: server.to_owned() })?;
    let (status, output) = ran.map_err(|source| LoginError::Run { helper: helper.clone(), source })?;
    if !status.success() && String::from_utf8_lossy(&output).contains(NOT_FOUND) {
        return Ok(None);
    }
    let answer = serde_json::from_slice::<Answer>(&output).ok().filter(|_| status.success());
    let answer = answer.ok_or_else(|| LoginError::Failed { helper, server: server.to_owned() })?;
    Ok(Some(match answer.username.as_str() {
        TOKEN => Login::IdentityToken(answer.secret),
        _ => Login::Password { user: answer.username, password: answer.secret },
    }))
}

/// Runs a helper, and returns what it printed.
async fn run(helper: &str, server: &str) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read what it is asked for reports that itself.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?, output))
}
