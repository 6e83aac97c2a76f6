//! Platforms: `os/arch[/variant]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The platform of an index entry. Spec: image-spec `image-index.md`, "platform".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, as in Go.
    pub os: String,
    /// Processor architecture, as in Go.
    pub architecture: String,
    /// Variant of the architecture (`v7`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `os.version`, `os.features` and all other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Platform {
    /// Returns the normalized names that Docker compares: `linux/arm64/v8` becomes `linux/arm64`, `linux/arm` becomes
    /// `linux/arm/v7`, and `x86_64` becomes `amd64`. Source: containerd, `platforms/database.go`.
    fn normalized(os: &str, architecture: &str, variant: Option<&str>) -> (String, String, Option<String>) {
        let os = match os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let variant = variant.map(str::to_lowercase).filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture.to_lowercase().as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".to_owned(), None),
            ("x86_64" | "x86-64", Some(variant)) => ("amd64".to_owned(), Some(variant.to_owned())),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64".to_owned(), None),
            ("aarch64", Some(variant)) => ("arm64".to_owned(), Some(variant.to_owned())),
            ("i386", _) => ("386".to_owned(), None),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm".to_owned(), Some("v7".to_owned())),
            ("armel", _) => ("arm".to_owned(), Some("v6".to_owned())),
            ("arm", Some(digit @ ("5" | "6" | "8"))) => ("arm".to_owned(), Some(format!("v{digit}"))),
            (architecture, variant) => (architecture.to_owned(), variant.map(str::to_owned)),
        };
        (os, architecture, variant)
    }
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

/// The selected platforms of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PlatformChoice {
    /// All platforms. The result of an index is an index.
    #[default]
    All,
    /// One platform. The result is a single image.
    One {
        /// Operating system.
        os: String,
        /// Processor architecture.
        architecture: String,
        /// Variant. `None` matches any variant.
        variant: Option<String>,
    },
}

impl PlatformChoice {
    /// Returns whether this choice includes `platform`.
    pub fn takes(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::One { os, architecture, variant } => {
                let wanted = Platform::normalized(os, architecture, variant.as_deref());
                let found = Platform::normalized(&platform.os, &platform.architecture, platform.variant.as_deref());
                (wanted.0, wanted.1) == (found.0, found.1) && (variant.is_none() || wanted.2 == found.2)
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
        let arm64 = Platform { architecture: "arm64".into(), variant: None, ..armv7.clone() };
        for name in ["linux/arm64/v8", "linux/aarch64", "linux/arm64", "Linux/arm64/8"] {
            assert!(choice(name).takes(&arm64), "{name}");
        }
        assert!(choice("linux/arm64").takes(&Platform { variant: Some("v8".into()), ..arm64.clone() }));
        assert!(!choice("linux/arm64/v9").takes(&arm64));
        assert!(choice("linux/x86_64").takes(&Platform { architecture: "amd64".into(), ..arm64 }));
        assert!("linux".parse::<PlatformChoice>().is_err());
        assert!("linux//v7".parse::<PlatformChoice>().is_err());
    }
}
