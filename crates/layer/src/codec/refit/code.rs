//! Prefix codes of deflate blocks (RFC 1951, 3.2.2): the best lengths for given frequencies, and the codewords for
//! given lengths.

use super::split::Counts;
use crate::codec::deflate::{DISTANCES, END, LITERALS, LONGEST_CODEWORD};

/// The codes of a block: lengths of codewords.
pub(super) struct Codes {
    pub(super) near: [u8; LITERALS],
    pub(super) far: [u8; DISTANCES],
}

impl Codes {
    /// Returns the best codes for these counts.
    pub(super) fn of(counts: &Counts) -> Self {
        let mut codes = Self { near: [0; LITERALS], far: [0; DISTANCES] };
        let mut near = counts.near;
        near[END] = 1;
        lengths(&near, LONGEST_CODEWORD as u8, &mut codes.near);
        lengths(&counts.far, LONGEST_CODEWORD as u8, &mut codes.far);
        codes
    }
}

/// Computes the length of each symbol's codeword, at most `longest` bits. A symbol that does not occur gets 0. At least
/// two symbols get a codeword, because some decoders reject an incomplete code with one codeword. At most [`LITERALS`]
/// symbols are supported.
pub(super) fn lengths(frequencies: &[u32], longest: u8, lengths: &mut [u8]) {
    lengths.fill(0);
    // Sorted by frequency, then by symbol.
    let (mut leaves, mut count) = ([0_u64; LITERALS + 1], 0);
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        leaves[count] = u64::from(frequency) << 16 | symbol as u64;
        count += usize::from(frequency > 0);
    }
    let leaves = &mut leaves[..count];
    if let [] | [_] = leaves {
        let used = leaves.first().map_or(0, |leaf| usize::from(*leaf as u16));
        lengths[used] = 1;
        lengths[usize::from(used == 0)] = 1;
        return;
    }
    leaves.sort_unstable();
    let mut depths = depths(leaves);
    let depths = &mut depths[..count];
    limit(depths, longest);
    for (&leaf, &depth) in leaves.iter().zip(&*depths) {
        lengths[usize::from(leaf as u16)] = depth;
    }
}

/// Returns the depth of each leaf in the Huffman tree. The leaves come with the rarest first, so the depths come with
/// the deepest first.
fn depths(leaves: &[u64]) -> [u8; LITERALS] {
    let count = leaves.len();
    // Inner nodes are created in the order of their weights, so two queues suffice: one of leaves and one of inner
    // nodes. Nodes that do not exist yet, or are used up, count as heavier than all others.
    let (mut weights, mut inner_weights) = ([u64::MAX; LITERALS + 1], [u64::MAX; LITERALS]);
    for (weight, leaf) in weights.iter_mut().zip(leaves) {
        *weight = leaf >> 16;
    }
    let (mut parents, mut inner_parents) = ([0_u16; LITERALS + 1], [0_u16; LITERALS]);
    let (mut leaf, mut inner) = (0, 0);
    for made in 0..count - 1 {
        let mut take = || {
            let (one, other) = (weights[leaf], inner_weights[inner]);
            let is_leaf = one <= other;
            // Written for both: the node that is not taken gets another parent later.
            parents[leaf] = made as u16;
            inner_parents[inner] = made as u16;
            leaf += usize::from(is_leaf);
            inner += usize::from(!is_leaf);
            one.min(other)
        };
        let weight = take() + take();
        inner_weights[made] = weight;
    }
    let mut inner_depths = [0_u8; LITERALS];
    for node in (0..count - 2).rev() {
        inner_depths[node] = inner_depths[usize::from(inner_parents[node])].saturating_add(1);
    }
    let mut depths = [0; LITERALS];
    for (depth, &parent) in depths.iter_mut().zip(&parents[..count]) {
        *depth = inner_depths[usize::from(parent)].saturating_add(1);
    }
    depths
}

