//! Finds matches where an old blob has literals: short ones, which its maker did not look for, most of all.

use super::token::Token;
use crate::layer::codec::deflate::{LONGEST_MATCH, SHORTEST_MATCH};
use crate::layer::codec::inflate::{Match, WINDOW};

/// Bits of a hash of three bytes.
const HASH_BITS: u32 = 13;
/// Bytes that are compared at once. Where fewer are left, nothing is looked for.
const AHEAD: usize = 8;
/// What a match costs beyond the bits of its distance, in bits. Less than it does: that it makes later ones cheaper is not known beforehand.
const MATCH: u32 = 6;
/// So many of a match's last places are remembered. Places beyond it are not yet: they would hide earlier ones from a search there.
const LAST: usize = 2;
/// Tokens that are written behind the last one for speed.
pub(super) const BEYOND: usize = 2;
/// So many literals always cost more than a match.
const MANY: usize = 6;

/// Bytes of an old blob, and how it tells them.
#[derive(Clone, Copy)]
pub(in super::super) struct Text<'a> {
    /// The bytes, and before them those that they can refer to.
    pub(in super::super) bytes: &'a [u8],
    /// Where the bytes themselves begin.
    pub(in super::super) start: usize,
    /// Matches, counted from there, in order.
    pub(in super::super) matches: &'a [Match],
    /// How many bits each literal takes.
    pub(in super::super) costs: &'a [u8; 256],
}

impl<'a> Text<'a> {
    /// The bytes themselves.
    pub(super) fn own_bytes(self) -> &'a [u8] {
        &self.bytes[self.start..]
    }
}

/// Where three bytes stood last, by their hash.
pub(super) struct Finder {
    /// The lowest bits of a place's number. What else they could mean is told by the bytes.
    places: Box<[u16; 1 << HASH_BITS]>,
    /// The number of the next place.
    next: u64,
}

impl Finder {
    pub(super) fn new() -> Self {
        Self { places: Box::new([0; 1 << HASH_BITS]), next: 0 }
    }

    /// Counts the places of a text, without remembering any.
    pub(super) fn pass(&mut self, text: Text<'_>) {
        self.next += text.own_bytes().len() as u64;
    }

    /// Makes tokens of a text and returns how many; there is room for [`BEYOND`] more than it has bytes.
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
            // Its first places; not all that it covers (docs/performance.md has the figures).
            search.remember::<SHORTEST_MATCH>(at);
            at = place + length;
            search.remember::<LAST>(at - LAST);
        }
        search.fill(at, bytes.len(), &mut made);
        made.count
    }
}

/// Tokens that were made, in a room that is large enough.
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

    /// Adds the first ones of some tokens.
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
    /// The number of the first byte.
    first: u16,
    /// Behind this byte nothing is looked for.
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

    /// Remembers places.
    #[inline(always)]
    fn remember<const COUNT: usize>(&mut self, at: usize) {
        if at < self.last {
            let ahead = self.ahead(at);
            for step in 0..COUNT {
                self.places[hash(ahead >> (8 * step))] = self.first.wrapping_add((at + step) as u16);
            }
        }
    }

    /// Makes tokens of the bytes from `at` to `end`, which the old blob has as literals. Returns up to where places are remembered.
    #[inline(always)]
    fn fill(&mut self, mut at: usize, end: usize, made: &mut Made<'_>) -> usize {
        // The last two make no match.
        let last = end.saturating_sub(SHORTEST_MATCH - 1).min(self.last);
        while at < last {
            let ahead = self.ahead(at);
            let place = &mut self.places[hash(ahead)];
            let number = self.first.wrapping_add(at as u16);
            let distance = usize::from(number.wrapping_sub(*place));
            *place = number;
            // Looked at wherever it may lie: whether it lies well is as hard to foretell as whether it is the same.
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
            // At most two are left.
            let ahead = self.ahead(at);
            made.push_some([Token::literal(ahead as u8), Token::literal((ahead >> 8) as u8)], end - at);
        } else {
            self.bytes[at..end].iter().for_each(|&byte| made.push(Token::literal(byte)));
        }
        at
    }

    /// Returns how long a match is that ends at `end` at the latest, of at least three bytes, if it costs less than its literals. `different`
    /// has bits where the next eight bytes are different.
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

    /// Returns how many bytes are the same.
    #[inline(never)]
    fn common(&self, at: usize, end: usize, distance: usize) -> usize {
        let here = &self.bytes[at..end.min(at + LONGEST_MATCH)];
        let there = &self.bytes[at - distance..];
        here.iter().zip(there).take_while(|(one, other)| one == other).count()
    }
}

/// Hashes the first three of some bytes.
#[inline(always)]
fn hash(bytes: u64) -> usize {
    ((bytes as u32) << 8).wrapping_mul(0x9e37_79b1) as usize >> (32 - HASH_BITS)
}
