//! Tells Python sources that no parser should be let loose on: nested so deep that a recursive reader's stack ends.
//!
//! CPython itself refuses more than 200 nested brackets ("too many nested parentheses"); generated tables of data are
//! long but flat. Long chains without brackets (`not not …`, `a.b.c…`, `x if y else x if y else …`) nest as well.

/// How deep brackets may nest.
const MAX_BRACKETS: usize = 500;
/// How many operators or words one expression may chain.
const MAX_CHAIN: usize = 20_000;

/// Tells whether brackets or chains in `source` go too deep. Strings and comments do not count.
pub fn is_too_deep(source: &[u8]) -> bool {
    let mut chains = vec![0];
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        at += 1;
        match byte {
            b'#' => at += source[at..].iter().position(|&b| b == b'\n').unwrap_or(source.len() - at),
            b'"' | b'\'' => at = end_of_string(source, at - 1),
            b'\\' => at += 1,
            b'(' | b'[' | b'{' => {
                chains.push(0);
                if chains.len() > MAX_BRACKETS {
                    return true;
                }
            }
            b')' | b']' | b'}' if chains.len() > 1 => {
                chains.pop();
                grow(&mut chains);
            }
            b',' => reset(&mut chains),
            b'\n' | b';' if chains.len() == 1 => reset(&mut chains),
            b'a'..=b'z' if at < 2 || !is_word(source[at - 2]) => grow(&mut chains),
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'&' | b'|' | b'^' | b'~' | b'<' | b'>' | b'=' => {
                grow(&mut chains)
            }
            _ => {}
        }
        if chains.last().is_some_and(|&chain| chain > MAX_CHAIN) {
            return true;
        }
    }
    false
}

fn grow(chains: &mut [usize]) {
    if let Some(chain) = chains.last_mut() {
        *chain += 1;
    }
}

fn reset(chains: &mut [usize]) {
    if let Some(chain) = chains.last_mut() {
        *chain = 0;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns where the string that opens at `start` ends; an unclosed one ends with its line.
fn end_of_string(source: &[u8], start: usize) -> usize {
    let quote = source[start];
    let triple = source[start..].starts_with(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    while let Some(&byte) = source.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' if !triple => return at,
            _ if byte == quote && !triple => return at + 1,
            _ if byte == quote && source[at..].starts_with(&[quote; 3]) => return at + 3,
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
            assert!(is_too_deep(&repeated(deep, 100_000)), "{deep}");
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
