//! Decides where blocks end: where what follows is better told by other codes.

use super::token::{self, NEAR, Token};
use crate::layer::codec::deflate::{DISTANCES, END, LITERALS};

/// Tokens of a unit: blocks begin and end with units.
pub(super) const UNIT: usize = 1024;
/// What a block takes beside its tokens, in the unit of [`times_log`].
const HEADER: u64 = 80 * ONE;
/// What each symbol takes in a block's header, likewise.
const SYMBOL: u64 = 4 * ONE;
/// One bit.
const ONE: u64 = 64;

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
        entropy(self.near.iter().copied()) + entropy(self.far.iter().copied()) + HEADER
    }

    /// The same, of a block of these and others.
    fn cost_with(&self, other: &Self) -> u64 {
        let sums = |counts: &[u32], more: &[u32]| entropy(counts.iter().zip(more).map(|(count, more)| count + more));
        sums(&self.near, &other.near) + sums(&self.far, &other.far) + HEADER
    }
}

/// What codewords of the best lengths take, and their lengths in the header.
fn entropy(counts: impl Iterator<Item = u32>) -> u64 {
    let (mut sum, mut all, mut used) = (0, 0, 0);
    for count in counts {
        sum += times_log(count);
        all += count;
        used += u64::from(count > 0);
    }
    times_log(all) - sum + used * SYMBOL
}

/// Counts whose logarithms are looked up.
const KNOWN: usize = 4096;

/// `n * log2(n)` in 64ths.
const TIMES_LOG: [u32; KNOWN] = {
    let mut table = [0; KNOWN];
    let mut n = 2;
    while n < KNOWN {
        table[n] = ((n as u64 * log(n as u64)) >> 10) as u32;
        n += 1;
    }
    table
};

/// `log2(n)`, of 16 bits behind the point: by squaring, each of which gives one bit.
const fn log(n: u64) -> u64 {
    let whole = n.ilog2();
    let (mut x, mut result, mut bit) = (n << (31 - whole), (whole as u64) << 16, 15);
    loop {
        x = (x * x) >> 31;
        if x >= 1 << 32 {
            x >>= 1;
            result |= 1 << bit;
        }
        if bit == 0 {
            return result;
        }
        bit -= 1;
    }
}

fn times_log(n: u32) -> u64 {
    match TIMES_LOG.get(n as usize) {
        Some(&known) => u64::from(known),
        None => {
            let shift = n.ilog2() - 11;
            let near = n >> shift;
            // n log n = n (log near + shift), if n is near * 2^shift.
            u64::from(n) * u64::from(TIMES_LOG[near as usize]) / u64::from(near) + u64::from(n) * u64::from(shift) * ONE
        }
    }
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
