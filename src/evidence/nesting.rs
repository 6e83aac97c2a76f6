//! Protects the stack against Python sources that nest without limit. The parser grows its own stack when needed, but
//! the code that walks and drops such a deep tree does not.
//!
//! CPython itself rejects more than 200 nested brackets ("too many nested parentheses"). Generated tables of data are
//! long but flat. Long chains without brackets (`not not …`, `a.b.c…`, `x if y else x if y else …`) nest as well.

/// How deep brackets may nest.
const MAX_BRACKETS: usize = 500;
/// How many operators or words one expression may chain.
const MAX_CHAIN: usize = 128_000;
/// Sources with more brackets than this are checked, whether the brackets nest or not.
const MANY_BRACKETS: usize = 5_000;
/// An upper bound, with some margin, for the stack that one level of the tree takes, in bytes.
const LEVEL: usize = 2 << 10;

/// Runs `read` with enough stack for a tree of `source`; returns `None` if the source nests too deep.
pub fn with_stack<T>(source: &[u8], read: impl FnOnce() -> T) -> Option<T> {
    // Every level takes a byte, and sources written by people have few brackets. So most sources need no closer check.
    let in_part = |part: &[u8]| part.iter().map(|byte| u8::from(matches!(byte, b'(' | b'[' | b'{'))).sum::<u8>();
    let brackets = source.chunks(255).map(|part| usize::from(in_part(part))).sum::<usize>();
    if (source.len() > MAX_CHAIN || brackets > MANY_BRACKETS) && is_too_deep(source) {
        return None;
    }
    let stack = source.len().min(MAX_CHAIN) * LEVEL + (1 << 20);
    Some(stacker::maybe_grow(stack, stack + (1 << 20), read))
}

/// How a byte affects the nesting of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Comment,
    Quote,
    Escape,
    Open,
    Close,
    Comma,
    End,
    Letter,
    Operator,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'#' => Class::Comment,
            b'"' | b'\'' => Class::Quote,
            b'\\' => Class::Escape,
            b'(' | b'[' | b'{' => Class::Open,
            b')' | b']' | b'}' => Class::Close,
            b',' => Class::Comma,
            b'\n' | b';' => Class::End,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'&' | b'|' | b'^' | b'~' | b'<' | b'>' | b'=' => {
                Class::Operator
            }
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};

/// Returns whether brackets or chains in `source` nest too deep. Strings and comments do not count.
fn is_too_deep(source: &[u8]) -> bool {
    let (mut chain, mut outer) = (0, Vec::new());
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        at += 1;
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Comment => at = memchr::memchr(b'\n', &source[at..]).map_or(source.len(), |end| at + end),
            Class::Quote => at = end_of_string(source, at - 1),
            Class::Escape => at += 1,
            Class::Open => {
                outer.push(chain);
                chain = 0;
                if outer.len() >= MAX_BRACKETS {
                    return true;
                }
            }
            Class::Close => {
                if let Some(before) = outer.pop() {
                    chain = before + 1;
                }
            }
            Class::Comma => chain = 0,
            Class::End if outer.is_empty() => chain = 0,
            Class::End => {}
            Class::Letter => {
                at += source[at..].iter().take_while(|&&byte| is_word(byte)).count();
                chain += 1;
            }
            Class::Operator => chain += 1,
        }
        if chain > MAX_CHAIN {
            return true;
        }
    }
    false
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns where the string that opens at `start` ends. An unclosed string ends with its line, a triple-quoted one with
/// the source.
fn end_of_string(source: &[u8], start: usize) -> usize {
    let quote = source[start];
    let triple = source[start..].starts_with(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    while at < source.len() {
        let rest = &source[at..];
        let found =
            if triple { memchr::memchr2(quote, b'\\', rest) } else { memchr::memchr3(quote, b'\\', b'\n', rest) };
        let Some(found) = found else { break };
        at += found;
        match source[at] {
            b'\\' => at += 1,
            b'\n' => return at,
            _ if !triple => return at + 1,
            _ if source[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => {}
        }
        at += 1;
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_nests_are_told_from_long_tables() {
        let repeated = |text: &str, times: usize| text.repeat(times).into_bytes();
        for deep in ["(", "[", "{", "f(", "-", "~ ", "not ", "a.", "a + ", "x if y else ", "lambda: ", "a**"] {
            assert!(is_too_deep(&repeated(deep, 200_000)), "{deep}");
        }
        let table = [b"x = [".to_vec(), repeated("-1.5, (2, 'a((((('),\n", 100_000), b"]".to_vec()].concat();
        assert!(!is_too_deep(&table));
        assert!(!is_too_deep(&repeated("if a:\n    b = c.d(e)\n", 50_000)));
        assert!(!is_too_deep(&repeated("# ((((((((\n'''((((('''\n", 1000)));
        for broken in ["'", "\"\"\"", "\\", "'\\", ")", "'''a''"] {
            assert!(!is_too_deep(broken.as_bytes()));
        }
    }
}
