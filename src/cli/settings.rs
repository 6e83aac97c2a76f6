//! `pydock.toml`: options of the command line in a file, and how both are combined.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use pydock::image::PlatformChoice;
use pydock::layer::codec::Compression;
use pydock::layering::Squash;
use pydock::options::RuleChoice;
use pydock::profile::{Level, Profile, ProfileError};

use super::args::{ChoiceArgs, OutputArgs};
use super::failure::Failure;

/// The file that is read by default.
const FILE_NAME: &str = "pydock.toml";

/// The content of a `pydock.toml`. Options of the command line take precedence; lists are joined.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    level: Option<Level>,
    #[serde(default)]
    profile: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
    /// Which layers are squashed.
    pub squash: Option<Squash>,
    /// The compression of new layers.
    pub compression: Option<Compression>,
    /// The compression level of new data.
    pub compression_level: Option<u32>,
    /// Whether kept data of rewritten layers is compressed again.
    #[serde(default)]
    recompress: bool,
    platform: Option<String>,
    /// The folder of the file. Paths of profiles are relative to it.
    #[serde(skip)]
    folder: PathBuf,
}

impl Settings {
    /// Reads the given file, or `pydock.toml` in the current folder if it exists.
    pub(crate) fn load(asked: Option<&Path>) -> Result<Self, Failure> {
        let path = asked.unwrap_or(Path::new(FILE_NAME));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && asked.is_none() => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Failure::file("read", path, error)),
        };
        let mut settings: Self = toml::from_str(&text).map_err(|error| Failure::toml(path, &text, &error))?;
        settings.folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(settings)
    }

    /// Returns the platform that the file names.
    pub(crate) fn platform(&self) -> Result<Option<PlatformChoice>, Failure> {
        let parsed = self.platform.as_deref().map(str::parse).transpose();
        parsed.map_err(|why: String| Failure::usage(format!("{FILE_NAME}: {why}")))
    }

    /// Returns whether kept data of rewritten layers is compressed again. At `max` it always is.
    pub(crate) fn recompress(&self, args: &ChoiceArgs, output: &OutputArgs) -> bool {
        output.recompress || self.recompress || self.level(args) == Level::Max
    }

    fn level(&self, args: &ChoiceArgs) -> Level {
        args.level.or(self.level).unwrap_or_default()
    }

    /// Combines the command line and the file: the profiles of the level, plus added ones, minus excluded ones.
    pub(crate) fn choice(&self, args: &ChoiceArgs) -> Result<RuleChoice, Failure> {
        let level = self.level(args);
        let built_in = Profile::built_in();
        let mut profiles = built_in.iter().filter(|profile| profile.level <= level).cloned().collect::<Vec<_>>();
        let from_file = self.profile.iter().map(|name| add(name, &self.folder, &built_in));
        let typed = args.profile.iter().map(|name| add(name, Path::new(""), &built_in));
        for profile in from_file.chain(typed) {
            let profile = profile?;
            if !profiles.contains(&profile) {
                profiles.push(profile);
            }
        }
        let mut names = HashSet::new();
        if let Some(twice) = profiles.iter().find(|profile| !names.insert(profile.name.clone())) {
            return Err(ProfileError::Twice(twice.name.clone()).into());
        }
        for name in self.without.iter().chain(&args.without) {
            if !names.contains(name) && !built_in.iter().any(|profile| profile.name == *name) {
                return Err(unknown(name, &built_in).into());
            }
            profiles.retain(|profile| profile.name != *name);
        }
        Ok(RuleChoice {
            profiles,
            remove: [&self.remove[..], &args.remove].concat(),
            keep: [&self.keep[..], &args.keep].concat(),
        })
    }
}

/// Finds a profile by name, or reads it from a file.
fn add(name: &str, folder: &Path, built_in: &[Profile]) -> Result<Profile, Failure> {
    if let Some(profile) = built_in.iter().find(|profile| profile.name == name) {
        return Ok(profile.clone());
    }
    if !name.contains('/') && !name.ends_with(".toml") {
        return Err(unknown(name, built_in).into());
    }
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, error))?;
    Ok(Profile::parse(&text, &path.display().to_string())?)
}

/// Returns the error for a name that no profile has.
pub(crate) fn unknown(name: &str, built_in: &[Profile]) -> ProfileError {
    ProfileError::Unknown {
        name: name.to_owned(),
        known: built_in.iter().map(|profile| profile.name.clone()).collect(),
    }
}
