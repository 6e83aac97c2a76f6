//! Programs that keep logins: `docker-credential-NAME`. Source: docker-credential-helpers, "Development".

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{Login, Secret};

/// What a helper says when it has no login; not a failure.
const NOT_FOUND: &str = "credentials not found";
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
    /// The task was stopped.
    #[error("the work was stopped")]
    Stopped,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Asks a helper for the login to a server; `None` if it has none.
pub(super) fn ask(name: &str, server: &str) -> Result<Option<Login>, LoginError> {
    let helper = format!("docker-credential-{name}");
    let run = || {
        let mut child = Command::new(&helper)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A helper that does not read what it is asked for will say so itself.
            let _ = input.write_all(server.as_bytes());
        }
        child.wait_with_output()
    };
    let output = run().map_err(|source| LoginError::Run { helper: helper.clone(), source })?;
    if !output.status.success() && String::from_utf8_lossy(&output.stdout).contains(NOT_FOUND) {
        return Ok(None);
    }
    let answer = serde_json::from_slice::<Answer>(&output.stdout).ok().filter(|_| output.status.success());
    let answer = answer.ok_or_else(|| LoginError::Failed { helper, server: server.to_owned() })?;
    Ok(Some(match answer.username.as_str() {
        TOKEN => Login::IdentityToken(answer.secret),
        _ => Login::Password { user: answer.username, password: answer.secret },
    }))
}
