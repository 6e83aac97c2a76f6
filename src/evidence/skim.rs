//! Takes out of a Python source what cannot say anything, before it is parsed: parsing is what evidence costs, and most
//! statements name nothing that it looks for.
//!
//! A simple statement (Python's reference, "Simple statements") without such a word becomes `pass`, and several in a row become one; lines
//! keep their numbers. For that only the ends of logical lines have to be known ("Lexical analysis"): strings, brackets, comments,
//! continued lines. Where that is in doubt, nothing is taken out.

use std::ops::Range;
use std::sync::LazyLock;

use super::calls::Call;

/// The first words of statements that stay in any case: they have statements below them, or import.
const KEPT: [&[u8]; 16] = [
    b"if", b"elif", b"else", b"for", b"while", b"try", b"except", b"finally", b"with", b"def", b"class", b"async",
    b"match", b"case", b"import", b"from",
];
/// The longest string, in bytes as written, that is looked at; longer ones name no file.
const MAX_NAME: usize = 2 << 10;
/// The longest of the words by which a name is known.
const LONGEST_WORD: usize = 4;

/// Bytes that may end a logical line, or keep it from ending.
const MEANS_SOMETHING: [bool; 256] = {
    let mut means = [false; 256];
    let bytes = b"\n\r\\#([{)]};\"'";
    let mut at = 0;
    while at < bytes.len() {
        means[bytes[at] as usize] = true;
        at += 1;
    }
    means
};

static OWN_FILE: LazyLock<memchr::memmem::Finder<'static>> = LazyLock::new(|| memchr::memmem::Finder::new("__file__"));

/// Returns the source without the statements that say nothing; `None` if it cannot be told which these are.
pub(super) fn skim(source: &str) -> Option<String> {
    let source = source.as_bytes();
    let mut skim = Skim { source, at: 0, out: Vec::with_capacity(source.len() / 2), passed: None, own_file: 0 };
    while skim.at < source.len() {
        skim.line()?;
    }
    // Whole lines and ASCII: it is UTF-8 as the source was.
    String::from_utf8(skim.out).ok()
}

struct Skim<'a> {
    source: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The indentation of the statement that was put out last, if it is a `pass` of ours.
    passed: Option<&'a [u8]>,
    /// Where the next `__file__` stands; what lies before is behind us.
    own_file: usize,
}

/// A logical line that is gone through.
#[derive(Default)]
struct Line {
    /// Open brackets.
    depth: usize,
    /// Ends of lines in it.
    ends: usize,
    stays: bool,
    /// The string that came last, quotes not included, and where what follows it starts.
    string: Option<(Range<usize>, usize)>,
}

impl<'a> Skim<'a> {
    /// Goes through one logical line.
    fn line(&mut self) -> Option<()> {
        let source = self.source;
        let start = self.at;
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\x0c');
        let indent = source[start..].iter().take_while(|byte| is_blank(byte)).count();
        self.at += indent;
        let first = word(&source[self.at..]);
        // A decorator, or a line that only begins on the next.
        let is_half = matches!(self.peek(0), Some(b'@' | b'\\'));
        let mut line = Line { stays: is_half || KEPT.contains(&first), ..Line::default() };
        let is_empty = matches!(self.peek(0), None | Some(b'\n' | b'\r' | b'#'));
        self.pass_line(&mut line)?;
        self.find_own_file(start);
        if is_empty {
            self.out.extend(std::iter::repeat_n(b'\n', line.ends));
        } else if line.stays || self.own_file < self.at {
            self.out.extend_from_slice(&source[start..self.at]);
            self.passed = None;
        } else {
            let indent = &source[start..start + indent];
            if self.passed != Some(indent) {
                self.out.extend_from_slice(indent);
                self.out.extend_from_slice(b"pass");
                self.passed = Some(indent);
            }
            self.out.extend(std::iter::repeat_n(b'\n', line.ends));
        }
        Some(())
    }

