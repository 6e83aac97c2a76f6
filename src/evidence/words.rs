//! Words of a text that may name a program, a shared library or a path of the image.
//!
//! A scan does not know which programs an image has. So it collects every word that has the form of a name, once for
//! each file. `names.rs` later decides what a word means.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// The longest name of a program or library, in bytes.
const MAX_NAME: usize = 64;
/// The longest path, in bytes: Linux's `NAME_MAX` for one component. No path in a literal is longer in practice.
const MAX_PATH: usize = 255;
/// The largest number of words that are collected from one file.
const MAX_WORDS: usize = 50_000;

/// How a text uses a word. A later kind is better evidence of a program than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// In a question to version control about the checkout that a source lies in (`git describe`).
    Checkout,
    /// Anywhere in a text.
    Mention,
    /// Where a shell expects a command: first in a text or line, or after `|`, `;`, `&`, `(`, `exec`, `sudo`.
    Command,
    /// Under a name that indicates a program: `binary="gpg"`, `GIT_CMD = "git"`.
    Named,
    /// As the argument of a call that runs or finds programs: `run(["git"])`, `which("dot")`.
    Run,
}

impl Use {
    const ALL: [Self; 5] = [Self::Checkout, Self::Mention, Self::Command, Self::Named, Self::Run];
}

/// How many numbers are reserved for the use of a word.
const USES: u32 = 8;

/// The words of one file, each once with its best use, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Each word is followed by a newline.
    texts: Box<str>,
    /// For each word, its line, counted from 1, times [`USES`], plus its use.
    places: Box<[u32]>,
}

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word.
    pub text: &'a str,
    /// The line, counted from 1.
    pub line: u32,
    /// How it is used.
    pub r#use: Use,
}

impl Words {
    /// Returns whether there are no words.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns how many bytes the words take in memory.
    pub fn weight(&self) -> u64 {
        (self.texts.len() + self.places.len() * size_of::<u32>()) as u64
    }

    /// Returns the words.
    pub fn iter(&self) -> impl Iterator<Item = Word<'_>> {
        self.texts.split_terminator('\n').zip(&self.places).map(|(text, &place)| Word {
            text,
            line: place / USES,
            r#use: Use::ALL.get((place % USES) as usize).copied().unwrap_or(Use::Mention),
        })
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// As a shell command.
    Shell,
    /// As keys and values (TOML, YAML, JSON, INI, unit files): each value may be a command.
    Config,
}

impl Syntax {
    /// Returns whether a command may follow this byte.
    fn precedes_command(self, byte: u8) -> bool {
        let in_shell = b"|;&(`\n{!=".contains(&byte);
        in_shell || self == Self::Config && b":\"'[,<>".contains(&byte)
    }
}

/// Collects the words of one file.
#[derive(Debug, Default)]
pub struct WordCollector {
    found: HashMap<Box<str>, usize>,
    words: Vec<(Box<str>, u32, Use)>,
}

