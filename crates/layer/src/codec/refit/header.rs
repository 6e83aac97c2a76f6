//! The header of a block with dynamic codes: the lengths of its codewords (RFC 1951, 3.2.7).

use super::bits::Bits;
use super::code::{self, Codes};
use crate::codec::deflate::{END, ORDER};

/// Length of the longest codeword of the code length code, in bits.
const LONGEST_OF_LENGTHS: u8 = 7;

/// The header of a block with dynamic codes.
pub(super) struct Header {
    literals: usize,
    distances: usize,
    /// The lengths of all codewords, as symbols of the code length code with their extra bits.
    runs: Vec<(u8, u8)>,
    own: [u8; 19],
    own_count: usize,
}

/// Returns the number of extra bits of a symbol of the code length code.
fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

impl Header {
    pub(super) fn of(codes: &Codes) -> Self {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|&length| length > 0).map_or(least, |last| (last + 1).max(least))
        };
        let (literals, distances) = (used(&codes.near, END + 1), used(&codes.far, 1));
        let all = [&codes.near[..literals], &codes.far[..distances]].concat();
        let runs = runs(&all);
        let mut counts = [0; 19];
        for &(symbol, _) in &runs {
            counts[usize::from(symbol)] += 1;
        }
        let mut own = [0; 19];
        code::lengths(&counts, LONGEST_OF_LENGTHS, &mut own);
        let own_count = ORDER.iter().rposition(|&symbol| own[symbol] > 0).map_or(4, |last| (last + 1).max(4));
        Self { literals, distances, runs, own, own_count }
    }

    pub(super) fn write(&self, block: &mut Bits) {
        // Not the last block, with dynamic codes.
        block.put(0b100, 3);
        block.put((self.literals - 257) as u64, 5);
        block.put((self.distances - 1) as u64, 5);
        block.put((self.own_count - 4) as u64, 4);
        for &symbol in &ORDER[..self.own_count] {
            block.put(u64::from(self.own[symbol]), 3);
        }
        let mut words = [0; 19];
        code::codewords(&self.own, &mut words);
        for &(symbol, extra) in &self.runs {
            let bits = u32::from(self.own[usize::from(symbol)]);
            block.put(u64::from(words[usize::from(symbol)]) | u64::from(extra) << bits, bits + extra_bits(symbol));
        }
    }
}

/// Encodes lengths as runs: symbols of the code length code with their extra bits.
fn runs(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut runs = Vec::new();
    for run in lengths.chunk_by(|one, next| one == next) {
        let (length, mut left) = (run[0], run.len());
        if length == 0 {
            while left >= 11 {
                let count = left.min(138);
                runs.push((18, (count - 11) as u8));
                left -= count;
            }
            if left >= 3 {
                runs.push((17, (left - 3) as u8));
                left = 0;
            }
        } else {
            runs.push((length, 0));
            left -= 1;
            while left >= 3 {
                let count = left.min(6);
                runs.push((16, (count - 3) as u8));
                left -= count;
            }
        }
        runs.extend(std::iter::repeat_n((length, 0), left));
    }
    runs
}
