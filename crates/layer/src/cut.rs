//! The changes to one layer: which byte ranges to keep, and what to insert between them.

use std::ops::Range;

use serde::Serialize;

use super::header::HeaderEdit;

/// A piece of a rewritten layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Piece {
    /// Bytes of the old layer, unchanged.
    Keep(Range<u64>),
    /// The headers in this range of the old layer, edited.
    Edit(Range<u64>, Box<HeaderEdit>),
    /// New bytes.
    Insert(Vec<u8>),
}

/// The new content of one layer, as pieces in the order of the old layer. Offsets are into the decompressed layer.
///
/// Pieces are only appended, and the ranges must ascend, so one streaming pass can apply the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutList {
    pieces: Vec<Piece>,
    position: u64,
}

impl CutList {
    /// Keeps a range.
    ///
    /// # Panics
    /// If it starts before the end of an earlier piece: the caller must visit entries in order.
    pub fn keep(&mut self, range: Range<u64>) {
        self.advance(&range);
        match self.pieces.last_mut() {
            Some(Piece::Keep(last)) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.pieces.push(Piece::Keep(range)),
        }
    }

    /// Keeps the headers in a range and edits them.
    ///
    /// # Panics
    /// Like [`CutList::keep`].
    pub fn edit(&mut self, headers: Range<u64>, edit: HeaderEdit) {
        self.advance(&headers);
        self.pieces.push(Piece::Edit(headers, edit.into()));
    }

    /// Inserts bytes.
    pub fn insert(&mut self, bytes: Vec<u8>) {
        self.pieces.push(Piece::Insert(bytes));
    }

    /// Returns the pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Returns how many bytes of the old layer are kept unchanged.
    pub fn kept(&self) -> u64 {
        let kept = |piece: &Piece| match piece {
            Piece::Keep(range) => range.end - range.start,
            Piece::Edit(..) | Piece::Insert(_) => 0,
        };
        self.pieces.iter().map(kept).sum()
    }

    /// Returns whether the layer has no content left.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn advance(&mut self, range: &Range<u64>) {
        assert!(
            range.start >= self.position && range.end >= range.start,
            "a cut list's ranges ascend: {range:?} after {}",
            self.position
        );
        self.position = range.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ranges_become_one() {
        let mut cut = CutList::default();
        cut.keep(0..512);
        cut.keep(512..1024);
        cut.keep(2048..2560);
        assert_eq!(cut.pieces(), [Piece::Keep(0..1024), Piece::Keep(2048..2560)]);
    }

    #[test]
    #[should_panic(expected = "ascend")]
    fn ranges_cannot_go_back() {
        let mut cut = CutList::default();
        cut.keep(512..1024);
        cut.keep(0..512);
    }
}
