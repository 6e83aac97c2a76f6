//! Credential helpers: programs named `docker-credential-NAME`. Source: docker-credential-helpers, "Development".

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Login, Secret};

/// The output of a helper that has no login for a server. This is not a failure.
const NOT_FOUND: &str = "credentials not found";
/// How long a helper may take. Some ask a user.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many bytes of a helper's output are read.
const MAX_OUTPUT: u64 = 1 << 20;
/// The user name that marks an identity token.
const TOKEN: &str = "<token>";

/// Why a login cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A file exists but cannot be read.
    #[error("the logins in `{}` cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is malformed. Its content is left out, because it may be a secret.
    #[error("the logins in `{}` cannot be read: line {line}, column {column} is not what `docker login` writes", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A credential helper cannot be run.
    #[error("the credential helper `{helper}` cannot be run")]
    Run {
        /// The name of the helper.
        helper: String,
        /// The cause.
        source: io::Error,
    },
    /// A credential helper failed. Its output is left out, because it may be a secret.
    #[error("the credential helper `{helper}` failed for `{server}`")]
    Failed {
        /// The name of the helper.
        helper: String,
        /// The server whose login was requested.
        server: String,
    },
    /// A credential helper did not respond in time.
    #[error("the credential helper `{helper}` did not answer for `{server}` within {} seconds", PATIENCE.as_secs())]
    Silent {
        /// The name of the helper.
        helper: String,
        /// The server whose login was requested.
        server: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: Secret,
}

/// Requests the login to a server from a helper; `None` if it has none. The helper is killed if the future is dropped.
pub(crate) async fn ask(name: &str, server: &str) -> Result<Option<Login>, LoginError> {
    let helper = format!("docker-credential-{name}");
    let ran = tokio::time::timeout(PATIENCE, run(&helper, server)).await;
    let ran = ran.map_err(|_| LoginError::Silent { helper: helper.clone(), server: server.to_owned() })?;
    let (status, output) = ran.map_err(|source| LoginError::Run { helper: helper.clone(), source })?;
    if !status.success() && String::from_utf8_lossy(&output).contains(NOT_FOUND) {
        return Ok(None);
    }
    let answer = serde_json::from_slice::<HelperAnswer>(&output).ok().filter(|_| status.success());
    let answer = answer.ok_or_else(|| LoginError::Failed { helper, server: server.to_owned() })?;
    Ok(Some(match answer.username.as_str() {
        TOKEN => Login::IdentityToken(answer.secret),
        _ => Login::Password { user: answer.username, password: answer.secret },
    }))
}

/// Runs a helper, and returns its exit status and output.
async fn run(helper: &str, server: &str) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input reports that itself.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?, output))
}
