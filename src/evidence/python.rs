//! What one Python file says: its imports, and the programs, libraries and data files that it names.
//!
//! Parsed by ruff's own parser (`ruff_python_parser`, published by its makers): it reads the syntax of every version in use, goes
//! on after an error, and is the fastest there is. A file with errors is evidence of what could be read of it, and is
//! reported. An import counts wherever it stands, under `try` or in a function; only under `if TYPE_CHECKING` it does not.

use std::borrow::Cow;
use std::cell::Cell;

use ruff_python_ast::visitor::{Visitor, walk_elif_else_clause, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, PySourceType, Stmt, StmtIf, StmtImportFrom};
use ruff_text_size::{Ranged, TextSize};
use serde::{Deserialize, Serialize};

use super::calls::Call;
use super::nesting;
use super::skim::skim;

/// The largest source that is parsed, in bytes. Larger ones are tables of data.
pub const MAX_SOURCE: u64 = 4 << 20;

/// What one Python file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonFacts {
    /// Modules that it imports.
    pub imports: Vec<Import>,
    /// Programs that it runs or looks for by a literal name.
    pub commands: Vec<Command>,
    /// Shared libraries that it names literally: `libmagic.so.1`, `magic`.
    pub libraries: Vec<Mention>,
    /// Paths in test folders that it names literally, if it opens files beside itself.
    pub data: Vec<Mention>,
    /// Headers that it names literally: some modules parse their package's own when they are imported.
    pub headers: Vec<Mention>,
    /// Whether it reads files beside itself (`__file__`, `importlib.resources`, `pkgutil.get_data`).
    pub reads_beside: bool,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Leading dots.
    pub level: u32,
    /// The module, without leading dots.
    pub module: Box<str>,
    /// Names that are imported from it; each may be a submodule.
    pub names: Box<[Box<str>]>,
    /// The line, counted from 1.
    pub line: u32,
}

/// A literal and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The literal.
    pub text: Box<str>,
    /// The line, counted from 1.
    pub line: u32,
}

/// A program that is run, and its first argument if that is literal too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program.
    pub program: Mention,
    /// Its first argument.
    pub argument: Option<Box<str>>,
}

/// Why a file is evidence of nothing, or not of all that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unread {
    /// Larger than [`MAX_SOURCE`].
    TooLarge,
    /// Nested deeper than any parser should follow.
    TooDeep,
    /// Not UTF-8.
    Encoding,
    /// A syntax error; what could be read counts.
    Syntax,
}

/// Reads one source: what is left of it when it is skimmed, or all of it where that has errors.
pub fn read(source: &[u8]) -> (PythonFacts, Option<Unread>) {
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    // Latin-1 and the like: the names that matter are ASCII, so the rest may be replaced.
    let text = std::str::from_utf8(source).map_or_else(|_| String::from_utf8_lossy(source), Cow::Borrowed);
    let skimmed = skim(&text).map(|skimmed| read_all(&skimmed));
    skimmed.filter(|(_, unread)| unread.is_none()).unwrap_or_else(|| read_all(&text))
}

/// Reads all of a source: says what [`read`] says, but slowly.
pub fn read_all(source: &str) -> (PythonFacts, Option<Unread>) {
    nesting::with_stack(source.as_bytes(), || parse(source)).unwrap_or((PythonFacts::default(), Some(Unread::TooDeep)))
}

fn parse(source: &str) -> (PythonFacts, Option<Unread>) {
    let parsed = ruff_python_parser::parse_unchecked_source(source, PySourceType::Python);
    let unread = (!parsed.errors().is_empty()).then_some(Unread::Syntax);
    let mut reader = Reader {
        facts: PythonFacts::default(),
        source: source.as_bytes(),
        counted: Cell::default(),
        strings: Vec::new(),
    };
    reader.visit_body(&parsed.syntax().body);
    (reader.finish(), unread)
}

struct Reader<'a> {
    facts: PythonFacts,
    source: &'a [u8],
    /// An offset up to which line ends were counted, and how many there are: most sources are read in order.
    counted: Cell<(usize, u32)>,
    /// Literals that may name a path in a test folder.
    strings: Vec<Mention>,
}

