//! Paths inside a rootfs: normalised bytes, with no leading slash, no `.` and no `..`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A path in a rootfs, relative to its root. The root is the empty path.
///
/// Paths in layers are bytes, not text: every byte except NUL is allowed. `Display` and serde escape control characters
/// and bytes that are not UTF-8 as `\xNN`, and a backslash as `\\`. Both are therefore lossless and safe on a terminal.
/// Binary serde formats contain the raw bytes.
///
/// ```
/// use pydock_layer::rootfs_path::RootfsPath;
/// let path = RootfsPath::parse(b"./usr//lib/").unwrap();
/// assert_eq!(path.to_string(), "usr/lib");
/// assert!(RootfsPath::parse(b"usr/../etc").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RootfsPath(Box<[u8]>);

/// Why bytes are not a [`RootfsPath`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// A component is `..`, which could leave the rootfs.
    #[error("path `{0}` contains `..`")]
    Parent(String),
    /// The path contains a NUL byte.
    #[error("path `{0}` contains a NUL byte")]
    Nul(String),
    /// The path or a component is longer than Linux allows.
    #[error("path `{0}` is longer than Linux allows")]
    TooLong(String),
    /// An escape in the printed form is neither `\\` nor `\xNN`.
    #[error("path `{0}` contains a malformed escape")]
    Escape(String),
}

impl RootfsPath {
    /// The longest path, in bytes. Source: Linux, `PATH_MAX` in `limits.h`.
    pub const MAX: usize = 4096;
    /// The longest component, in bytes. Source: Linux, `NAME_MAX`.
    pub const MAX_NAME: usize = 255;

    /// Returns the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses a path from a tar header: `./a`, `/a` and `a//` are all `a`.
    ///
    /// # Errors
    /// If a component is `..`, a byte is NUL, or the path is longer than Linux allows.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if memchr::memchr(0, bytes).is_some() {
            return Err(PathError::Nul(excerpt(bytes)));
        }
        let is_long = bytes.len() > Self::MAX_NAME;
        if is_long && (bytes.len() > Self::MAX || bytes.split(|&b| b == b'/').any(|name| name.len() > Self::MAX_NAME)) {
            return Err(PathError::TooLong(excerpt(bytes)));
        }
        let bare = bytes.strip_prefix(b".").filter(|rest| rest.starts_with(b"/")).unwrap_or(bytes);
        let bare = bare.strip_prefix(b"/").unwrap_or(bare);
        if is_plain(bare) {
            return Ok(Self(bare.into()));
        }
        let mut path = Vec::with_capacity(bytes.len());
        for component in bytes.split(|&b| b == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(PathError::Parent(excerpt(bytes))),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        Ok(Self(path.into()))
    }

    /// Returns the bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the components, from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
    }

    /// Returns the folder that contains this path. For the root, returns the root.
    pub fn parent(&self) -> Self {
        Self(self.parent_bytes().into())
    }

    /// Returns the bytes of the folder that contains this path.
    pub fn parent_bytes(&self) -> &[u8] {
        self.0.iter().rposition(|&b| b == b'/').map_or(&[], |slash| &self.0[..slash])
    }

    /// Returns the last component. Empty for the root.
    pub fn file_name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// Returns the path of `name` in this folder. `name` must be a single component.
    pub fn join(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path.into())
    }

    /// Returns the path with these components, from the root down.
    pub fn of_components<'a>(components: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut path = Vec::with_capacity(64);
        for component in components {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        Self(path.into())
    }

    /// Returns whether this path is `folder` or below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.is_root() || self.0.starts_with(&folder.0) && matches!(self.0.get(folder.0.len()), None | Some(b'/'))
    }

    /// Parses the output of `Display`.
    ///
    /// # Errors
    /// Like [`RootfsPath::parse`]. Also if an escape is invalid.
    pub fn parse_escaped(text: &str) -> Result<Self, PathError> {
        let bad = || PathError::Escape(excerpt(text.as_bytes()));
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            if first != b'\\' {
                bytes.push(first);
            } else if let Some(tail) = rest.strip_prefix(b"\\") {
                bytes.push(b'\\');
                rest = tail;
            } else {
                let hex = rest.strip_prefix(b"x").and_then(|hex| hex.get(..2)).ok_or_else(bad)?;
                let hex = std::str::from_utf8(hex).map_err(|_| bad())?;
                bytes.push(u8::from_str_radix(hex, 16).map_err(|_| bad())?);
                rest = &rest[3..];
            }
        }
        Self::parse(&bytes)
    }
}

