//! Encodes the content of an old blob with better symbols, without compressing it from scratch. Its matches are kept,
//! its literals are searched for more matches, and blocks end where other codes fit the following symbols better. Bytes
//! that are `noise` are stored.
//!
//! `find` searches for matches, and `split` uses `entropy` to decide where blocks end. `code` builds prefix codes.
//! `block` writes a `header` and then `words`, as `bits`. `token` represents literals and matches.

mod bits;
mod block;
mod code;
mod entropy;
mod find;
mod header;
mod noise;
mod split;
mod token;
mod words;

use std::sync::{Arc, Mutex, PoisonError};

use bits::Bits;
use find::Finder;
pub(super) use find::Text;
use split::UNIT;
use token::Token;

use super::fresh::Blocks;

/// Tokens that are split into blocks together; a batch can be a little larger. Batches are independent, so several
/// threads can encode them.
const BATCH: usize = 64 * UNIT;

/// Converts old symbols to new ones.
pub(super) struct Refit {
    finder: Finder,
    /// The first `count` of these are valid.
    tokens: Vec<Token>,
    count: usize,
    used: Used,
}

/// The content of some blocks.
pub(super) struct Batch(TokenText);

enum TokenText {
    /// The first `count` tokens are valid.
    Tokens { tokens: Vec<Token>, count: usize, used: Used },
    /// Finished blocks.
    Blocks(Blocks),
}

/// Token buffers that can be used again.
#[derive(Clone, Default)]
struct Used(Arc<Mutex<Vec<Vec<Token>>>>);

impl Refit {
    pub(super) fn new() -> Self {
        Self { finder: Finder::new(), tokens: Vec::new(), count: 0, used: Used::default() }
    }

    /// Adds bytes. The bytes before them in `text` must also precede them in the new stream. Returns full batches, in
    /// order.
    pub(super) fn add(&mut self, text: Text<'_>) -> [Option<Batch>; 2] {
        if noise::is_noise(text) {
            self.finder.pass(text);
            return [self.end(), Some(Batch(TokenText::Blocks(Blocks::stored(text.own_bytes()))))];
        }
        // Each token covers at least one byte.
        let room = self.count + text.own_bytes().len() + find::BEYOND;
        if self.tokens.len() < room {
            self.tokens.resize(room, Token::default());
        }
        self.count += self.finder.tokens(text, &mut self.tokens[self.count..]);
        [if self.count >= BATCH { self.end() } else { None }, None]
    }

    /// Returns the remaining tokens, if any.
    pub(super) fn end(&mut self) -> Option<Batch> {
        let count = std::mem::take(&mut self.count);
        (count > 0).then(|| {
            let tokens = std::mem::replace(&mut self.tokens, self.used.take());
            Batch(TokenText::Tokens { tokens, count, used: self.used.clone() })
        })
    }
}

impl Batch {
    /// Encodes the blocks. None of them is the last of a stream.
    pub(super) fn blocks(self) -> Blocks {
        match self.0 {
            TokenText::Blocks(blocks) => blocks,
            TokenText::Tokens { tokens, count, used } => {
                let blocks = blocks(&tokens[..count]);
                used.keep(tokens);
                blocks
            }
        }
    }
}

fn blocks(mut tokens: &[Token]) -> Blocks {
    let mut bits = Bits::with_room(tokens.len());
    for part in split::split(tokens) {
        let (these, later) = tokens.split_at(part.tokens);
        block::write(these, &part.counts, &mut bits);
        tokens = later;
    }
    let (stream, end) = bits.finish();
    Blocks::packed(stream, end)
}

impl Used {
    fn take(&self) -> Vec<Token> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep(&self, tokens: Vec<Token>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tokens);
    }
}
