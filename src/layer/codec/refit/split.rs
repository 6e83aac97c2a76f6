//! Decides where blocks end: where what follows is better told by other codes.

use super::entropy::{Entropy, ONE};
use super::token::{self, NEAR, Token};
use crate::layer::codec::deflate::{DISTANCES, END, LITERALS};

/// Tokens of a unit: blocks begin and end with units.
pub(super) const UNIT: usize = 1024;
/// What a block takes beside its tokens, in [`ONE`]ths of a bit.
const HEADER: u64 = 80 * ONE;
/// What each symbol takes in a block's header, likewise.
const SYMBOL: u64 = 4 * ONE;

/// How often symbols occur.
pub(super) struct Counts {
    pub(super) near: [u32; LITERALS],
    pub(super) far: [u32; DISTANCES],
}

impl Counts {
    fn of(tokens: &[Token]) -> Self {
        // Tokens are counted by turns: the same symbol often comes twice, and its count must not wait for itself.
        let (mut near, mut far) = ([[0_u32; NEAR]; 2], [[0_u32; 32]; 2]);
        let mut count = |token: Token, turn: usize| {
            near[turn][token.near()] += 1;
            far[turn][token.far().0] += 1;
        };
        let (pairs, rest) = tokens.as_chunks::<2>();
        for &[one, other] in pairs {
            count(one, 0);
            count(other, 1);
        }
        rest.iter().for_each(|&token| count(token, 0));
        let [mut both, other] = near;
        both.iter_mut().zip(&other).for_each(|(count, more)| *count += more);
        let (literals, lengths) = both.split_at(token::LENGTHS);
        let near = std::array::from_fn(|symbol| match symbol {
            ..END => literals[symbol],
            END => 0,
            _ => lengths[token::lengths(symbol)].iter().sum(),
        });
        Self { near, far: std::array::from_fn(|symbol| far[0][symbol] + far[1][symbol]) }
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.near.iter_mut().zip(&other.near) {
            *count += more;
        }
        for (count, more) in self.far.iter_mut().zip(&other.far) {
            *count += more;
        }
    }

    /// About what a block of these takes, without the bits behind codewords, which are the same in any block. Whole numbers: the output must be the
    /// same on any machine.
    fn cost(&self) -> u64 {
        cost(self.near.iter().copied()) + cost(self.far.iter().copied()) + HEADER
    }

    /// The same, of a block of these and others.
    fn cost_with(&self, other: &Self) -> u64 {
        let sums = |counts: &[u32], more: &[u32]| cost(counts.iter().zip(more).map(|(count, more)| count + more));
        sums(&self.near, &other.near) + sums(&self.far, &other.far) + HEADER
    }
}

/// What codewords of the best lengths take, and their lengths in the header.
fn cost(counts: impl Iterator<Item = u32>) -> u64 {
    let Entropy { bits, symbols } = Entropy::of(counts);
    bits + symbols * SYMBOL
}

/// A part of the tokens that will be one block.
pub(super) struct Part {
    /// How many tokens.
    pub(super) tokens: usize,
    pub(super) counts: Counts,
    cost: u64,
}

impl Part {
    fn of(tokens: &[Token]) -> Self {
        let counts = Counts::of(tokens);
        let cost = counts.cost();
        Self { tokens: tokens.len(), counts, cost }
    }

    /// Adds the next, which gains so much.
    fn add(&mut self, next: &Self, gain: i64) {
        self.cost = (self.cost + next.cost).saturating_add_signed(-gain);
        self.counts.add(&next.counts);
        self.tokens += next.tokens;
    }

    /// What is gained if this and the next are one.
    fn gain(&self, next: &Self) -> i64 {
        (self.cost + next.cost) as i64 - self.counts.cost_with(&next.counts) as i64
    }
}

/// Splits tokens into parts: each unit becomes one with what stands before it, unless that loses by it.
pub(super) fn split(tokens: &[Token]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for unit in tokens.chunks(UNIT).map(Part::of) {
        match parts.last_mut().map(|last| (last.gain(&unit), last)) {
            Some((gain, last)) if gain >= 0 => last.add(&unit, gain),
            _ => parts.push(unit),
        }
    }
    parts
}
