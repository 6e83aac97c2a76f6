//! What was typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use pydock::cache::Place;
use pydock::digest::Digest;
use pydock::image::PlatformChoice;
use pydock::layer::codec::Compression;
use pydock::layer::rewrite::Refit;
use pydock::layering::Squash;
use pydock::profile::Level;
use pydock::report::size;
use pydock::request::MinSaving;

use super::failure::Failure;

/// Slim container images of Python applications that are already built
///
/// pydock reads an image, decides which files it can do without, rewrites only the layers that change, and writes a new
/// OCI image. Nothing is rebuilt, and nothing of the image is run.
///
/// Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but a gate was not met and nothing was written; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "pydock", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub verb: Verb,

    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Print what is done in detail (twice: in more detail)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Slim an image and write it to another place
    Slim(Box<SlimArgs>),
    /// Apply a plan that `slim --plan FILE` saved
    Apply(Box<ApplyArgs>),
    /// Bring back the image that `slim --in-place` replaced
    Undo(Box<UndoArgs>),
    /// Explain why paths of an image stay or go
    Explain(Box<ExplainArgs>),
    /// List the removal profiles, or show one
    Profiles(ProfilesArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SlimArgs {
    /// The image to slim: `[docker://]host/repo:tag`, `oci:dir[:tag]`, `oci-archive:file[:tag]`,
    /// `docker-archive:file[:tag]`, or `-` for an archive on standard input
    pub source: String,

    /// Where to write the new image; the same forms, `-` for an archive on standard output
    #[arg(required_unless_present_any = ["dry_run", "in_place"])]
    pub destination: Option<String>,

    /// Let the new image take the old one's place, under the same tag; `pydock undo` brings the old one back
    #[arg(long, conflicts_with = "destination")]
    pub in_place: bool,

    /// Slim an image that pydock has made before, too; without it such an image is copied as it is
    #[arg(long)]
    pub again: bool,

    /// Print the plan and write no image
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Save the plan to a file, for review and `pydock apply`
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,

    #[command(flatten)]
    pub choice: ChoiceArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Choices of what goes.
#[derive(Debug, ClapArgs)]
pub(crate) struct ChoiceArgs {
    /// How much to remove: safe, standard or max [default: standard]
    #[arg(short, long)]
    pub level: Option<Level>,

    /// Add a profile, by name or as a TOML file (`./mine.toml`)
    #[arg(short, long, value_name = "NAME|FILE")]
    pub profile: Vec<String>,

    /// Leave a profile of the level out
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,

    /// Remove what a glob names, a folder with all below it
    #[arg(long, value_name = "GLOB")]
    pub remove: Vec<String>,

    /// Keep what a glob names, a folder with all below it, whatever a rule says
    #[arg(long, value_name = "GLOB")]
    pub keep: Vec<String>,

    /// Read choices from this file; without it `pydock.toml` in the current folder is read, if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The image
    pub source: String,

    /// Paths in the image
    #[arg(required = true)]
    pub paths: Vec<String>,

    #[command(flatten)]
    pub choice: ChoiceArgs,

    /// Which platform of an index, `os/arch[/variant]`, or all
    #[arg(long, default_value = "all")]
    pub platform: PlatformChoice,

    #[command(flatten)]
    pub registry: RegistryArgs,

    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UndoArgs {
    /// The image that was slimmed in place
    pub image: String,

    /// The digest to go back to; without it the one that the image notes is taken
    #[arg(long, value_name = "DIGEST")]
    pub to: Option<Digest>,

    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ApplyArgs {
    /// The plan, as `slim --plan FILE` saved it
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,

    /// The image that the plan was made for
    pub source: String,

    /// Where to write the new image
    pub destination: String,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// How registries are reached. Logins are read where Docker and podman keep them: `REGISTRY_AUTH_FILE`, Docker's `config.json`
/// (in `DOCKER_CONFIG`), podman's `auth.json`, and the credential helpers that these name.
#[derive(Debug, ClapArgs)]
pub(crate) struct RegistryArgs {
    /// Log in to the registry as this user, with --password-stdin
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    pub username: Option<String>,

    /// Read the password, or a token that stands for it, from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,

    /// Trust the authorities in this PEM file, too
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,

    /// Show registries this certificate (PEM), with --client-key
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,

    /// The key of --client-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,

    /// Do not verify the certificate of this registry (`host[:port]`), and speak HTTP if it does not know HTTPS, as with
    /// registries on this machine
    #[arg(long, value_name = "HOST")]
    pub insecure: Vec<String>,
}

/// Where work is kept from run to run.
#[derive(Debug, ClapArgs)]
pub(crate) struct CacheArgs {
    /// Keep in this folder what is learned of layers, and the layers that are made: the next image on the same base is done
    /// without reading the base, and the same image without reading at all. Several runs may share it
    #[arg(long, value_name = "DIR", env = "PYDOCK_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,

    /// How large the cache may be when a run is over; what was not used for longest goes
    #[arg(long, value_name = "SIZE", env = "PYDOCK_CACHE_SIZE", hide_env_values = true, value_parser = size::parse, default_value = "10GB")]
    pub cache_size: u64,
}

impl CacheArgs {
    /// Returns the place of the cache, if there is to be one.
    pub(crate) fn place(&self) -> Option<Place> {
        self.cache_dir.as_ref().map(|folder| Place { folder: folder.clone(), limit: self.cache_size })
    }
}

/// Choices that every verb which writes an image has.
#[derive(Debug, ClapArgs)]
pub(crate) struct OutputArgs {
    /// Which layers become one: none, app (those above the base image) or all [default: none]
    #[arg(long)]
    pub squash: Option<Squash>,

    /// The base image, for `--squash app`; without it annotations are asked, then history
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,

    /// How new layers are compressed: gzip or zstd. Without it new layers are gzip, and layers that stay are left as
    /// they are; with it those of another compression are made anew
    #[arg(long)]
    pub compression: Option<Compression>,

    /// How hard new data is compressed: 1 to 12 for gzip [default: 6, and 2 for the little between what is copied], 1 to 22
    /// for zstd [default: 3]. What is copied stays as it is compressed; see --recompress
    #[arg(long, value_name = "N")]
    pub compression_level: Option<u32>,

    /// Compress what stays of rewritten layers anew instead of copying its compressed blocks: some percent smaller, for half
    /// as much time again. `--level max` does so anyway
    #[arg(long)]
    pub recompress: bool,

    /// Which rewritten layers are written with codes and matches that fit them better, without compressing them anew: never,
    /// squashed or always [default: squashed; alone: always]. Some percent smaller than copied, in less time than
    /// `--recompress`
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    #[arg(conflicts_with = "recompress")]
    pub refit: Option<Refit>,

    /// Which platform of an index, `os/arch[/variant]`, or all. One platform gives a single image, all give an index
    #[arg(long, default_value = "all")]
    pub platform: PlatformChoice,

    /// Write nothing and exit with 3 if the compressed layers are larger
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub max_size: Option<u64>,

    /// Write nothing and exit with 3 if less is saved; a size or a percentage (`30%`) of the compressed layers
    #[arg(long, value_name = "SIZE|PERCENT", value_parser = parse_saving)]
    pub min_saving: Option<MinSaving>,

    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Give the new image this tag, too
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,

    /// Attach nothing to the new image; without it report, provenance and a bill of materials are, if it is in a registry
    #[arg(long)]
    pub no_attach: bool,

    /// Write the new digest to a file
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<PathBuf>,

    /// Write the whole report to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// How many layers to work on, and parts of layers to compress, at once [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    #[command(flatten)]
    pub registry: RegistryArgs,

    #[command(flatten)]
    pub cache: CacheArgs,
}

impl OutputArgs {
    /// Returns the level that was asked for, or the file's; the compression must have it.
    pub(crate) fn compression_level(
        &self,
        compression: Option<Compression>,
        usual: Option<u32>,
    ) -> Result<Option<u32>, Failure> {
        let compression = compression.unwrap_or(Compression::Gzip);
        let levels = compression.levels();
        match self.compression_level.or(usual) {
            Some(level) if !levels.contains(&level) => Err(Failure::usage(format!(
                "{compression} has no level {level}: --compression-level goes from {} to {}",
                levels.start(),
                levels.end()
            ))),
            level => Ok(level),
        }
    }
}

/// What is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    Table,
    /// The new digest alone
    Digest,
    /// The whole report
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ProfilesArgs {
    #[command(subcommand)]
    pub verb: Option<ProfilesVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesVerb {
    /// Print one profile as TOML
    Show {
        /// Its name
        name: String,
    },
}

fn parse_saving(text: &str) -> Result<MinSaving, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return size::parse(text).map(MinSaving::Bytes);
    };
    match percent.trim().parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(MinSaving::Percent(percent)),
        _ => Err(format!("`{text}` is no percentage from 0% to 100%")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_saving_is_a_size_or_a_percentage() {
        assert_eq!(parse_saving("30%"), Ok(MinSaving::Percent(30.0)));
        assert_eq!(parse_saving("30MB"), Ok(MinSaving::Bytes(30_000_000)));
        assert!(parse_saving("130%").is_err());
    }
}
