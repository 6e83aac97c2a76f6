//! `pydock profiles`.

use pydock::profile::Profile;

use super::args::{ProfilesArgs, ProfilesVerb};
use super::failure::Failure;
use super::terminal::Terminal;
use super::{DONE, settings};

/// Lists the profiles, or prints one.
pub(crate) fn run(args: &ProfilesArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let profiles = Profile::built_in();
    match &args.verb {
        Some(ProfilesVerb::Show { name }) => {
            let profile = profiles.iter().find(|profile| profile.name == *name);
            let profile = profile.ok_or_else(|| settings::unknown(name, &profiles))?;
            terminal.result(&profile.to_toml())?;
        }
        None => {
            let mut text = format!("{:<12} {:<9} {:<7} description\n", "name", "level", "risk");
            for profile in &profiles {
                text +=
                    &format!("{:<12} {:<9} {:<7} {}\n", profile.name, profile.level, profile.risk, profile.description);
            }
            terminal.result(&text)?;
        }
    }
    Ok(DONE)
}
