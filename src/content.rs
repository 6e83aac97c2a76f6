//! Detects a file's type from its first bytes, where the name does not determine it.

use serde::{Deserialize, Serialize};

/// The type of a file, independent of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A debug database of Microsoft's compilers (`.pdb`). Other files with this extension contain proteins.
    DebugDatabase,
    /// A swap file of Vim.
    VimSwap,
}

impl Content {
    /// Returns the type of a file that starts with these bytes. Sources: LLVM's "The MSF File Format"; `block0` in
    /// Vim's `memline.c`.
    pub fn of(start: &[u8]) -> Option<Self> {
        [(b"Microsoft C/C++ ".as_slice(), Self::DebugDatabase), (b"b0VIM ", Self::VimSwap)]
            .into_iter()
            .find_map(|(magic, content)| start.starts_with(magic).then_some(content))
    }
}
