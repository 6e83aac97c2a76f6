//! Platforms: `os/arch[/variant]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The platform of an index entry. Spec: image-spec `image-index.md`, "platform".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, as Go names it.
    pub os: String,
    /// Processor, as Go names it.
    pub architecture: String,
    /// Variant of the processor (`v7`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `os.version`, `os.features` and whatever else was there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// Which platforms of an index are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PlatformChoice {
    /// Every one: an index stays an index.
    #[default]
    All,
    /// One; the result is a single image.
    One {
        /// Operating system.
        os: String,
        /// Processor.
        architecture: String,
        /// Variant; any if `None`.
        variant: Option<String>,
    },
}

impl PlatformChoice {
    /// Tells whether this choice takes `platform`.
    pub fn takes(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::One { os, architecture, variant } => {
                *os == platform.os
                    && *architecture == platform.architecture
                    && (variant.is_none() || *variant == platform.variant)
            }
        }
    }
}

impl FromStr for PlatformChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split('/').collect::<Vec<_>>();
        match parts[..] {
            ["all"] => Ok(Self::All),
            [os, architecture] | [os, architecture, _] if parts.iter().all(|part| !part.is_empty()) => Ok(Self::One {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: parts.get(2).map(|&variant| variant.to_owned()),
            }),
            _ => Err(format!("`{text}` is not `os/arch[/variant]` or `all`")),
        }
    }
}

impl fmt::Display for PlatformChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::One { os, architecture, variant } => {
                write!(f, "{os}/{architecture}")?;
                match variant {
                    Some(variant) => write!(f, "/{variant}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_without_a_variant_takes_any() {
        let armv7 =
            Platform { os: "linux".into(), architecture: "arm".into(), variant: Some("v7".into()), rest: Map::new() };
        let choice = |text: &str| text.parse::<PlatformChoice>().unwrap();
        assert!(choice("linux/arm").takes(&armv7));
        assert!(choice("linux/arm/v7").takes(&armv7));
        assert!(!choice("linux/arm/v6").takes(&armv7));
        assert!(choice("all").takes(&armv7));
        assert!("linux".parse::<PlatformChoice>().is_err());
        assert!("linux//v7".parse::<PlatformChoice>().is_err());
    }
}
