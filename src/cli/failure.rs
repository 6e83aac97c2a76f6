//! Turns errors into messages: what was attempted, why it failed, what to do.

use std::error::Error;
use std::path::Path;

use pydock::image::document::DocumentError;
use pydock::image::media_type::LayerTypeError;
use pydock::image::stack::StackError;
use pydock::layer::tar::TarError;
use pydock::profile::ProfileError;
use pydock::reference::ReferenceError;
use pydock::report::Report;
use pydock::rootfs_path::PathError;
use pydock::saved_plan::SavedPlanError;
use pydock::slim::SlimError;
use pydock::transport::TransportError;
use pydock_registry::{LoginError, RegistryError};

use super::{FAILED, SIGNALLED, USAGE};

/// An error as users see it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub code: u8,
    /// What was attempted.
    pub message: String,
    /// Why it failed, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// Describes wrong usage that clap cannot detect.
    pub(crate) fn usage(message: String) -> Self {
        Self { code: USAGE, message, causes: Vec::new(), hint: None }
    }

    /// Describes a signal that ended the program.
    pub(crate) fn interrupted(signal: u8) -> Self {
        Self {
            code: SIGNALLED + signal,
            message: "interrupted; the destination is unchanged".to_owned(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Describes a file that cannot be used.
    pub(crate) fn file(action: &str, path: &Path, error: std::io::Error) -> Self {
        Self {
            code: FAILED,
            message: format!("cannot {action} `{}`", path.display()),
            causes: vec![error.to_string()],
            hint: None,
        }
    }

    /// Describes a malformed TOML file.
    pub(crate) fn toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        Self {
            code: FAILED,
            message: format!("`{}` cannot be read", path.display()),
            causes: vec![pydock::profile::toml_error(text, error)],
            hint: None,
        }
    }

    fn of(error: &dyn Error, hint: Option<String>) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let message = one_line(&error.to_string());
        let mut at = error.source();
        while let Some(cause) = at {
            let text = one_line(&cause.to_string());
            // Errors of other libraries repeat their sources.
            if !message.contains(&text) && !causes.iter().any(|known| known.contains(&text)) {
                causes.push(text);
            }
            at = cause.source();
        }
        Self { code: FAILED, message, causes, hint: hint.map(|hint| one_line(&hint)) }
    }
}

/// The largest number of characters of a message, or of one of its causes.
const MAX_LINE: usize = 600;

/// Joins lines and limits the length: errors of other libraries may hold line breaks and long quotes.
fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl From<SlimError> for Failure {
    fn from(error: SlimError) -> Self {
        Self::of(&error, slim_hint(&error))
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::of(&error, transport_hint(&error))
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::of(&error, registry_hint(&error))
    }
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        Self::of(&error, None)
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Self::of(&error, profile_hint(&error))
    }
}

impl From<ReferenceError> for Failure {
    fn from(error: ReferenceError) -> Self {
        let hint = error.nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"));
        Self::of(&error, hint)
    }
}

impl From<SavedPlanError> for Failure {
    fn from(error: SavedPlanError) -> Self {
        Self::of(&error, None)
    }
}

