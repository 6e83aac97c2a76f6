//! What a file is by its first bytes, where its name alone does not say it.

use serde::{Deserialize, Serialize};

/// What a file is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A debug database of Microsoft's compilers (`.pdb`). Other files of that name hold proteins.
    DebugDatabase,
    /// A swap file of vim.
    VimSwap,
}

impl Content {
    /// Returns what a file is that starts with these bytes. Sources: LLVM's "The MSF File Format"; `block0` in vim's `memline.c`.
    pub fn of(start: &[u8]) -> Option<Self> {
        [(b"Microsoft C/C++ ".as_slice(), Self::DebugDatabase), (b"b0VIM ", Self::VimSwap)]
            .into_iter()
            .find_map(|(magic, content)| start.starts_with(magic).then_some(content))
    }
}
