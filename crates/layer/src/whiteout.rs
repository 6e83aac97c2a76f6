//! Whiteout names and their meaning. Spec: image-spec `layer.md`, "Whiteouts".

use crate::rootfs_path::RootfsPath;

/// The effect of a whiteout entry on lower layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whiteout {
    /// `.wh.NAME`: removes `NAME` of lower layers.
    Removed(RootfsPath),
    /// `.wh..wh..opq`: removes all content of this folder in lower layers.
    Opaque(RootfsPath),
    /// Another `.wh..wh.` name (`.wh..wh.plnk`, `.wh..wh.aufs`): metadata of AUFS, which no runtime shows.
    Bookkeeping,
}

impl Whiteout {
    /// Parses the last component of a path as a whiteout. Returns `None` for an ordinary name.
    pub fn parse(path: &RootfsPath) -> Option<Self> {
        match path.file_name().strip_prefix(b".wh.")? {
            b".wh..opq" => Some(Self::Opaque(path.parent())),
            name if name.starts_with(b".wh.") => Some(Self::Bookkeeping),
            b"" => None,
            name => Some(Self::Removed(path.parent().join(name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_spec_says() {
        let path = |text: &str| RootfsPath::parse(text.as_bytes()).unwrap();
        assert_eq!(Whiteout::parse(&path("a/.wh.b")), Some(Whiteout::Removed(path("a/b"))));
        assert_eq!(Whiteout::parse(&path(".wh.b")), Some(Whiteout::Removed(path("b"))));
        assert_eq!(Whiteout::parse(&path("a/.wh..wh..opq")), Some(Whiteout::Opaque(path("a"))));
        assert_eq!(Whiteout::parse(&path("a/.wh..wh.plnk")), Some(Whiteout::Bookkeeping));
        for ordinary in ["a", "a/.wh", "a/x.wh.b", ".whx", ".wh."] {
            assert_eq!(Whiteout::parse(&path(ordinary)), None, "{ordinary}");
        }
    }
}
