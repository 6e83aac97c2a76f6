//! The programs that a script may run: every word that is the name of a program in `PATH`. Shells can build commands in
//! too many ways to separate commands from other words. A word too many only keeps a file too many.

use super::words::{Syntax, Use, WordCollector, Words};

/// The largest script that is read, in bytes.
pub const MAX_SCRIPT: u64 = 1 << 20;

/// Returns the words of a script that may be programs. Comments do not count.
pub fn words(script: &str) -> Words {
    let mut words = WordCollector::default();
    for (number, line) in (1..).zip(script.lines()).filter(|(_, line)| !line.trim_start().starts_with('#')) {
        words.add_text(line, number..=number, Syntax::Shell, Use::Command);
    }
    words.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_but_those_of_comments_may_be_a_program() {
        let script = "#!/bin/sh\n# make it so\nuntil nc -z \"$DB\" 5432; do sleep 1; done\nexec /usr/bin/env FOO=1 `which gosu` \"$@\" | tee-x\n";
        let words = words(script);
        let texts = words.iter().map(|word| word.text).collect::<Vec<_>>();
        for word in ["nc", "sleep", "/usr/bin/env", "which", "gosu", "tee-x"] {
            assert!(texts.contains(&word), "{word}: {texts:?}");
        }
        assert!(!texts.contains(&"make"));
        assert_eq!(words.iter().next().map(|word| word.line), Some(3));
    }
}