impl WordCollector {
    /// Adds one word in `line`, counted from 1, if it has the form of a name or path.
    pub fn add(&mut self, word: &str, line: u32, r#use: Use) {
        let word = word.trim_end_matches(['.', ',', '-', '+']);
        if !is_name(word) {
            return;
        }
        if let Some(&at) = self.found.get(word) {
            let (_, first, best) = &mut self.words[at];
            if r#use > *best {
                (*first, *best) = (line, r#use);
            }
        } else if self.words.len() < MAX_WORDS {
            self.found.insert(word.into(), self.words.len());
            self.words.push((word.into(), line, r#use));
        }
    }

    /// Adds every word of a text in `lines`, counted from 1. Words where `syntax` expects a command get the use
    /// `command`.
    pub fn add_text(&mut self, text: &str, lines: RangeInclusive<u32>, syntax: Syntax, command: Use) {
        let mut line = *lines.start();
        let mut expects_command = true;
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            if is_word_byte(first) {
                let length = rest.bytes().position(|byte| !is_word_byte(byte)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(length);
                let word = word.trim_start_matches(['-', '+']);
                self.add(word, line, if expects_command { command } else { Use::Mention });
                expects_command = expects_command && is_passed_over(word) || RUNS_NEXT.contains(&base_name(word));
                rest = after;
            } else {
                line = line.saturating_add(u32::from(first == b'\n')).min(*lines.end());
                expects_command |= syntax.precedes_command(first);
                let length = rest.chars().next().map_or(1, char::len_utf8);
                rest = &rest[length..];
            }
        }
    }

    /// Returns the words.
    pub fn finish(self) -> Words {
        let mut texts = String::with_capacity(self.words.iter().map(|(word, ..)| word.len() + 1).sum());
        for (word, ..) in &self.words {
            texts.push_str(word);
            texts.push('\n');
        }
        let place = |&(_, line, r#use): &(Box<str>, u32, Use)| line.min(u32::MAX / USES - 1) * USES + r#use as u32;
        Words { texts: texts.into(), places: self.words.iter().map(place).collect() }
    }
}

/// Commands that run the command in their arguments, and reserved words of the shell grammar.
const RUNS_NEXT: [&str; 32] = [
    "exec",
    "sudo",
    "doas",
    "env",
    "xargs",
    "nohup",
    "time",
    "nice",
    "ionice",
    "timeout",
    "setsid",
    "command",
    "then",
    "do",
    "else",
    "if",
    "elif",
    "while",
    "until",
    "gosu",
    "su-exec",
    "tini",
    "dumb-init",
    "stdbuf",
    "watch",
    "chroot",
    "flock",
    "-c",
    "sh",
    "bash",
    "eval",
    "which",
];

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Returns whether a command may still follow after this word, which is a number or a field of a crontab.
fn is_passed_over(word: &str) -> bool {
    word.is_empty() || word.bytes().all(|byte| byte.is_ascii_digit() || b",-/.".contains(&byte))
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./+-".contains(&byte)
}

/// Returns whether a word has the form of a program's or library's name, or of an absolute path.
fn is_name(word: &str) -> bool {
    let bytes = word.as_bytes();
    let has_letter = || bytes.iter().any(u8::is_ascii_alphabetic);
    match bytes.first() {
        Some(b'/') => bytes.len() <= MAX_PATH && has_letter() && !bytes.contains(&b'\n'),
        Some(first) => {
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(byte);
            let is_short = (2..=MAX_NAME).contains(&bytes.len()) || bytes.len() == 1 && first.is_ascii_alphabetic();
            is_short && first.is_ascii_alphanumeric() && bytes.iter().all(is_part) && has_letter()
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, u32, Use)> {
        let mut collector = WordCollector::default();
        collector.add_text(text, 1..=u32::MAX, Syntax::Shell, Use::Command);
        collector.finish().iter().map(|word| (word.text.to_owned(), word.line, word.r#use)).collect()
    }

    #[test]
    fn a_word_is_found_once_with_its_line_and_its_best_use() {
        let text = "echo git\nx=1 make -C /srv/app, | file - && exec gosu www nginx\n";
        let expected = [
            ("echo", 1, Use::Command),
            ("git", 1, Use::Mention),
            ("x", 2, Use::Command),
            ("make", 2, Use::Command),
            ("C", 2, Use::Mention),
            ("/srv/app", 2, Use::Mention),
            ("file", 2, Use::Command),
            ("exec", 2, Use::Command),
            ("gosu", 2, Use::Command),
            ("www", 2, Use::Command),
            ("nginx", 2, Use::Mention),
        ];
        assert_eq!(words(text), expected.map(|(word, line, r#use)| (word.to_owned(), line, r#use)));
        assert_eq!(words("say gs\ngs x")[1], ("gs".to_owned(), 2, Use::Command));
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        for text in ["", "123", "4.5", "-", "é", "../x", "a/b", "=", &"a".repeat(65), &format!("/{}", "a".repeat(255))]
        {
            assert_eq!(words(text), [], "{text}");
        }
        assert_eq!(words("R")[0].0, "R");
    }
}
