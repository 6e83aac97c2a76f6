//! Text files that list the plug-ins of libraries.
//!
//! Sources: gdk-pixbuf, `gdk-pixbuf-io.c` (`loaders.cache`); GTK, `gtkimmodule.c` (`immodules.cache`, in the same
//! format); GLib, `giomodule.c` (`giomodule.cache`).

use std::borrow::Cow;

/// Returns whether the file at a path is a list of plug-ins.
pub fn is_list(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("loaders.cache" | "immodules.cache" | "giomodule.cache"))
}

/// Drops removed plug-ins from a list. Returns `None` if none was removed. `is_gone` gets paths as written in the list:
/// absolute, or names in the folder of the list.
pub fn without(path: &str, text: &str, is_gone: &dyn Fn(&str) -> bool) -> Option<String> {
    match path.ends_with("giomodule.cache") {
        true => gio_modules_without(text, is_gone),
        false => blocks_without(text, is_gone),
    }
}

/// Drops the blocks of removed plug-ins from a `loaders.cache` or an `immodules.cache`. Returns `None` if none was
/// removed.
///
/// A block is a line with the quoted path of a plug-in, and lines that describe it. An empty line ends it.
fn blocks_without(text: &str, is_gone: &dyn Fn(&str) -> bool) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    let mut block = Block::None;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        if content.starts_with('#') {
            kept += line;
            continue;
        }
        if block == Block::None && !content.is_empty() {
            block = if quoted(content).is_some_and(|path| is_gone(&path)) { Block::Goes } else { Block::Stays };
        }
        if block != Block::Goes {
            kept += line;
        }
        if content.is_empty() {
            block = Block::None;
        }
    }
    (kept.len() < text.len()).then_some(kept)
}

/// The block of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Stays,
    Goes,
}

/// Drops the lines of removed modules from a `giomodule.cache`. Returns `None` if none was removed.
///
/// A line is the name of a module in the folder of the list, a colon, and the extension points of the module.
fn gio_modules_without(text: &str, is_gone: &dyn Fn(&str) -> bool) -> Option<String> {
    let stays = |line: &&str| {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        name.is_empty() || name.starts_with('#') || !is_gone(name)
    };
    let kept = text.split_inclusive('\n').filter(stays).collect::<String>();
    (kept.len() < text.len()).then_some(kept)
}

/// Returns the quoted string at the start of a line, without GLib's backslash escapes.
fn quoted(line: &str) -> Option<Cow<'_, str>> {
    let rest = line.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = rest.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    let string = rest.get(..end)?;
    Some(if string.contains('\\') { Cow::Owned(unescape(string)) } else { Cow::Borrowed(string) })
}

/// Reverts `g_strescape`, which writes unprintable bytes as octal numbers.
fn unescape(string: &str) -> String {
    let mut bytes = Vec::with_capacity(string.len());
    let mut rest = string.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail.first()) {
            (b'\\', Some(b'0'..=b'7')) => {
                let digits = tail.iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                let number = tail[..digits].iter().fold(0u32, |number, digit| number * 8 + u32::from(digit - b'0'));
                bytes.push(number as u8);
                rest = &tail[digits..];
            }
            (b'\\', Some(&escaped)) => {
                bytes.push(control(escaped));
                rest = &tail[1..];
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the meaning of a letter after a backslash. Other characters mean themselves.
fn control(letter: u8) -> u8 {
    match letter {
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOADERS: &str = "# GdkPixbuf Image Loader Modules file\n# Automatically generated file, do not edit\n#\n\
        \"/usr/lib/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-ani.so\"\n\
        \"ani\" 4 \"gdk-pixbuf\" \"Windows animated cursor\" \"LGPL\"\n\
        \"application/x-navi-animation\" \"\"\n\
        \"ani\" \"\"\n\
        \"RIFF    ACON\" \"    xxxx    \" 100\n\n\
        \"/opt/a \\\"b\\\" \\303\\244/libpixbufloader-svg.so\" \n\
        \"svg\" 6 \"gdk-pixbuf\" \"Scalable Vector Graphics\" \"LGPL\"\n\
        \" <svg\" \"*    \" 100\n\n";

    #[test]
    fn the_block_of_a_loader_that_is_gone_goes_whole() {
        let without = |gone: &str| blocks_without(LOADERS, &|path| path == gone);
        let (head, svg) = LOADERS.split_at(LOADERS.find("\"/usr").unwrap());
        let (ani, svg) = svg.split_at(svg.find("\"/opt").unwrap());
        assert_eq!(
            without("/usr/lib/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-ani.so").unwrap(),
            [head, svg].concat()
        );
        assert_eq!(without("/opt/a \"b\" ä/libpixbufloader-svg.so").unwrap(), [head, ani].concat());
        assert_eq!(without("ani"), None);
        assert_eq!(blocks_without(LOADERS, &|_| true).unwrap(), head);
    }

    #[test]
    fn the_line_of_a_module_that_is_gone_goes() {
        let text = "# made by gio-querymodules: x\nlibdconfsettings.so: gsettings-backend\nlibgiognutls.so: gio-tls-backend,x\n\n";
        let left = gio_modules_without(text, &|name| name == "libgiognutls.so").unwrap();
        assert_eq!(left, "# made by gio-querymodules: x\nlibdconfsettings.so: gsettings-backend\n\n");
        assert_eq!(gio_modules_without(text, &|name| name == "gio-tls-backend"), None);
        assert_eq!(gio_modules_without(text, &|_| true).unwrap(), "# made by gio-querymodules: x\n\n");
    }

    #[test]
    fn strings_are_read_as_glib_reads_them() {
        assert_eq!(quoted(r#""a\\" b"#).as_deref(), Some(r"a\"));
        assert_eq!(quoted(r#""\1234\t\q" b"#).as_deref(), Some("S4\tq"));
        assert_eq!(quoted(r#""a\""#), None);
        assert_eq!(quoted("a"), None);
    }

    proptest! {
        #[test]
        fn lists_lose_only_what_is_gone(text in "[\"\\\\a0:# \n]{0,40}") {
            prop_assert_eq!(blocks_without(&text, &|_| false), None);
            prop_assert_eq!(gio_modules_without(&text, &|_| false), None);
            for without in [blocks_without, gio_modules_without] {
                if let Some(left) = without(&text, &|path| path.contains('a')) {
                    prop_assert_eq!(without(&left, &|path| path.contains('a')), None);
                }
            }
        }
    }
}
