//! Names of programs that say little by themselves: a word of a text that is spelt so need not mean the program.

/// Programs of optional packages whose names are English words, keywords or usual names in code. They count where a shell expects a
/// command, or where they are handed to something that runs programs.
const COMMON: [&str; 498] = ["## A: word", "GET", "HEAD", "POST", "accept", "acorn", "acyclic", "animate", "ant", "apply", "apropos", "arch", "arithmetic", "arp", "attr", "audit", "backgammon", "banana", "bar", "base", "base32", "base64", "batch", "beep", "big", "bind", "bison", "bitmap", "black", "blender", "block", "boggle", "bridge", "bug", "build", "cache", "cal", "calc", "calendar", "cancel", "card", "cat", "changes", "chaos", "charge", "chart", "check", "chem", "chips", "choose", "chronic", "chunk", "clean", "clear", "clock", "cluster", "cmp", "col", "colcrt", "collect", "colrm", "column", "combine", "comm", "command", "compare", "compel", "compile", "compose", "composite", "compress", "config", "conjure", "connect", "console", "convert", "count", "cover", "cowpoke", "crash", "create", "cribbage", "crit", "cron", "csv", "cusp", "cut", "cycle", "dab", "data", "date", "debug", "defaults", "delta", "delv", "density", "desktop", "dev", "dialog", "dict", "diff", "dig", "dijkstra", "dir", "disable", "dislocate", "display", "doc", "domain", "dot", "dotty", "double", "dump", "duplicity", "ebb", "edit", "editor", "eject", "enable", "entry", "env", "errno", "eval", "exec", "expand", "expect", "expr", "extract", "factor", "false", "festival", "file", "filter", "find", "fire", "flask", "flow", "fmt", "fold", "font", "format", "fortune", "freak", "free", "frm", "from", "fuser", "get", "global", "gold", "graph", "grep", "grog", "group", "guards", "gyp", "hack", "halt", "hangman", "head", "help", "hex", "history", "host", "html", "http", "https", "hunt", "icon", "ident", "identify", "idle", "ifne", "image", "import", "indent", "index", "info", "init", "input", "insert", "install", "inv", "invoke", "iso", "isutf8", "jar", "join", "json", "key", "kibitz", "kill", "label", "lame", "last", "latex", "lefty", "less", "level", "lft", "line", "link", "links", "list", "load", "local", "locale", "locate", "lock", "log", "login", "logo", "look", "lpr", "lua", "mag", "mail", "mailx", "make", "man", "map", "mark", "match", "md5", "merge", "merger", "mesg", "message", "messages", "mingle", "mix", "model", "mogrify", "monitor", "montage", "more", "mount", "munged", "name", "native", "ncal", "needle", "net", "netstat", "new", "nice", "node", "nop", "noreturn", "notify", "nproc", "number", "ode", "open", "opener", "opt", "option", "over", "ownership", "pack", "page", "pager", "palindrome", "parallel", "parse", "parted", "paste", "patch", "patchwork", "path", "pdf", "pee", "pick", "pico", "pig", "pinentry", "ping", "pip", "pipe", "play", "plot", "png", "pop", "preview", "primes", "print", "printer", "printf", "process", "profile", "profit", "prompt", "prophecy", "prophet", "prove", "prune", "pwd", "python", "query", "queue", "quilt", "quiz", "quote", "rain", "random", "rate", "ray", "rcs", "readmsg", "rec", "record", "red", "refer", "remap", "rename", "render", "replace", "report", "request", "reset", "resize", "restrict", "rev", "review", "robots", "role", "route", "rpl", "run", "run-mailcap", "rview", "sail", "salsa", "sample", "save", "scalar", "scale", "scan", "scene", "schema", "screen", "script", "scripts", "search", "section", "see", "select", "send", "seq", "serve", "server", "service", "set", "setup", "shape", "share", "shell", "show", "shred", "shuf", "shutdown", "sieve", "sign", "signal", "silent", "site", "size", "skill", "sleep", "slice", "slide", "snake", "snap", "sort", "sound", "source", "sox", "space", "spell", "spline", "split", "sponge", "sql", "squiggle", "stack", "start", "stat", "state", "states", "static-sh", "stdbuf", "stop", "store", "stream", "stress", "stretcher", "strings", "strip", "style", "sub", "sum", "switch", "sync", "tab", "table", "tag", "tail", "talk", "tangle", "tap", "tape", "task", "tee", "template", "terser", "test", "text", "tic", "tidy", "tie", "time", "timeout", "title", "toe", "toilet", "token", "top", "touch", "trace", "track", "transform", "transition", "translate", "tree", "trek", "trim", "true", "truncate", "trust", "tsort", "tsp", "tty", "twill", "type", "umount", "uname", "unbuffer", "uncompress", "unflatten", "union", "uniq", "unit", "units", "unlink", "unpack", "update", "upload", "uptime", "user", "users", "utf8", "validate", "value", "vector", "verify", "version", "vibrate", "view", "vmstat", "vote", "wait", "wall", "watch", "water", "weave", "web", "weight", "whatis", "wheel", "which", "who", "width", "wish", "wobble", "word", "wordcount", "words", "work", "worm", "worms", "wrap", "write", "xml", "yank", "yes", "zip", "zoom", "zstd"];

/// Compilers, linkers and build tools. Distributions name them in code that builds extensions; those that build when they are used are
/// known by the modules that an application imports (`unless-imported` of the profiles).
const COMPILERS: [&str; 59] = ["addr2line", "ar", "as", "autoconf", "automake", "bison", "c++", "c++filt", "c89", "c99", "cargo", "cc", "ccache", "clang", "clang++", "cmake", "cpp", "ctest", "dwp", "elfedit", "f77", "f95", "flex", "g++", "gcc", "gcov", "gdb", "gfortran", "gmake", "go", "gold", "icc", "ifort", "ld", "ld.bfd", "ld.gold", "ld.lld", "libtool", "lld", "m4", "make", "meson", "mpicc", "nasm", "ninja", "nm", "nvcc", "objcopy", "objdump", "pkg-config", "pkgconf", "ranlib", "readelf", "rustc", "strip", "swig", "tcc", "yacc", "yasm"];

/// Editors, pagers and viewers. A distribution or a program starts them at a terminal, if the person has set no other.
const EDITORS: [&str; 31] = ["ed", "editor", "emacs", "ex", "joe", "less", "lp", "lpr", "lynx", "man", "mcedit", "more", "most", "nano", "nvim", "pager", "pico", "rview", "rvim", "sensible-browser", "sensible-editor", "sensible-pager", "vi", "view", "vim", "vim.tiny", "vimdiff", "w3m", "www-browser", "x-www-browser", "xdg-open"];

/// Returns whether a name is a common word, or too short to be another.
pub(super) fn is_common(name: &str) -> bool {
    name.len() <= 2 || COMMON.binary_search(&name).is_ok()
}

/// Returns whether a name is a compiler's or a build tool's.
pub(super) fn is_compiler(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
    COMPILERS.binary_search(&name).is_ok() || COMPILERS.binary_search(&stem).is_ok() || name.contains("-linux-gnu-")
}

/// Returns whether a name is an editor's or a pager's.
pub(super) fn is_editor(name: &str) -> bool {
    EDITORS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_each_stands_once() {
        for names in [&COMMON[..], &COMPILERS, &EDITORS] {
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        }
        assert!(is_common("file") && is_compiler("gcc-12") && is_compiler("x86_64-linux-gnu-gcc") && is_editor("vim"));
        assert!(!is_common("git") && !is_compiler("git") && !is_editor("gs"));
    }
}