fn slim_hint(error: &SlimError) -> Option<String> {
    let hint = match error {
        SlimError::Source { source, .. } | SlimError::Destination { source, .. } => return transport_hint(source),
        SlimError::Attach { source, .. } => {
            let attach = "--no-attach pushes the image without report, provenance and SBOM".to_owned();
            return transport_hint(source).or(Some(attach));
        }
        SlimError::Profile(error) => return profile_hint(error),
        SlimError::Document { source: DocumentError::SchemaOne, .. } => {
            "pull and push the image again with a current Docker; this converts the manifest".to_owned()
        }
        SlimError::Document { source: DocumentError::Unknown(_), .. } => {
            "pydock reads OCI and Docker schema 2 manifests and indexes".to_owned()
        }
        SlimError::Document { .. } => "the image is damaged at the source; push it again".to_owned(),
        SlimError::Layers { source: StackError::Layer { source: LayerTypeError::Encrypted(_), .. }, .. } => {
            "decrypt the image first, for example with `skopeo copy --decryption-key`".to_owned()
        }
        SlimError::NotAnImage { .. } => "give the reference of a container image".to_owned(),
        SlimError::NoPlatform { there, .. } if !there.is_empty() => format!("the image has: {}", there.join(", ")),
        SlimError::Scan { image, source, .. } => return scan_hint(image, source),
        SlimError::Rewrite { source, .. } => return transport_cause(source).and_then(transport_hint),
        SlimError::Plan { .. } | SlimError::PlanPath { .. } => {
            "create a new plan with `pydock slim --dry-run --plan FILE`".to_owned()
        }
        SlimError::NotOurs { .. } => "name the digest to go back to with `--to DIGEST`".to_owned(),
        SlimError::Moved { .. } => "run pydock again on the new image".to_owned(),
        SlimError::NotTheBase { .. } | SlimError::NoBase { .. } => {
            "name the base image with `--base REF`, or use `--squash none` or `all`".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

fn scan_hint(image: &str, error: &TarError) -> Option<String> {
    if let Some(cause) = transport_cause(error) {
        return transport_hint(cause);
    }
    Some(match error {
        TarError::Path { source: PathError::Parent(_), .. } => {
            "such an entry could write outside of the container; do not run this image".to_owned()
        }
        TarError::Path { .. } | TarError::Payload { .. } | TarError::Headers(_) | TarError::Extension { .. } => {
            "Linux or Docker cannot unpack such an entry; build the layer with another tool".to_owned()
        }
        TarError::Trailing(_) => {
            "Docker ignores such bytes, but they could hide something; build the layer again".to_owned()
        }
        TarError::Budget(_) => "remove files from the image, or split it".to_owned(),
        _ => format!("the layer is damaged at the source; get `{image}` again"),
    })
}

/// Returns the transport error behind an error, if there is one. Then the image itself is not at fault.
fn transport_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TransportError> {
    let mut at = Some(error);
    while let Some(cause) = at {
        if let Some(found) = cause.downcast_ref::<TransportError>() {
            return Some(found);
        }
        at = match cause.downcast_ref::<std::io::Error>() {
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as &'a (dyn Error + 'static)),
            None => cause.source(),
        };
    }
    None
}

fn transport_hint(error: &TransportError) -> Option<String> {
    let hint = match error {
        TransportError::NoTag { tags, .. } if !tags.is_empty() => format!("available tags: {}", tags.join(", ")),
        TransportError::Ambiguous { tags, .. } => {
            format!("add `:tag` to the reference; available tags: {}", tags.join(", "))
        }
        TransportError::MissingBlob { .. } => "the image is incomplete at the source; copy or push it again".to_owned(),
        TransportError::Registry { source, .. } => return registry_hint(source),
        TransportError::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "free some space, or set TMPDIR to a folder with more of it".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

fn registry_hint(error: &RegistryError) -> Option<String> {
    let hint = match error {
        RegistryError::Status { status, redirected_to: Some(_), .. } if (400..500).contains(status) => {
            "the storage of the registry refused the link that the registry gave; the login is not at fault"
        }
        RegistryError::Status { status, .. } if [401, 403].contains(status) => {
            "log in with `docker login` or `skopeo login`, or use --username and --password-stdin"
        }
        error if error.asks_for_too_long_a_wait() => "run it again after the pause that the registry asks for",
        error if error.status().is_some_and(|status| status == 429 || (500..600).contains(&status)) => {
            "the registry was asked several times; try again later"
        }
        error if error.is_certificate() => {
            "trust the registry's authority with `--ca-file FILE`, or its certificate unseen with `--insecure HOST`"
        }
        RegistryError::Connection { .. } => "check the network, and run it again",
        RegistryError::Realm { .. } => "let the token server speak HTTPS, or allow HTTP with `--insecure HOST`",
        RegistryError::Login(LoginError::Run { .. }) => "install it, or remove it from the file that names it",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn profile_hint(error: &ProfileError) -> Option<String> {
    match error {
        ProfileError::Unknown { known, .. } => {
            Some(format!("known profiles: {}; give your own profile as a path (`./mine.toml`)", known.join(", ")))
        }
        _ => None,
    }
}

/// Returns the exit code of a run without an error.
pub(crate) fn code(report: &Report) -> u8 {
    if report.unmet_gates.is_empty() { super::DONE } else { super::GATE }
}
