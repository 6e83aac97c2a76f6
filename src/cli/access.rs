//! Access to registries: from options, the environment, and the files of other tools.

#![expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use pydock::reference::Reference;
use pydock::transport::{Access, Logins, Secret, Tls};

use super::args::RegistryArgs;
use super::failure::Failure;

/// The largest password, in bytes. A longer input is a mistake.
const MAX_PASSWORD: u64 = 64 << 10;

/// Combines options and files. `images` are the image that is read and the one that is written.
pub(crate) fn access(args: &RegistryArgs, images: [Option<&Reference>; 2]) -> Result<Access, Failure> {
    let mut logins = Logins::from_files(login_files())?;
    if let Some(user) = &args.username {
        one_registry(images)?;
        logins = logins.with_login(user.clone(), read_password(images)?);
    }
    Ok(Access { logins, insecure: args.insecure.clone(), tls: tls(args)?, work: std::env::temp_dir() })
}

/// Returns the files that may hold logins. Earlier ones take precedence.
fn login_files() -> Vec<PathBuf> {
    let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = path("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = path("HOME");
    let docker = path("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
    let config = path("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
    let podman = [path("XDG_RUNTIME_DIR"), config].into_iter().flatten();
    let podman = podman.map(|folder| folder.join("containers/auth.json"));
    docker.map(|folder| folder.join("config.json")).into_iter().chain(podman).collect()
}

/// Fails unless exactly one registry is used: a password for one registry must not be sent to another.
fn one_registry(images: [Option<&Reference>; 2]) -> Result<(), Failure> {
    let registry = |image: &Reference| match image {
        Reference::Registry(name) => Some(name.registry.clone()),
        _ => None,
    };
    let registries = images.into_iter().flatten().filter_map(registry).collect::<HashSet<_>>();
    match registries.len() {
        1 => Ok(()),
        0 => Err(Failure::usage("--username requires an image in a registry".to_owned())),
        _ => Err(Failure::usage(
            "--username is ambiguous for two registries; log in to both with `docker login`".to_owned(),
        )),
    }
}

fn read_password(images: [Option<&Reference>; 2]) -> Result<Secret, Failure> {
    if images.contains(&Some(&Reference::Stdio)) {
        return Err(Failure::usage("standard input cannot hold both a password and an image".to_owned()));
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text);
    read.map_err(|error| Failure::file("read a password from", Path::new("standard input"), error))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("the password on standard input is empty".to_owned())),
        password => Ok(password.to_owned().into()),
    }
}

fn tls(args: &RegistryArgs) -> Result<Tls, Failure> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| Failure::file("read", path, error));
    let named = |path: &Path, error| {
        let mut failure = Failure::from(error);
        failure.message = format!("cannot use `{}`: {}", path.display(), failure.message);
        failure
    };
    let mut tls = Tls::default();
    for path in &args.ca_file {
        tls.trust(&read(path)?).map_err(|error| named(path, error))?;
    }
    if let (Some(certificate), Some(key)) = (&args.client_cert, &args.client_key) {
        let pem = [read(certificate)?, read(key)?].join(&b'\n');
        tls.identify(&pem).map_err(|error| named(certificate, error))?;
    }
    Ok(tls)
}