    /// Goes to where the next logical line starts.
    fn pass_line(&mut self, line: &mut Line) -> Option<()> {
        loop {
            self.at += self.source[self.at..].iter().take_while(|byte| !MEANS_SOMETHING[usize::from(**byte)]).count();
            let Some(byte) = self.peek(0) else { break };
            match byte {
                b'\n' => {
                    line.ends += 1;
                    self.at += 1;
                    if line.depth == 0 {
                        return Some(());
                    }
                    continue;
                }
                // Alone, it ends a line as well; nobody writes it.
                b'\r' if self.peek(1) != Some(b'\n') => return None,
                b'\\' => {
                    self.at += if self.peek(1) == Some(b'\r') { 2 } else { 1 };
                    if self.peek(0) != Some(b'\n') {
                        return None;
                    }
                    line.ends += 1;
                }
                b'#' => {
                    line.stays |= line.depth > 0 && Call::named(word_before(&self.source[..self.at])).is_some();
                    self.at += memchr::memchr(b'\n', &self.source[self.at..]).unwrap_or(self.source.len() - self.at);
                    continue;
                }
                b'(' | b'[' | b'{' => {
                    line.depth += 1;
                    line.stays |= byte == b'(' && self.calls_wanted();
                }
                b')' | b']' | b'}' => line.depth = line.depth.checked_sub(1)?,
                // Another statement, whose first word may be `import`.
                b';' => line.stays = true,
                b'"' | b'\'' => {
                    self.string(byte, line)?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        (line.depth == 0).then_some(())
    }

    /// Goes behind a string.
    fn string(&mut self, quote: u8, line: &mut Line) -> Option<()> {
        let prefix = &self.source[..self.at];
        let letters = prefix.iter().rev().take(3).take_while(|byte| byte.is_ascii_alphabetic());
        let is_formatted = letters.into_iter().any(|byte| matches!(byte, b'f' | b'F' | b't' | b'T'));
        let is_long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.at += if is_long { 3 } else { 1 };
        let start = self.at;
        loop {
            self.at += memchr::memchr3(quote, b'\\', b'\n', self.source.get(self.at..)?)?;
            match self.source[self.at] {
                b'\n' if !is_long => return None,
                b'\n' => line.ends += 1,
                b'\\' => {
                    line.ends += usize::from(self.peek(1) == Some(b'\n'));
                    self.at += 1;
                }
                _ if !is_long || self.peek(1) == Some(quote) && self.peek(2) == Some(quote) => break,
                _ => {}
            }
            self.at += 1;
        }
        let text = &self.source[start..self.at];
        self.at += if is_long { 3 } else { 1 };
        let string = start..start + text.len();
        line.stays |= self.may_name_with_last(line, &string, prefix.len());
        line.string = Some((string, self.at));
        let has = |byte| memchr::memchr(byte, text).is_some();
        if is_formatted && has(b'{') {
            let count = |byte| memchr::memchr_iter(byte, text).count();
            // An expression in it may hold such a quote itself: then this was not its end.
            if count(b'{') != count(b'}') {
                return None;
            }
            line.stays |= has(b'(');
        }
        line.stays |= text.len() <= MAX_NAME && may_name(text);
        Some(())
    }

    /// Tells whether a string, whose quote stands at `quote`, may name something together with the one before: side by side they are one.
    fn may_name_with_last(&self, line: &Line, string: &Range<usize>, quote: usize) -> bool {
        let Some((last, end)) = &line.string else { return false };
        let between = &self.source[*end..quote];
        let is_nothing = |byte: &u8| byte.is_ascii_whitespace() || b"\\rRbBuUfFtT".contains(byte);
        if !between.iter().all(is_nothing) && !between.contains(&b'#') {
            return false;
        }
        if last.len() < LONGEST_WORD || string.len() < LONGEST_WORD {
            return true;
        }
        let seam = [last.end - LONGEST_WORD..last.end, string.start..string.start + LONGEST_WORD];
        may_name(&seam.map(|part| &self.source[part]).concat())
    }

    /// Tells whether calls of what stands before this bracket say anything.
    fn calls_wanted(&self) -> bool {
        let name = word_before(&self.source[..self.at]);
        // Names are compared in a normal form: of one in other letters nobody knows.
        let is_unknown = name.is_empty() && self.at > 0 && !self.source[self.at - 1].is_ascii();
        is_unknown || Call::named(name).is_some()
    }

    /// Finds the next `__file__` that does not stand before `start`.
    fn find_own_file(&mut self, start: usize) {
        if self.own_file <= start {
            let found = OWN_FILE.find(&self.source[start..]);
            self.own_file = found.map_or(usize::MAX, |found| start + found);
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }
}

/// Tells whether a string, as written, may name a library, a header or a path in a test folder; any letter may be escaped.
fn may_name(text: &[u8]) -> bool {
    let mut dots = memchr::memchr_iter(b'.', text);
    let mut ts = memchr::memchr_iter(b't', text);
    let mut escaped = memchr::memchr_iter(b'\\', text).filter_map(|at| text.get(at + 1));
    text.ends_with(b".h")
        || dots.any(|at| text[at..].starts_with(b".so"))
        || ts.any(|at| text[at..].starts_with(b"test"))
        || escaped.any(|byte| matches!(byte, b'x' | b'u' | b'U' | b'N' | b'0'..=b'7' | b'\n'))
}

/// Returns the word that a text starts with.
fn word(text: &[u8]) -> &[u8] {
    let length = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    &text[..length]
}

/// Returns the word that a text ends with, but for white space.
fn word_before(text: &[u8]) -> &[u8] {
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\x0c' | b'\r' | b'\n' | b'\\');
    let text = &text[..text.len() - text.iter().rev().take_while(is_space).count()];
    let length = text.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    &text[text.len() - length..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::python::read_all;

    #[test]
    fn statements_that_say_nothing_become_one_pass_and_lines_keep_their_numbers() {
        let source = r#"
"""What it is."""  # and why
import a; x = 1
x = [1,  # one
     2]
y = """
import b
"""
def function(x):
    y = x + \
        1

    return run("git")
    z = f"{os.path (x)}"
    return "a"
z = 'lib' 'x.so'
z = '\x2eh'
@decorated
class C: pass
here = __file__
print(x)
"#;
        let skimmed = r#"
pass
import a; x = 1
pass




def function(x):
    pass


    return run("git")
    z = f"{os.path (x)}"
    pass
z = 'lib' 'x.so'
z = '\x2eh'
@decorated
class C: pass
here = __file__
pass
"#;
        assert_eq!(skim(source).unwrap(), skimmed);
    }

    #[test]
    fn nothing_is_taken_out_where_it_cannot_be_told_what_a_line_is() {
        for odd in ["x = (1", "x = 1)", "x = 'a\n", "x = '''a", "x = 1\ry = 2", "x = \\ 1", "x = f\"{a[\"b\"]}\""] {
            assert_eq!(skim(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_word_may_be_hidden() {
        let sources =
            ["x = '.' 'h'", "x = 'lib.s' 'o'", "x = ('/te' # one\n 'st/')", "x = (run # one\n('a'))", "\\\nimport a"];
        for source in sources {
            assert_eq!(skim(source).unwrap(), source);
        }
    }

    /// Reads a source whole and skimmed; both must say the same.
    fn read_both_ways(source: &str) {
        let (whole, unread) = read_all(source);
        if let Some(skimmed) = skim(source).filter(|_| unread.is_none()) {
            let ends = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
            assert_eq!(ends(&skimmed), ends(source));
            assert_eq!(read_all(&skimmed), (whole, None), "{source}\n{skimmed}");
        }
    }

    proptest! {
        #[test]
        fn a_source_says_the_same_when_it_is_skimmed(
            parts in proptest::collection::vec(prop::sample::select(PARTS), 0..40),
        ) {
            read_both_ways(&parts.concat());
        }
    }

    /// Of these, sources are made; many are malformed.
    const PARTS: &[&str] = &[
        "\n",
        "\n",
        "\n    ",
        "\n        ",
        " ",
        "\\\n",
        "# '\n",
        ";",
        ":",
        ",",
        "=",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "x",
        "1",
        "f",
        "r",
        "'",
        "\"",
        "\"\"\"",
        "'lib.so'",
        "'a.h'",
        "'tests/b'",
        "\"it's\"",
        "f'{x}'",
        "import a",
        "from . import b",
        "if x:\n    ",
        "if TYPE_CHECKING:\n    ",
        "else:\n    ",
        "def f(x):\n    ",
        "class C:\n    ",
        "try:\n    ",
        "pass",
        "run('git')",
        "path",
        "__file__",
        "print(x)\n",
        "x = 1\n",
        "x = (\n",
        "dlopen(\n",
        "return",
        "lambda",
        "await",
        "'lib' '.so.1'",
        "\\",
    ];

    #[test]
    fn the_standard_library_says_the_same_when_it_is_skimmed() {
        let ask = "import sysconfig; print(sysconfig.get_path('stdlib'))";
        let library = std::process::Command::new("python3").args(["-c", ask]).output().unwrap().stdout;
        let mut folders = vec![std::path::PathBuf::from(String::from_utf8(library).unwrap().trim())];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "py")
                    && let Ok(source) = std::fs::read_to_string(&path)
                {
                    count += 1;
                    read_both_ways(&source);
                }
            }
        }
        assert!(count > 100, "{count} sources");
    }
}
