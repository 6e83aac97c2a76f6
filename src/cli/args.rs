//! The arguments.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use pydock::cache::CacheLocation;
use pydock::digest::Digest;
use pydock::image::PlatformChoice;
use pydock::layer::codec::Compression;
use pydock::layering::Squash;
use pydock::profile::Level;
use pydock::report::size;
use pydock::{Gates, MinSaving, SlimOptions};

use super::failure::Failure;
use super::run;

/// Slim container images of Python applications that are already built
///
/// pydock reads an image, removes the files that nothing in it needs, rewrites only the layers that change, and writes a new
/// OCI image. It does not rebuild the image, and does not run anything from it.
///
/// Exit codes: 0 success; 1 failure; 2 invalid options; 3 a gate was not met and nothing was written; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "pydock", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub verb: Verb,

    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Print details (use twice for more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Slim an image
    Slim(Box<SlimArgs>),
    /// Apply a plan that `slim --plan FILE` saved
    Apply(Box<ApplyArgs>),
    /// Restore the image that `slim --in-place` replaced
    Undo(Box<UndoArgs>),
    /// Explain why paths of an image are kept or removed
    Explain(Box<ExplainArgs>),
    /// List the removal profiles, or show one
    Profiles(ProfilesArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SlimArgs {
    /// The image to slim: `[docker://]host/repo:tag`, `docker-daemon:name[:tag]`, `oci:dir[:tag]`, `oci-archive:file[:tag]`,
    /// `docker-archive:file[:tag]`, or `-` for an archive on standard input
    pub source: String,

    /// Where to write the new image, in the same forms; `-` writes an archive to standard output
    #[arg(required_unless_present_any = ["dry_run", "in_place"])]
    pub destination: Option<String>,

    /// Replace the source tag with the slimmed image; `pydock undo` restores the old one
    #[arg(long, conflicts_with = "destination")]
    pub in_place: bool,

    /// Slim the image even if pydock made it; by default such an image is copied unchanged
    #[arg(long)]
    pub again: bool,

    /// Print what would be removed, and write nothing
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

/// Options that decide what is removed.
#[derive(Debug, ClapArgs)]
pub(crate) struct ChoiceArgs {
    /// How much to remove: safe, standard or max [default: standard]
    #[arg(short, long)]
    pub level: Option<Level>,

    /// Add a profile, by name or as a TOML file (`./mine.toml`)
    #[arg(short, long, value_name = "NAME|FILE")]
    pub profile: Vec<String>,

    /// Exclude a profile of the level
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,

    /// Remove paths that match a glob, folders with their contents
    #[arg(long, value_name = "GLOB")]
    pub remove: Vec<String>,

    /// Keep paths that match a glob, folders with their contents, whatever else matches
    #[arg(long, value_name = "GLOB")]
    pub keep: Vec<String>,

    /// Read options from this file [default: pydock.toml in the current folder, if it exists]
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

    /// The platform of a multi-platform image, `os/arch[/variant]`, or `all`
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

    /// The digest to restore [default: the source digest that the image notes]
    #[arg(long, value_name = "DIGEST")]
    pub to: Option<Digest>,

    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ApplyArgs {
    /// The plan that `slim --plan FILE` saved
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

    /// Read the password or token from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,

    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,

    /// The client certificate (PEM), with --client-key
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,

    /// The private key of --client-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,

    /// Do not verify the certificate of this registry (`host[:port]`), and use HTTP if it does not support HTTPS. Registries on
    /// localhost may always use HTTP
    #[arg(long, value_name = "HOST")]
    pub insecure: Vec<String>,
}

/// The cache.
#[derive(Debug, ClapArgs)]
pub(crate) struct CacheArgs {
    /// Cache scans and rewritten layers in this folder: the next image on the same base image is slimmed without reading that base
    /// image again. Runs may share the folder. Anyone who can write to it can change the contents of your images
    #[arg(long, value_name = "DIR", env = "PYDOCK_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,

    /// The maximum size of the cache; the least recently used entries are removed at the end of a run
    #[arg(long, value_name = "SIZE", env = "PYDOCK_CACHE_SIZE", hide_env_values = true, value_parser = size::parse, default_value = "10GB")]
    pub cache_size: u64,
}

impl CacheArgs {
    /// Returns the location of the cache, if one is used.
    pub(crate) fn location(&self) -> Option<CacheLocation> {
        self.cache_dir.as_ref().map(|folder| CacheLocation { folder: folder.clone(), limit: self.cache_size })
    }
}

/// Choices that every verb which writes an image has.
#[derive(Debug, ClapArgs)]
pub(crate) struct OutputArgs {
    /// Which layers to merge into one: none, app (those above the base image) or all [default: none]
    #[arg(long)]
    pub squash: Option<Squash>,

    /// The base image, for `--squash app` [default: found by annotations or history]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,

    /// Compression of the layers: gzip or zstd. By default, rewritten layers are gzip and unchanged layers keep their compression;
    /// with this option, layers of another compression are converted
    #[arg(long)]
    pub compression: Option<Compression>,

    /// Compression level for newly compressed data: 1 to 12 for gzip (default 6), 1 to 22 for zstd (default 3). Copied data keeps its
    /// compression, see --recompress
    #[arg(long, value_name = "N")]
    pub compression_level: Option<u32>,

    /// Compress the data of rewritten layers again instead of copying compressed blocks: about 6% smaller, in half as much time
    /// again. Implied by `--level max`
    #[arg(long)]
    pub recompress: bool,

    /// The platform of a multi-platform image, `os/arch[/variant]`, or `all`. One platform gives a single-platform image
    #[arg(long, default_value = "all")]
    pub platform: PlatformChoice,

    /// Write nothing and exit with 3 if the compressed layers are larger than this
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub max_size: Option<u64>,

    /// Write nothing and exit with 3 if less than this is saved: a size, or a percentage (`30%`) of the compressed layers
    #[arg(long, value_name = "SIZE|PERCENT", value_parser = parse_saving)]
    pub min_saving: Option<MinSaving>,

    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Also give the new image this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,

    /// Do not attach the report, provenance and SBOM (attached by default when pushing to a registry)
    #[arg(long)]
    pub no_attach: bool,

    /// Write the new digest to a file
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<PathBuf>,

    /// Write the report to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// The number of threads [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    #[command(flatten)]
    pub registry: RegistryArgs,

    #[command(flatten)]
    pub cache: CacheArgs,
}

impl OutputArgs {
    /// Sets the options that `slim` and `apply` share.
    pub(crate) fn apply(&self, options: &mut SlimOptions) -> Result<(), Failure> {
        options.squash = self.squash.unwrap_or_default();
        options.base = run::optional_reference(self.base.as_ref())?;
        options.compression = self.compression;
        options.compression_level = self.compression_level(self.compression, None)?;
        options.recompress = self.recompress;
        options.gates = Gates { max_size: self.max_size, min_saving: self.min_saving };
        options.tags.clone_from(&self.tag);
        options.created = run::source_date_epoch()?;
        options.attach = !self.no_attach;
        options.threads = self.threads.unwrap_or(options.threads);
        options.cache = self.cache.location();
        Ok(())
    }

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
    /// Tables
    Table,
    /// The new digest alone
    Digest,
    /// The report as JSON
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
        _ => Err(format!("`{text}` is not a percentage from 0% to 100%")),
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
