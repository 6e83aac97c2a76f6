//! Detects incompressible bytes, such as those of pictures and archives.

use super::entropy::{Entropy, ONE};
use super::find::Text;
use crate::codec::deflate::SHORTEST_MATCH;

/// Fewer bytes are not worth a stored block.
const LEAST: usize = 8 << 10;
/// The least number of bytes that are sampled.
const SAMPLE: usize = 4 << 10;
/// At most one byte in this many may be part of a match.
const MATCHED: usize = 10;
/// The least entropy of a byte in a sample of noise, in hundredths of a bit. It is less than eight bits even for random
/// bytes, because some values occur more often by chance.
const BITS: u64 = 794;

/// Returns whether the old blob has almost no matches in a text and all byte values occur about equally often.
pub(super) fn is_noise(text: Text<'_>) -> bool {
    let bytes = text.own_bytes();
    if bytes.len() < LEAST || text.matches.len() > bytes.len() / MATCHED / SHORTEST_MATCH {
        return false;
    }
    let matched: usize = text.matches.iter().map(|found| usize::from(found.length)).sum();
    if matched > bytes.len() / MATCHED {
        return false;
    }
    // The step is odd, because words of several bytes have the same bytes at even steps.
    let sample = bytes.iter().step_by((bytes.len() / SAMPLE - 1) | 1);
    let (mut counts, count) = ([0_u32; 256], sample.len() as u64);
    sample.for_each(|&byte| counts[usize::from(byte)] += 1);
    Entropy::of(counts.into_iter()).bits * 100 >= count * ONE * BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::fresh::tests::noise;
    use crate::codec::inflate::Match;

    fn is_noise(bytes: &[u8], matches: &[Match]) -> bool {
        super::is_noise(Text { bytes, start: 0, matches, costs: &[8; 256] })
    }

    #[test]
    fn noise_is_what_neither_matches_nor_codes_make_shorter() {
        for count in [LEAST, 50_001, 65_535, 128 << 10] {
            let bytes = noise(count);
            assert!(is_noise(&bytes, &[]));
            let letters = bytes.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>();
            assert!(!is_noise(&letters, &[]));
            // One byte in eight is predictable, as in tables of numbers.
            let numbers = bytes.iter().enumerate().map(|(at, byte)| if at % 8 == 7 { 0 } else { *byte });
            assert!(!is_noise(&numbers.collect::<Vec<_>>(), &[]));
            let found = |at: usize| Match { at: at as u32, length: 258, distance: 1 };
            assert!(is_noise(&bytes, &[found(0)]));
            let matches = (0..count / 258 / 5).map(|number| found(number * 5 * 258)).collect::<Vec<_>>();
            assert!(!is_noise(&bytes, &matches));
        }
        assert!(!is_noise(&noise(LEAST - 1), &[]));
    }
}
