//! Finds matches among the literals of an old blob, mostly short ones that its encoder did not search for.

use super::token::Token;
use crate::codec::deflate::{LONGEST_MATCH, SHORTEST_MATCH};
use crate::codec::inflate::{Match, WINDOW};

/// Size of a hash of three bytes, in bits.
const HASH_BITS: u32 = 13;
/// Bytes that are compared at once. Nothing is searched where fewer are left.
const AHEAD: usize = 8;
/// Cost of a match beyond the bits of its distance, in bits. Less than the real cost, because a match also makes later
/// matches cheaper by an unknown amount.
const MATCH: u32 = 6;
/// How many of a match's last positions are remembered. Positions after it are not remembered: they would hide earlier
/// ones from a search there.
const LAST: usize = 2;
/// Tokens that are written after the last one for speed.
pub(super) const BEYOND: usize = 2;
/// This many literals always cost more than a match.
const MANY: usize = 6;

/// Bytes of an old blob, and how the blob encodes them.
#[derive(Clone, Copy)]
pub(in super::super) struct Text<'a> {
    /// The bytes, preceded by those that they can refer to.
    pub(in super::super) bytes: &'a [u8],
    /// Where the bytes themselves start.
    pub(in super::super) start: usize,
    /// The matches in order. Their positions count from `start`.
    pub(in super::super) matches: &'a [Match],
    /// The number of bits that each literal takes.
    pub(in super::super) costs: &'a [u8; 256],
}

impl<'a> Text<'a> {
    /// Returns the bytes themselves.
    pub(super) fn own_bytes(self) -> &'a [u8] {
        &self.bytes[self.start..]
    }
}

/// The last position of each three bytes, by hash.
pub(super) struct Finder {
    /// The lowest bits of each position. A comparison of the bytes rules out wrong positions.
    places: Box<[u16; 1 << HASH_BITS]>,
    /// The next position.
    next: u64,
}

impl Finder {
    pub(super) fn new() -> Self {
        Self { places: Box::new([0; 1 << HASH_BITS]), next: 0 }
    }

    /// Skips the positions of a text without remembering them.
    pub(super) fn pass(&mut self, text: Text<'_>) {
        self.next += text.own_bytes().len() as u64;
    }

    /// Encodes a text as tokens and returns their number. `tokens` has room for [`BEYOND`] more tokens than the text
    /// has bytes.
    pub(super) fn tokens(&mut self, text: Text<'_>, tokens: &mut [Token]) -> usize {
        let Text { bytes, start, matches, costs } = text;
        let first = (self.next as u16).wrapping_sub(start as u16);
        self.pass(text);
        let mut search =
            Search { places: &mut self.places, bytes, first, last: bytes.len().saturating_sub(AHEAD), costs };
        let mut made = Made { tokens, count: 0 };
        let mut at = start;
        for &Match { at: place, length, distance } in matches {
            let (place, length) = (start + place as usize, usize::from(length));
            at = search.fill(at, place, &mut made);
            made.push(Token::of_match(length, distance.into()));
            // Only the first positions are remembered, not all that the match covers (see docs/design/deflate.md).
            search.remember::<SHORTEST_MATCH>(at);
            at = place + length;
            search.remember::<LAST>(at - LAST);
        }
        search.fill(at, bytes.len(), &mut made);
        made.count
    }
}

/// Tokens, in a slice that is large enough.
struct Made<'a> {
    tokens: &'a mut [Token],
    count: usize,
}

impl Made<'_> {
    #[inline(always)]
    fn push(&mut self, token: Token) {
        self.tokens[self.count] = token;
        self.count += 1;
    }

    /// Adds the first `count` of some tokens.
    #[inline(always)]
    fn push_some<const MOST: usize>(&mut self, tokens: [Token; MOST], count: usize) {
        if let Some(room) = self.tokens[self.count..].first_chunk_mut() {
            *room = tokens;
        }
        self.count += count;
    }
}