impl Reader<'_> {
    fn line(&self, at: TextSize) -> u32 {
        let at = at.to_usize();
        let (from, before) = self.counted.get();
        let ends_in = |range| memchr::memchr_iter(b'\n', &self.source[range]).count() as u32;
        let ends = if from <= at { before + ends_in(from..at) } else { before - ends_in(at..from) };
        self.counted.set((at, ends));
        ends + 1
    }

    fn mention(&self, text: &str, at: &impl Ranged) -> Mention {
        Mention { text: text.into(), line: self.line(at.start()) }
    }

    fn import_from(&mut self, import: &StmtImportFrom) {
        let line = self.line(import.start());
        self.facts.imports.push(Import {
            level: import.level,
            module: import.module.as_ref().map_or("", |module| module.as_str()).into(),
            names: import.names.iter().map(|alias| alias.name.as_str().into()).collect(),
            line,
        });
    }

    /// Imports a dotted name that stands in a literal, with leading dots.
    fn import_name(&mut self, name: &str, at: &impl Ranged) {
        let module = name.trim_start_matches('.');
        let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if module.split('.').all(is_name) {
            self.facts.imports.push(Import {
                level: (name.len() - module.len()) as u32,
                module: module.into(),
                names: Box::default(),
                line: self.line(at.start()),
            });
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let name = match &*call.func {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        let first = call.arguments.args.first();
        match Call::named(name.as_bytes()) {
            Some(kind @ (Call::Module | Call::Resource | Call::Files)) => {
                let module = first.and_then(literal);
                if let Some(module) = module {
                    self.import_name(module, call);
                }
                self.facts.reads_beside |= kind == Call::Files || kind == Call::Resource && module.is_some();
            }
            Some(Call::Program) => self.program(first),
            Some(Call::Library) => {
                for library in call.arguments.args.iter().filter_map(literal) {
                    let mention = self.mention(library, call);
                    self.facts.libraries.push(mention);
                }
            }
            None => {}
        }
    }

    /// A program is the first word of a string, or the first item of a list; after `-m` comes a module of Python.
    fn program(&mut self, first: Option<&Expr>) {
        let items = match first {
            Some(Expr::List(list)) => &list.elts[..],
            Some(Expr::Tuple(tuple)) => &tuple.elts[..],
            Some(other) => std::slice::from_ref(other),
            None => return,
        };
        self.modules_of(items);
        let Some((text, expr)) = items.first().and_then(|item| Some((literal(item)?, item))) else { return };
        let is_list = matches!(first, Some(Expr::List(_) | Expr::Tuple(_)));
        // A string may be a pipeline for a shell.
        for part in text.split(|c| !is_list && "|&;".contains(c)) {
            let mut words = part.split_whitespace();
            let Some(program) = words.next() else { continue };
            let argument = words.next().or_else(|| items.get(1).and_then(literal));
            let command = Command { program: self.mention(program, expr), argument: argument.map(Into::into) };
            self.facts.commands.push(command);
        }
    }

    /// `-m` is followed by a module of Python.
    fn modules_of(&mut self, items: &[Expr]) {
        for pair in items.windows(2) {
            if literal(&pair[0]) == Some("-m")
                && let Some(module) = literal(&pair[1])
            {
                self.import_name(module, &pair[1]);
            }
        }
    }

    fn string(&mut self, text: &str, at: &impl Ranged) {
        if text.len() > 200 {
            return;
        }
        let has_dot = memchr::memchr(b'.', text.as_bytes()).is_some();
        if has_dot && text.contains(".so") {
            let name = text.rsplit('/').next().unwrap_or(text);
            if name.starts_with("lib")
                && name.split(".so").nth(1).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            {
                let mention = self.mention(name, at);
                self.facts.libraries.push(mention);
            }
        }
        if has_dot && text.ends_with(".h") && !text.contains(char::is_whitespace) {
            let mention = self.mention(text.rsplit('/').next().unwrap_or(text), at);
            self.facts.headers.push(mention);
        }
        let is_test = |part: &str| matches!(part, "tests" | "test" | "_tests" | "testing");
        if text.contains("test") && text.split('/').any(is_test) {
            let mention = self.mention(text, at);
            self.strings.push(mention);
        }
    }

    fn finish(mut self) -> PythonFacts {
        if self.facts.reads_beside {
            self.facts.data = self.strings;
        }
        self.facts.imports.dedup_by(|a, b| a.module == b.module && a.level == b.level && a.names == b.names);
        self.facts.imports.shrink_to_fit();
        self.facts
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringLiteral(string) => Some(string.value.to_str()),
        _ => None,
    }
}

fn is_type_checking(test: &Expr) -> bool {
    match test {
        Expr::Name(name) => name.id.as_str() == "TYPE_CHECKING",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "TYPE_CHECKING",
        _ => false,
    }
}

impl<'a> Visitor<'a> for Reader<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let (module, line) = (alias.name.as_str().into(), self.line(import.start()));
                    self.facts.imports.push(Import { level: 0, module, names: Box::default(), line });
                }
            }
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::If(StmtIf { test, elif_else_clauses, .. }) if is_type_checking(test) => {
                for clause in elif_else_clauses {
                    walk_elif_else_clause(self, clause);
                }
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => self.call(call),
            Expr::StringLiteral(string) => self.string(string.value.to_str(), string),
            Expr::Name(name) if name.id.as_str() == "__file__" => self.facts.reads_beside = true,
            _ => {}
        }
        walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(source: &str) -> Vec<String> {
        let show = |import: Import| {
            format!("{}{} {}", ".".repeat(import.level as usize), import.module, import.names.join(","))
        };
        read(source.as_bytes()).0.imports.into_iter().map(|import| show(import).trim_end().to_owned()).collect()
    }

    fn mentions(mentions: &[Mention]) -> Vec<&str> {
        mentions.iter().map(|mention| &*mention.text).collect()
    }

    #[test]
    fn imports_count_wherever_they_stand_but_not_under_type_checking() {
        let source = "
import a.b, c as d
from . import e
from ..f.g import (h, i as j)
try:
    import k
except ImportError:
    import l
def function():
    from m import *
if TYPE_CHECKING:
    import hidden
elif x:
    import n
else:
    import o
if typing.TYPE_CHECKING:
    import hidden
importlib.import_module('.p', __name__)
__import__('q')
match x:
    case 1:
        import r
type X = int
";
        let expected = ["a.b", "c", ". e", "..f.g h,i", "k", "l", "m *", "n", "o", ".p", "q", "r"];
        assert_eq!(imports(source), expected);
        assert_eq!(read(source.as_bytes()).0.imports[5].line, 8);
    }

    #[test]
    fn programs_and_libraries_are_known_by_literals() {
        let source = r#"
subprocess.run(["git", "status"])
os.system("convert a b")
shutil.which("dot")
run([sys.executable, "-m", "pip", "install"])
run("curl -s x | jq .", shell=True)
ctypes.CDLL("libmagic.so.1")
find_library("cairo")
dlopen(ffi, "libpango-1.0-0", 'pango')
names = ("lib/libfoo.so.2", "not.sorted", "x.so")
run(variable)
"#;
        let facts = read(source.as_bytes()).0;
        let commands = facts.commands.iter().map(|command| (&*command.program.text, command.argument.as_deref()));
        assert_eq!(
            commands.collect::<Vec<_>>(),
            [("git", Some("status")), ("convert", Some("a")), ("dot", None), ("curl", Some("-s")), ("jq", Some("."))]
        );
        assert_eq!(imports(source), ["pip"]);
        assert_eq!(
            mentions(&facts.libraries),
            ["libmagic.so.1", "libmagic.so.1", "cairo", "libpango-1.0-0", "pango", "libfoo.so.2"]
        );
    }

    #[test]
    fn data_in_test_folders_counts_if_the_file_looks_beside_itself() {
        let with = "import os\nroot = os.path.join(os.path.dirname(__file__), 'tests', 'data')\nx = 'tests/a.csv'";
        assert_eq!(mentions(&read(with.as_bytes()).0.data), ["tests", "tests/a.csv"]);
        assert!(read(b"x = 'tests'").0.data.is_empty());
        assert_eq!(imports("resources.files('pkg.tests')"), ["pkg.tests"]);
        assert_eq!(mentions(&read(b"open(join(include, 'a/bitgen.h'))").0.headers), ["bitgen.h"]);
    }

    #[test]
    fn broken_old_and_hostile_sources_are_read_as_far_as_they_go() {
        assert_eq!(read(b"import a\ndef (:\nimport b\n").1, Some(Unread::Syntax));
        assert!(imports("import a\nprint 'python 2'\nimport b\n").contains(&"b".to_owned()));
        assert_eq!(read(&b"(".repeat(100_000)).1, Some(Unread::TooDeep));
        assert_eq!(read("\u{feff}import a".as_bytes()).0.imports.len(), 1);
        assert_eq!(read(b"# caf\xe9\nimport a\n").0.imports.len(), 1);
        read(&[0, 159, 146, 150].repeat(1000));
        // As deep as it gets, on a thread's usual stack.
        for part in ["(", "[", "f(", "not ", "a.", "a + ", "x if y else ", "lambda: ", "a**", "if a:\n "] {
            read(part.repeat(60_000 / part.len()).as_bytes());
        }
    }
}
