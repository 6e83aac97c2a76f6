//! Decides where blocks end: where other codes fit the following tokens better.

use super::entropy::{Entropy, ONE};
use super::token::{self, NEAR, Token};
use crate::codec::deflate::{DISTANCES, END, LITERALS};

/// Number of tokens in a unit. Blocks begin and end at units.
pub(super) const UNIT: usize = 1024;
/// Cost of a block besides its tokens, in units of 1/[`ONE`] bit.
const HEADER: u64 = 80 * ONE;
/// Cost of each symbol in a block header, in the same unit.
const SYMBOL: u64 = 4 * ONE;

/// Counts of symbols.
pub(super) struct Counts {
    pub(super) near: [u32; LITERALS],
    pub(super) far: [u32; DISTANCES],
}

impl Counts {
    fn of(tokens: &[Token]) -> Self {
        // Tokens alternate between two counters: the same symbol often occurs twice in a row, and an update must not
        // wait for the one before.
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

    /// Returns the approximate cost of a block with these counts, without extra bits, which are the same in every
    /// block. Uses integers only: the output must be the same on every machine.
    fn cost(&self) -> u64 {
        cost(self.near.iter().copied()) + cost(self.far.iter().copied()) + HEADER
    }

    /// Returns the cost of a block with the counts of both.
    fn cost_with(&self, other: &Self) -> u64 {
        let sums = |counts: &[u32], more: &[u32]| cost(counts.iter().zip(more).map(|(count, more)| count + more));
        sums(&self.near, &other.near) + sums(&self.far, &other.far) + HEADER
    }
}

/// Returns the cost of codewords with the best lengths, and of their lengths in the header.
fn cost(counts: impl Iterator<Item = u32>) -> u64 {
    let Entropy { bits, symbols } = Entropy::of(counts);
    bits + symbols * SYMBOL
}

/// A run of tokens that will be one block.
pub(super) struct Part {
    /// Number of tokens.
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

    /// Adds the next part, which saves `gain`.
    fn add(&mut self, next: &Self, gain: i64) {
        self.cost = (self.cost + next.cost).saturating_add_signed(-gain);
        self.counts.add(&next.counts);
        self.tokens += next.tokens;
    }

    /// Returns how much is saved by joining this part with the next.
    fn gain(&self, next: &Self) -> i64 {
        (self.cost + next.cost) as i64 - self.counts.cost_with(&next.counts) as i64
    }
}

/// Splits tokens into parts. Each unit joins the part before it unless that costs more.
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
