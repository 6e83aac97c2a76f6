//! Whiteout names and what they mean. Spec: image-spec `layer.md`, "Whiteouts".

use crate::rootfs_path::RootfsPath;

/// What an entry with a whiteout name does to lower layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whiteout {
    /// `.wh.NAME`: the lower layers' `NAME` is gone.
    Removed(RootfsPath),
    /// `.wh..wh..opq`: all that lower layers have in this folder is gone.
    Opaque(RootfsPath),
    /// Another `.wh..wh.` name: bookkeeping of AUFS, which no runtime shows (`.wh..wh.plnk`, `.wh..wh.aufs`).
    Bookkeeping,
}

impl Whiteout {
    /// Reads a path's last component as a whiteout; `None` if it is an ordinary name.
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
