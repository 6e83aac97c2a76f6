//! ObjectStrings of an ELF object that may be evidence: absolute paths, library names, and in programs, program names.
//!
//! They are collected while the object is streamed. A string ends at the first byte that cannot be part of a path.
//! ObjectStrings of C programs end with NUL.

use super::words::{Use, WordCollector, Words};

/// The first components of paths below which packages own files.
const TOP_FOLDERS: [&[u8]; 8] = [b"usr/", b"etc/", b"lib/", b"lib64/", b"opt/", b"var/", b"bin/", b"sbin/"];
/// The longest string that is joined from two pieces, in bytes.
const MAX_CARRY: usize = 4096;
/// The longest path or name of a library that is collected, in bytes.
const MAX_STRING: usize = 256;
/// The shortest name of a program, in bytes: code is full of shorter strings.
const MIN_PROGRAM: usize = 4;
/// The longest name of a program, in bytes.
const MAX_PROGRAM: usize = 32;

/// Collects the strings of one object.
#[derive(Debug, Default)]
pub(super) struct ObjectStrings {
    words: WordCollector,
    /// The end of the last piece, after its last NUL.
    carry: Vec<u8>,
}

impl ObjectStrings {
    /// Scans the next piece of a program or library.
    pub(super) fn push(&mut self, mut piece: &[u8], is_program: bool) {
        if !self.carry.is_empty() {
            let end = match memchr::memchr(0, piece) {
                None if self.carry.len() + piece.len() <= MAX_CARRY => {
                    self.carry.extend_from_slice(piece);
                    return;
                }
                end => end.unwrap_or(piece.len()),
            };
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(&piece[..end]);
            self.scan(&joined, is_program);
            piece = &piece[end..];
        }
        let end = memchr::memrchr(0, piece).map_or(0, |at| at + 1);
        self.scan(&piece[..end], is_program);
        if piece.len() - end <= MAX_CARRY {
            self.carry.extend_from_slice(&piece[end..]);
        } else {
            self.scan(&piece[end..], is_program);
        }
    }

    pub(super) fn finish(mut self) -> Words {
        let last = std::mem::take(&mut self.carry);
        self.scan(&last, false);
        self.words.finish()
    }

    fn scan(&mut self, bytes: &[u8], is_program: bool) {
        let mut from = 0;
        for slash in memchr::memchr_iter(b'/', bytes) {
            let starts = slash == 0 || !is_path_byte(bytes[slash - 1]);
            if slash >= from && starts && TOP_FOLDERS.iter().any(|top| bytes[slash + 1..].starts_with(top)) {
                from = slash + length(&bytes[slash..]);
                self.add(&bytes[slash..from]);
            }
        }
        for dot in memchr::memmem::find_iter(bytes, b".so") {
            let low = dot.saturating_sub(MAX_STRING);
            let start = bytes[low..dot].iter().rposition(|&byte| !is_path_byte(byte)).map_or(low, |at| low + at + 1);
            let end = dot + length(&bytes[dot..]);
            self.add(bytes[start..end].rsplit(|&byte| byte == b'/').next().unwrap_or_default());
        }
        if is_program {
            for name in bytes.split(|&byte| byte == 0) {
                if (MIN_PROGRAM..=MAX_PROGRAM).contains(&name.len()) && name.iter().all(|&byte| is_name_byte(byte)) {
                    self.add(name);
                }
            }
        }
    }

    fn add(&mut self, word: &[u8]) {
        if let Ok(word) = std::str::from_utf8(word) {
            self.words.add(word, 0, Use::Mention);
        }
    }
}

/// Returns how many bytes at the start belong to a path, at most [`MAX_STRING`].
fn length(bytes: &[u8]) -> usize {
    let bytes = &bytes[..bytes.len().min(MAX_STRING)];
    bytes.iter().position(|&byte| !is_path_byte(byte)).unwrap_or(bytes.len())
}

fn is_path_byte(byte: u8) -> bool {
    is_name_byte(byte) || byte == b'/'
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], pieces: usize, is_program: bool) -> Vec<String> {
        let mut strings = ObjectStrings::default();
        bytes.chunks(bytes.len().div_ceil(pieces).max(1)).for_each(|piece| strings.push(piece, is_program));
        strings.finish().iter().map(|word| word.text.to_owned()).collect()
    }

    #[test]
    fn paths_libraries_and_names_of_programs_are_found_however_the_object_is_cut() {
        let bytes =
            b"\x7fELF\0ssh\0/usr/lib/ssl:/usr/lib/sasl2\0a b\0-I/usr/x\0lib/libz.so.1\0%s/etc/x\0less\0no/usr/no\0";
        let mut expected = vec!["/usr/lib/sasl2", "/usr/lib/ssl", "less", "libz.so.1"];
        for pieces in [1, 2, 3, 7, bytes.len()] {
            let mut all = found(bytes, pieces, true);
            all.sort();
            assert_eq!(all, expected, "{pieces}");
        }
        expected.retain(|word| word.starts_with('/') || word.contains(".so"));
        assert_eq!(found(bytes, 1, false).len(), expected.len());
    }

    #[test]
    fn a_string_without_end_is_not_carried_for_ever() {
        let mut strings = ObjectStrings::default();
        for _ in 0..1000 {
            strings.push(&[b'a'; 1000], true);
            assert!(strings.carry.len() <= MAX_CARRY + 1000);
        }
    }
}
