//! What a shell script may run: every word of it that a program in `PATH` is called. Shells build commands in too many ways to
//! tell command words from others, and a word too many only keeps a file too many.

use super::python::Mention;

/// The largest script that is read, in bytes.
pub const MAX_SCRIPT: u64 = 1 << 20;

/// Tells whether a `#!` line names a shell.
pub fn is_shell(interpreter: &str) -> bool {
    let mut words = interpreter.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    words.any(|word| matches!(word, "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "busybox"))
}

/// Returns the words of a script that may be programs, each once, with its first line. Comments do not count.
pub fn words(script: &str) -> Vec<Mention> {
    let mut seen = std::collections::HashSet::new();
    let mut found = Vec::new();
    for (line, text) in (1..).zip(script.lines()).filter(|(_, text)| !text.trim_start().starts_with('#')) {
        for word in commands(text).filter(|word| word.len() > 1) {
            if seen.insert(word) {
                found.push(Mention { text: word.into(), line });
            }
        }
    }
    found
}

/// Splits a shell command into the words that may be programs.
pub fn commands(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c);
    text.split(move |c| !is_word(c))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric() || "_/.".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_but_those_of_comments_may_be_a_program() {
        let script = "#!/bin/sh\n# make it so\nuntil nc -z \"$DB\" 5432; do sleep 1; done\nexec /usr/bin/env FOO=1 `which gosu` \"$@\" | tee-x\n";
        let words = words(script);
        let texts = words.iter().map(|word| &*word.text).collect::<Vec<_>>();
        for word in ["nc", "sleep", "/usr/bin/env", "which", "gosu", "tee-x"] {
            assert!(texts.contains(&word), "{word}: {texts:?}");
        }
        assert!(!texts.contains(&"make") && !texts.contains(&"-z"));
        assert_eq!(words[0].line, 3);
        assert!(is_shell("/usr/bin/env bash") && is_shell("/bin/sh -e") && !is_shell("/usr/bin/perl"));
    }
}