/// A search in one text.
struct Search<'a> {
    places: &'a mut [u16; 1 << HASH_BITS],
    bytes: &'a [u8],
    /// The position of the first byte.
    first: u16,
    /// Nothing is searched after this byte.
    last: usize,
    costs: &'a [u8; 256],
}

impl Search<'_> {
    /// Returns eight bytes.
    #[inline(always)]
    fn ahead(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at..at + AHEAD).and_then(|bytes| bytes.first_chunk());
        u64::from_le_bytes(bytes.copied().unwrap_or_default())
    }

    /// Remembers positions.
    #[inline(always)]
    fn remember<const COUNT: usize>(&mut self, at: usize) {
        if at < self.last {
            let ahead = self.ahead(at);
            for step in 0..COUNT {
                self.places[hash(ahead >> (8 * step))] = self.first.wrapping_add((at + step) as u16);
            }
        }
    }

    /// Encodes the bytes from `at` to `end`, which are literals in the old blob. Returns the end of the remembered
    /// positions.
    #[inline(always)]
    fn fill(&mut self, mut at: usize, end: usize, made: &mut Made<'_>) -> usize {
        // The last two bytes cannot start a match.
        let last = end.saturating_sub(SHORTEST_MATCH - 1).min(self.last);
        while at < last {
            let ahead = self.ahead(at);
            let place = &mut self.places[hash(ahead)];
            let number = self.first.wrapping_add(at as u16);
            let distance = usize::from(number.wrapping_sub(*place));
            *place = number;
            // Read at any distance: whether the distance is valid is as hard to predict as whether the bytes are equal.
            let different = ahead ^ self.ahead(at.saturating_sub(distance));
            let is_found = (distance.wrapping_sub(1) < WINDOW.min(at)) & (different << 40 == 0);
            if is_found && let Some(length) = self.gain(at, end, distance, different) {
                made.push(Token::of_match(length, distance));
                self.remember::<SHORTEST_MATCH>(at);
                at += length;
            } else {
                made.push(Token::literal(ahead as u8));
                at += 1;
            }
        }
        if at < self.last {
            // At most two bytes are left.
            let ahead = self.ahead(at);
            made.push_some([Token::literal(ahead as u8), Token::literal((ahead >> 8) as u8)], end - at);
        } else {
            self.bytes[at..end].iter().for_each(|&byte| made.push(Token::literal(byte)));
        }
        at
    }

    /// Returns the length of a match of at least three bytes that ends at or before `end`, if it costs less than its
    /// literals. `different` has bits set where the next eight bytes differ.
    #[inline(always)]
    fn gain(&self, at: usize, end: usize, distance: usize, different: u64) -> Option<usize> {
        let mut length = (different.trailing_zeros() / 8) as usize;
        if length == AHEAD {
            length = self.common(at, end, distance);
        }
        let length = length.min(end - at);
        if length >= MANY {
            return Some(length);
        }
        let ahead = self.ahead(at);
        let cost = |step: usize| u32::from(self.costs[(ahead >> (8 * step) & 0xff) as usize]);
        let mut literals = cost(0) + cost(1) + cost(2);
        literals += if length > 3 { cost(3) } else { 0 };
        literals += if length > 4 { cost(4) } else { 0 };
        (length >= SHORTEST_MATCH && literals > MATCH + 1 + distance.ilog2()).then_some(length)
    }

    /// Returns how many bytes are equal.
    #[inline(never)]
    fn common(&self, at: usize, end: usize, distance: usize) -> usize {
        let here = &self.bytes[at..end.min(at + LONGEST_MATCH)];
        let there = &self.bytes[at - distance..];
        here.iter().zip(there).take_while(|(one, other)| one == other).count()
    }
}

/// Hashes the first three bytes.
#[inline(always)]
fn hash(bytes: u64) -> usize {
    ((bytes as u32) << 8).wrapping_mul(0x9e37_79b1) as usize >> (32 - HASH_BITS)
}
