//! Tells bytes that no code makes shorter, such as those of pictures and archives.

use super::entropy::{Entropy, ONE};
use super::find::Text;
use crate::layer::codec::deflate::SHORTEST_MATCH;

/// Fewer bytes are not worth a stored block.
const LEAST: usize = 8 << 10;
/// At least so many bytes are looked at.
const SAMPLE: usize = 4 << 10;
/// One byte in so many may be in a match.
const MATCHED: usize = 10;
/// What a byte of a sample takes at least, in hundredths of a bit. A sample of bytes that are drawn by lot takes less than eight bits for each, for some occur more
/// often by chance.
const BITS: u64 = 794;

/// Returns whether the old blob has hardly any matches in a text, and each byte occurs about as often as others.
pub(super) fn is_noise(text: Text<'_>) -> bool {
    let bytes = text.own_bytes();
    if bytes.len() < LEAST || text.matches.len() > bytes.len() / MATCHED / SHORTEST_MATCH {
        return false;
    }
    let matched: usize = text.matches.iter().map(|found| usize::from(found.length)).sum();
    if matched > bytes.len() / MATCHED {
        return false;
    }
    // An odd step, for words of several bytes have the same ones in even steps.
    let sample = bytes.iter().step_by((bytes.len() / SAMPLE - 1) | 1);
    let (mut counts, count) = ([0_u32; 256], sample.len() as u64);
    sample.for_each(|&byte| counts[usize::from(byte)] += 1);
    Entropy::of(counts.into_iter()).bits * 100 >= count * ONE * BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::codec::fresh::tests::noise;
    use crate::layer::codec::inflate::Match;

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
            // A byte in eight is known beforehand, as in tables of numbers.
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