/// Returns whether a path is clearly normalised: no component is empty or begins with a dot. Most of the tens of
/// thousands of paths of an image are.
fn is_plain(path: &[u8]) -> bool {
    let mut starts = std::iter::once(0).chain(memchr::memchr_iter(b'/', path).map(|slash| slash + 1));
    starts.all(|start| !matches!(path.get(start), None | Some(b'/' | b'.')))
}

/// Returns bytes as text, losslessly: what is not printable UTF-8 becomes `\xNN`, and a backslash `\\`.
pub fn escape(bytes: &[u8]) -> String {
    escaped(bytes).into_owned()
}

/// The most bytes of a path in an error.
const MAX_SHOWN: usize = 200;

/// Returns a path for an error: escaped, and shortened in the middle if it is long.
pub fn excerpt(bytes: &[u8]) -> String {
    if bytes.len() <= MAX_SHOWN {
        return escape(bytes);
    }
    let (start, end) = (&bytes[..MAX_SHOWN / 2], &bytes[bytes.len() - MAX_SHOWN / 2..]);
    format!("{}…{}", escape(start), escape(end))
}

fn escaped(bytes: &[u8]) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_plain) => Cow::Borrowed(text),
        _ => Cow::Owned(escape_each(bytes)),
    }
}

fn escape_each(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    for byte in c.encode_utf8(&mut utf8).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

impl fmt::Display for RootfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&if self.is_root() { Cow::Borrowed(".") } else { escaped(&self.0) })
    }
}

impl fmt::Debug for RootfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RootfsPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for RootfsPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parsed = if deserializer.is_human_readable() {
            Self::parse_escaped(&String::deserialize(deserializer)?)
        } else {
            Self::parse(&Vec::deserialize(deserializer)?)
        };
        parsed.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_cannot_leave_the_rootfs() {
        for bad in ["..", "../a", "a/..", "a/../b", "/.."] {
            assert!(matches!(RootfsPath::parse(bad.as_bytes()), Err(PathError::Parent(_))), "{bad}");
        }
        assert!(matches!(RootfsPath::parse(b"a\0b"), Err(PathError::Nul(_))));
        assert_eq!(RootfsPath::parse(b"..a/b..").unwrap().to_string(), "..a/b..");
    }

    #[test]
    fn a_folder_holds_itself_and_what_lies_below_but_no_namesake() {
        let path = |text: &str| RootfsPath::parse(text.as_bytes()).unwrap();
        assert!(path("a/b/c").is_within(&path("a/b")));
        assert!(path("a/b").is_within(&path("a/b")));
        assert!(path("a").is_within(&RootfsPath::root()));
        assert!(!path("a/bc").is_within(&path("a/b")));
        assert_eq!(path("a/b").parent(), path("a"));
        assert_eq!(path("a").parent(), RootfsPath::root());
        assert_eq!(path("a").join(b"b"), path("a/b"));
        assert_eq!(RootfsPath::of_components(path("a/b/c").components()), path("a/b/c"));
    }

    proptest! {
        #[test]
        fn a_path_is_its_components_but_for_empty_ones_and_dots(text in "[/.ab]{0,12}") {
            let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>();
            let joined = parts.join("/");
            let path = RootfsPath::parse(text.as_bytes());
            prop_assert_eq!(path.is_err(), parts.contains(&".."));
            if let Ok(path) = path {
                prop_assert_eq!(path.as_bytes(), joined.as_bytes());
            }
        }

        #[test]
        fn the_printed_form_reads_back_as_the_same_path(bytes in proptest::collection::vec(1u8.., 0..40)) {
            if let Ok(path) = RootfsPath::parse(&bytes) {
                let text = path.to_string();
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert_eq!(RootfsPath::parse_escaped(&text), Ok(path));
            }
        }
    }
}
