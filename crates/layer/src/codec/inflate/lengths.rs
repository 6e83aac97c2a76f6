//! Reads the header of a block with dynamic codes: the lengths of its codewords (RFC 1951, 3.2.7).

use super::InflateError;
use super::codes::{LengthTable, Tables};
use super::reader::BitReader;
use crate::codec::deflate::{DISTANCES, END, LITERALS, LONGEST_CODEWORD, ORDER};

/// Reads a block's codes into `tables`.
pub(super) fn read(bits: &mut BitReader<'_>, tables: &mut Tables) -> Result<(), InflateError> {
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let count = bits.take(4)? + 4;
    if literals > LITERALS || distances > DISTANCES {
        return Err(InflateError::Corrupt);
    }
    let mut own = [0; ORDER.len()];
    for &symbol in &ORDER[..count] {
        own[symbol] = bits.take(3)? as u8;
    }
    let mut lengths = [0; LITERALS + DISTANCES];
    let lengths = &mut lengths[..literals + distances];
    fill(lengths, &LengthTable::new(&own)?, bits)?;
    if lengths[END] == 0 {
        return Err(InflateError::Corrupt);
    }
    tables.build(&lengths[..literals], &lengths[literals..])
}

/// Reads run-length coded lengths until `lengths` is full.
fn fill(lengths: &mut [u8], table: &LengthTable, bits: &mut BitReader<'_>) -> Result<(), InflateError> {
    let mut filled = 0;
    while filled < lengths.len() {
        let (symbol, size) = table.symbol(bits.peek());
        bits.skip(size)?;
        let (length, times) = match symbol {
            0..=LONGEST_CODEWORD => (symbol as u8, 1),
            16 => {
                let before = filled.checked_sub(1).ok_or(InflateError::Corrupt)?;
                (lengths[before], 3 + bits.take(2)?)
            }
            17 => (0, 3 + bits.take(3)?),
            _ => (0, 11 + bits.take(7)?),
        };
        lengths.get_mut(filled..filled + times).ok_or(InflateError::Corrupt)?.fill(length);
        filled += times;
    }
    Ok(())
}
