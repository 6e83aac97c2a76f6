//! Writes blocks with the best codes for their tokens (RFC 1951, 3.2.7).

use super::bits::Bits;
use super::code::Codes;
use super::header::Header;
use super::split::Counts;
use super::token::Token;
use super::words;
use crate::codec::deflate::{self, END};

/// Adds a block that is not the last one of its stream.
pub(super) fn write(tokens: &[Token], counts: &Counts, block: &mut Bits) {
    let codes = Codes::of(counts);
    Header::of(&codes).write(block);
    let (near, end) = words::near_words(&codes.near);
    let far = words::far_words(&codes.far);
    let near_bits = bits(&codes.near, &counts.near, |symbol| if symbol > END { deflate::length(symbol).1 } else { 0 });
    let far_bits = bits(&codes.far, &counts.far, |symbol| deflate::distance(symbol).1);
    block.put_tokens(tokens, near_bits + far_bits, &near, &far);
    block.put(end.bits(), end.count());
}

/// Returns how many bits the symbols take, extra bits included.
fn bits(lengths: &[u8], counts: &[u32], extra_bits: impl Fn(usize) -> u32) -> usize {
    let symbols = lengths.iter().zip(counts).enumerate();
    symbols.map(|(symbol, (&length, &count))| count as usize * (u32::from(length) + extra_bits(symbol)) as usize).sum()
}
