//! Prefix codes of deflate blocks (RFC 1951, 3.2.2): the best lengths for given frequencies, and the codewords of given lengths.

/// Bits of the longest codeword of literals, lengths and distances.
pub(super) const LONGEST: u8 = 15;

/// Gives each symbol the length of its codeword, at most `longest` bits; zero if it does not occur. At least two symbols get one, as some
/// decoders refuse a code of one codeword where more could be.
pub(super) fn lengths(frequencies: &[u32], longest: u8, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut leaves =
        frequencies.iter().enumerate().filter(|(_, count)| **count > 0).map(|(symbol, &count)| (count, symbol as u16));
    let mut leaves = leaves.by_ref().collect::<Vec<_>>();
    if leaves.len() < 2 {
        let used = leaves.first().map_or(0, |(_, symbol)| usize::from(*symbol));
        lengths[used] = 1;
        lengths[usize::from(used == 0)] = 1;
        return;
    }
    leaves.sort_unstable();
    let mut depths = depths(&leaves);
    limit(&mut depths, longest);
    for (&(_, symbol), depth) in leaves.iter().zip(depths) {
        lengths[usize::from(symbol)] = depth;
    }
}

/// How deep each leaf lies in Huffman's tree; leaves come with the rarest first, and so do the depths: the deepest first.
fn depths(leaves: &[(u32, u16)]) -> Vec<u8> {
    let count = leaves.len();
    // Inner nodes are made in the order of their weights, so two queues do: that of leaves, and that of inner nodes.
    let (mut weights, mut parents) = (Vec::with_capacity(count), vec![0; 2 * count - 1]);
    let (mut leaf, mut inner) = (0, 0);
    for made in 0..count - 1 {
        let mut take = || {
            let is_leaf = leaf < count && weights.get(inner).is_none_or(|&weight| u64::from(leaves[leaf].0) <= weight);
            let (node, weight) =
                if is_leaf { (leaf, u64::from(leaves[leaf].0)) } else { (count + inner, weights[inner]) };
            *if is_leaf { &mut leaf } else { &mut inner } += 1;
            parents[node] = count + made;
            weight
        };
        let weight = take() + take();
        weights.push(weight);
    }
    let root = 2 * count - 2;
    let mut depths = vec![0_u8; 2 * count - 1];
    for node in (0..root).rev() {
        depths[node] = depths[parents[node]].saturating_add(1);
    }
    depths.truncate(count);
    depths
}

/// Shortens depths that are too deep and makes up for it with others, the deepest of those first.
fn limit(depths: &mut [u8], longest: u8) {
    // In units of the longest codeword: a complete code takes all the room.
    let room = 1_u64 << longest;
    let share = |depth: u8| 1_u64 << (longest - depth);
    for depth in depths.iter_mut() {
        *depth = (*depth).min(longest);
    }
    let mut taken: u64 = depths.iter().map(|&depth| share(depth)).sum();
    while taken > room {
        // Ordered from deep to shallow: the first that can be deeper costs least.
        let Some(depth) = depths.iter_mut().find(|depth| **depth < longest) else { break };
        taken -= share(*depth) / 2;
        *depth += 1;
    }
    // Room that is left goes to the most frequent that can be shallower.
    for depth in depths.iter_mut().rev() {
        while *depth > 1 && taken + share(*depth) <= room {
            taken += share(*depth);
            *depth -= 1;
        }
    }
}

/// Returns the codewords of such lengths, the first bit lowest.
pub(super) fn codewords(lengths: &[u8], codewords: &mut [u16]) {
    let mut counts = [0_u16; LONGEST as usize + 1];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    counts[0] = 0;
    let (mut next, mut first) = ([0_u16; LONGEST as usize + 1], 0_u16);
    for length in 1..=usize::from(LONGEST) {
        first = first.wrapping_add(counts[length - 1]) << 1;
        next[length] = first;
    }
    for (&length, codeword) in lengths.iter().zip(codewords) {
        if length > 0 {
            let number = &mut next[usize::from(length)];
            *codeword = number.reverse_bits() >> (16 - u32::from(length));
            *number = number.wrapping_add(1);
        }
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
            longest in 9..=LONGEST,
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
            lengths(&frequencies, LONGEST, &mut given);
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
