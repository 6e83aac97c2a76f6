//! Writes what an old blob holds with symbols that fit it better, without compressing it anew: its matches stay; where it has literals, matches
//! are looked for; and blocks end where other codes tell what follows better. What is `noise` is stored.
//!
//! `find` looks for matches, `split` decides where blocks end by their `entropy`, `code` makes prefix codes, `block` writes: a `header`, then
//! `words`, as `bits`; and `token` says what literals and matches are.

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

/// Tokens that are split into blocks together, some more at times. What comes of them does not depend on others, so several threads can
/// do it.
const BATCH: usize = 64 * UNIT;

/// Makes new symbols of old ones.
pub(super) struct Refit {
    finder: Finder,
    /// The first `count` of these, and room.
    tokens: Vec<Token>,
    count: usize,
    used: Used,
}

/// What some blocks are made of.
pub(super) struct Batch(Content);

enum Content {
    /// The first `count` of these.
    Tokens { tokens: Vec<Token>, count: usize, used: Used },
    /// Nothing is left to be done.
    Blocks(Blocks),
}

/// Room for tokens that can be used again.
#[derive(Clone, Default)]
struct Used(Arc<Mutex<Vec<Vec<Token>>>>);

impl Refit {
    pub(super) fn new() -> Self {
        Self { finder: Finder::new(), tokens: Vec::new(), count: 0, used: Used::default() }
    }

    /// Adds bytes; what stands before them, in `text`, must stand before them in the new stream as well. Returns batches that are full, in order.
    pub(super) fn add(&mut self, text: Text<'_>) -> [Option<Batch>; 2] {
        if noise::is_noise(text) {
            self.finder.pass(text);
            return [self.end(), Some(Batch(Content::Blocks(Blocks::stored(text.own_bytes()))))];
        }
        // No token makes less than a byte.
        let room = self.count + text.own_bytes().len() + find::BEYOND;
        if self.tokens.len() < room {
            self.tokens.resize(room, Token::default());
        }
        self.count += self.finder.tokens(text, &mut self.tokens[self.count..]);
        [if self.count >= BATCH { self.end() } else { None }, None]
    }

    /// Returns what is left, if anything.
    pub(super) fn end(&mut self) -> Option<Batch> {
        let count = std::mem::take(&mut self.count);
        (count > 0).then(|| {
            let tokens = std::mem::replace(&mut self.tokens, self.used.take());
            Batch(Content::Tokens { tokens, count, used: self.used.clone() })
        })
    }
}

impl Batch {
    /// Makes blocks, none of which is the last of a stream.
    pub(super) fn blocks(self) -> Blocks {
        match self.0 {
            Content::Blocks(blocks) => blocks,
            Content::Tokens { tokens, count, used } => {
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