/// Limits depths to `longest` and makes up for it by deepening others, the deepest first.
fn limit(depths: &mut [u8], longest: u8) {
    // The deepest leaf comes first. A tree uses all code space.
    if depths.first().is_none_or(|&deepest| deepest <= longest) {
        return;
    }
    // In units of the longest codeword. A complete code uses all of `room`.
    let room = 1_u64 << longest;
    let share = |depth: u8| 1_u64 << (longest - depth);
    for depth in depths.iter_mut() {
        *depth = (*depth).min(longest);
    }
    let mut taken: u64 = depths.iter().map(|&depth| share(depth)).sum();
    while taken > room {
        // Sorted from deep to shallow: the first leaf that can be deeper costs least.
        let Some(depth) = depths.iter_mut().find(|depth| **depth < longest) else { break };
        taken -= share(*depth) / 2;
        *depth += 1;
    }
    // The remaining room is given to the most frequent symbols.
    for depth in depths.iter_mut().rev() {
        while *depth > 1 && taken + share(*depth) <= room {
            taken += share(*depth);
            *depth -= 1;
        }
    }
}

/// Computes the codewords for these lengths, first bit lowest.
pub(super) fn codewords(lengths: &[u8], codewords: &mut [u16]) {
    let mut counts = [0_u16; LONGEST_CODEWORD + 1];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    counts[0] = 0;
    let (mut next, mut first) = ([0_u16; LONGEST_CODEWORD + 1], 0_u16);
    for length in 1..=LONGEST_CODEWORD {
        first = first.wrapping_add(counts[length - 1]) << 1;
        next[length] = first;
    }
    for (&length, codeword) in lengths.iter().zip(&mut *codewords) {
        let number = &mut next[usize::from(length)];
        // Symbols without a codeword get an empty one.
        *codeword = (u32::from(*number) << (16 - u32::from(length))) as u16;
        *number = number.wrapping_add(1);
    }
    for codeword in codewords {
        *codeword = codeword.reverse_bits();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_complete_within_their_limit_and_no_worse_than_one_length_for_all(
            frequencies in prop::collection::vec(prop_oneof![Just(0), 1..4_u32, 1..1_000_000_u32], 2..286),
            longest in 9..=LONGEST_CODEWORD as u8,
        ) {
            let mut given = vec![0; frequencies.len()];
            lengths(&frequencies, longest, &mut given);
            let room: u64 = given.iter().filter(|length| **length > 0).map(|&length| 1 << (15 - length)).sum();
            prop_assert_eq!(room, 1 << 15);
            prop_assert!(given.iter().all(|&length| length <= longest));
            let used = frequencies.iter().filter(|count| **count > 0).count().max(2) as u64;
            prop_assert!(frequencies.iter().zip(&given).all(|(&count, &length)| count == 0 || length > 0));
            let bits: u64 = frequencies.iter().zip(&given).map(|(&count, &length)| u64::from(count) * u64::from(length)).sum();
            let plain: u64 = frequencies.iter().map(|&count| u64::from(count)).sum::<u64>() * u64::from(used.next_power_of_two().ilog2());
            prop_assert!(bits <= plain);
        }

        #[test]
        fn no_codeword_begins_with_another(frequencies in prop::collection::vec(0..50_u32, 2..40)) {
            let (mut given, mut words) = (vec![0; frequencies.len()], vec![0; frequencies.len()]);
            lengths(&frequencies, LONGEST_CODEWORD as u8, &mut given);
            codewords(&given, &mut words);
            let used = given.iter().zip(&words).filter(|(length, _)| **length > 0).collect::<Vec<_>>();
            for (at, (length, word)) in used.iter().enumerate() {
                for (other_length, other) in &used[at + 1..] {
                    let common = (1_u32 << (**length).min(**other_length)) - 1;
                    prop_assert!(u32::from(**word ^ **other) & common != 0);
                }
            }
        }
    }
}
