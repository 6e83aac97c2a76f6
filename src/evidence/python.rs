//! What was found in one Python file: its imports, and the programs, libraries and data files that it names.
//!
//! ruff's own parser (`ruff_python_parser`, published by its authors) reads the syntax of every Python version in use,
//! continues after an error, and is the fastest parser available. A file with errors counts as far as it could be read,
//! and is reported. An import counts anywhere, also under `try` or in a function, but not under `if TYPE_CHECKING`.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use ruff_python_ast::visitor::{Visitor, walk_elif_else_clause, walk_expr, walk_stmt};
use ruff_python_ast::{
    Expr, ExprAttribute, ExprCall, ExprDict, FStringPart, InterpolatedStringElement, Keyword, Operator, Parameters,
    PySourceType, Stmt, StmtIf, StmtImportFrom,
};
use ruff_text_size::{Ranged, TextRange, TextSize};
use serde::{Deserialize, Serialize};

use super::calls::{Call, is_program_name, runs_programs};
use super::nesting;
use super::tools::asks_about_checkout;
use super::words::{Syntax, Use, WordCollector, Words};

/// The largest source that is parsed, in bytes. Larger sources are tables of data.
pub const MAX_SOURCE: u64 = 4 << 20;
/// How many bytes of one literal are split into words.
const MAX_LITERAL: usize = 64 << 10;
/// The longest literal that may be a path beside the source, in bytes.
const MAX_BESIDE: usize = 200;

/// What was found in one Python file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonFacts {
    /// Modules that it imports.
    pub imports: Vec<Import>,
    /// Words in its literals that may name programs, libraries and paths.
    pub words: Words,
    /// Whether it runs programs, whatever their names.
    pub runs_programs: bool,
    /// Whether it opens shared libraries, whatever their names.
    pub opens_libraries: bool,
    /// Literals that may be paths beside the source, if it reads files there.
    pub data: Vec<Mention>,
    /// Header files that its literals name. Some modules parse headers of their own package when they are imported.
    pub headers: Vec<Mention>,
}

impl PythonFacts {
    /// Returns about how many bytes of memory the facts take.
    pub fn weight(&self) -> u64 {
        let import = |import: &Import| {
            let names = import.names.iter().map(|name| name.len() + size_of::<Box<str>>());
            size_of::<Import>() + import.module.len() + names.sum::<usize>()
        };
        let mention = |mention: &Mention| size_of::<Mention>() + mention.text.len();
        let mentions = self.data.iter().chain(&self.headers).map(mention).sum::<usize>();
        (self.imports.iter().map(import).sum::<usize>() + mentions) as u64 + self.words.weight()
    }
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The number of leading dots.
    pub level: u32,
    /// The module, without leading dots.
    pub module: Box<str>,
    /// Names that are imported from it; each may be a submodule.
    pub names: Box<[Box<str>]>,
    /// The line, counted from 1.
    pub line: u32,
}

/// A literal and its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The literal.
    pub text: Box<str>,
    /// The line, counted from 1.
    pub line: u32,
}

/// Why a file was not read, or not completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UnreadReason {
    /// Larger than [`MAX_SOURCE`], or the limit for other texts.
    TooLarge,
    /// Nested too deep.
    TooDeep,
    /// Not UTF-8.
    Encoding,
    /// A syntax error. What could be read counts.
    Syntax,
}

impl fmt::Display for UnreadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "too large",
            Self::TooDeep => "nested too deep",
            Self::Encoding => "not UTF-8",
            Self::Syntax => "syntax error",
        })
    }
}

/// Reads one source.
pub fn read(source: &[u8]) -> (PythonFacts, Option<UnreadReason>) {
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    // Latin-1 and similar encodings: the names that matter are ASCII, so other bytes may be replaced.
    let text = std::str::from_utf8(source).map_or_else(|_| String::from_utf8_lossy(source), Cow::Borrowed);
    nesting::with_stack(text.as_bytes(), || parse(&text))
        .unwrap_or((PythonFacts::default(), Some(UnreadReason::TooDeep)))
}

fn parse(source: &str) -> (PythonFacts, Option<UnreadReason>) {
    let parsed = ruff_python_parser::parse_unchecked_source(source, PySourceType::Python);
    let unread = (!parsed.errors().is_empty()).then_some(UnreadReason::Syntax);
    let mut reader = Reader::new(source.as_bytes());
    reader.visit_body(&parsed.syntax().body);
    (reader.finish(), unread)
}

/// Modules whose attributes are programs: `sh.git`, `plumbum.cmd.git`.
const PROGRAM_MODULES: [&str; 2] = ["sh", "plumbum.cmd"];

/// Stands for a call of `cffi.FFI.compile`, which counts only in the application's own files.
pub const FFI_COMPILE: &str = "cffi.FFI.compile";

/// Functions and methods that compile C when they are called, with their modules. Each counts as an import of the name
/// in the third place, so that rules can name it like a module.
const COMPILES: [(&str, &str, &str); 4] = [
    ("cffi", "verify", "cffi.verifier"),
    ("torch", "compile", "torch.compile"),
    ("cython", "inline", "cython.inline"),
    ("Cython", "inline", "cython.inline"),
];

struct Reader<'a> {
    facts: PythonFacts,
    source: &'a [u8],
    /// An offset, and the number of line ends before it. Most sources are read in order, so counting continues there.
    counted: Cell<(usize, u32)>,
    words: WordCollector,
    /// How the next literals are used.
    context: Use,
    /// Whether it reads files beside itself (`__file__`, `importlib.resources`, `pkgutil.get_data`).
    reads_beside: bool,
    /// Literals that may name a path beside the source.
    beside: Vec<Mention>,
    /// The positions of literals that are parts of a joined path.
    joined: HashSet<TextSize>,
    /// The modules that names refer to.
    modules: HashMap<String, String>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a [u8]) -> Self {
        Self {
            facts: PythonFacts::default(),
            source,
            counted: Cell::default(),
            words: WordCollector::default(),
            context: Use::Command,
            reads_beside: false,
            beside: Vec::new(),
            joined: HashSet::new(),
            modules: HashMap::new(),
        }
    }

    fn line(&self, at: TextSize) -> u32 {
        let at = at.to_usize();
        let (from, before) = self.counted.get();
        let ends = if from <= at { before + self.ends(from..at) } else { before - self.ends(at..from) };
        self.counted.set((at, ends));
        ends + 1
    }

    /// Returns the number of line ends in a part of the source.
    fn ends(&self, range: std::ops::Range<usize>) -> u32 {
        memchr::memchr_iter(b'\n', &self.source[range]).count() as u32
    }

    fn mention(&self, text: &str, at: &impl Ranged) -> Mention {
        Mention { text: text.into(), line: self.line(at.start()) }
    }

    /// Visits expressions whose literals are used as `context`.
    fn visit_as<'b>(&mut self, context: Use, exprs: impl IntoIterator<Item = &'b Expr>) {
        let before = std::mem::replace(&mut self.context, context);
        for expr in exprs {
            self.visit_expr(expr);
        }
        self.context = before;
    }

    fn import(&mut self, level: u32, module: &str, names: Box<[Box<str>]>, at: TextSize) {
        self.facts.runs_programs |= level == 0 && runs_programs(module);
        self.facts.opens_libraries |= level == 0 && matches!(top_level(module), "ctypes" | "cffi");
        self.facts.imports.push(Import { level, module: module.into(), names, line: self.line(at) });
    }

    fn import_from(&mut self, import: &StmtImportFrom) {
        let module = import.module.as_ref().map_or("", |module| module.as_str());
        for alias in &import.names {
            let bound = alias.asname.as_ref().unwrap_or(&alias.name);
            self.modules.insert(bound.to_string(), format!("{module}.{}", alias.name));
            if PROGRAM_MODULES.contains(&module) {
                self.add_program(alias.name.as_str(), alias.start());
            }
        }
        let names = import.names.iter().map(|alias| alias.name.as_str().into()).collect();
        self.import(import.level, module, names, import.start());
    }

    /// Adds an import of a dotted name in a literal, which may have leading dots.
    fn import_name(&mut self, name: &str, at: &impl Ranged) {
        let module = name.trim_start_matches('.');
        let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if module.split('.').all(is_name) {
            self.import((name.len() - module.len()) as u32, module, Box::default(), at.start());
        }
    }

    /// Adds a program that an identifier names. An `_` in the identifier may stand for `-`.
    fn add_program(&mut self, name: &str, at: TextSize) {
        let line = self.line(at);
        self.words.add(name, line, Use::Run);
        if name.contains('_') {
            self.words.add(&name.replace('_', "-"), line, Use::Run);
        }
    }

    fn attribute(&mut self, attribute: &ExprAttribute) {
        let Expr::Name(name) = &*attribute.value else { return };
        let Some(module) = self.modules.get(name.id.as_str()) else { return };
        if PROGRAM_MODULES.contains(&module.as_str()) {
            self.add_program(attribute.attr.as_str(), attribute.start());
        } else if let Some((.., import)) =
            COMPILES.iter().find(|(of, name, _)| *of == module && *name == attribute.attr.as_str())
        {
            self.import(0, import, Box::default(), attribute.start());
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let name = match &*call.func {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => "",
        };
        let first = call.arguments.args.first();
        let kind = Call::named(name.as_bytes());
        match kind {
            Some(Call::Module | Call::Resource | Call::Files) => {
                let module = first.and_then(literal);
                if let Some(module) = module {
                    self.import_name(module, call);
                }
                self.reads_beside |= kind == Some(Call::Files) || kind == Some(Call::Resource) && module.is_some();
            }
            Some(Call::Program) => self.modules_of(first),
            Some(Call::Library) => self.facts.opens_libraries = true,
            None if matches!(name, "join" | "joinpath") => self.join(&call.arguments.args),
            // `FFI().verify(…)` compiles, whatever the name of the instance.
            None if name == "verify" && self.imports_cffi() => {
                self.import(0, "cffi.verifier", Box::default(), call.start());
            }
            // `ffibuilder.compile(…)` compiles, too, but packages also have such calls in the scripts that built them.
            None if name == "compile" && self.imports_cffi() && !self.is_of_a_module(&call.func) => {
                self.import(0, FFI_COMPILE, Box::default(), call.start());
            }
            None => {}
        }
        let is_program = kind == Some(Call::Program);
        let names_one = first.is_some_and(|first| matches!(first, Expr::List(_) | Expr::Tuple(_)) || is_literal(first));
        self.facts.runs_programs |= is_program && (names_one || !matches!(name, "run" | "call" | "spawn"));
        self.visit_expr(&call.func);
        for (number, argument) in call.arguments.args.iter().enumerate() {
            self.visit_as(if is_program && number == 0 { Use::Run } else { self.context }, [argument]);
        }
        for Keyword { arg, value, .. } in &call.arguments.keywords {
            let name = arg.as_ref().map_or("", |name| name.as_str());
            let context = if is_program && matches!(name, "args" | "cmd" | "command" | "executable") {
                Use::Run
            } else {
                self.context_of(name, value)
            };
            self.visit_as(context, [value]);
        }
    }

    fn imports_cffi(&self) -> bool {
        self.modules.values().any(|module| top_level(module) == "cffi")
    }

    /// Returns whether a function is called by its module's name: `re.compile`.
    fn is_of_a_module(&self, function: &Expr) -> bool {
        let Expr::Attribute(attribute) = function else { return true };
        matches!(&*attribute.value, Expr::Name(name) if self.modules.contains_key(name.id.as_str()))
    }

    /// Returns how a literal is used that is assigned or passed under a name.
    fn context_of(&self, name: &str, value: &Expr) -> Use {
        // `gs_path = "gs"`
        let is_its_own = || literal(value).is_some_and(|text| name.strip_suffix("_path") == Some(text));
        if is_program_name(name) || is_its_own() { Use::Named } else { self.context.min(Use::Command) }
    }

    /// Adds the Python modules that follow `-m` in a list that is run.
    fn modules_of(&mut self, first: Option<&Expr>) {
        let Some(items) = first.and_then(items) else { return };
        for pair in items.windows(2) {
            if literal(&pair[0]) == Some("-m")
                && let Some(module) = literal(&pair[1])
            {
                self.import_name(module, &pair[1]);
            }
        }
    }

    /// Adds a path that is joined from literals. Its parts name nothing by themselves.
    fn join<'b>(&mut self, parts: impl IntoIterator<Item = &'b Expr>) {
        let parts = parts.into_iter().skip_while(|part| literal(part).is_none());
        let parts = parts.map_while(|part| Some((literal(part)?, part))).collect::<Vec<_>>();
        let Some((_, first)) = parts.first() else { return };
        let path = parts.iter().map(|(text, _)| *text).collect::<Vec<_>>().join("/");
        self.add_beside(&path, first);
        self.joined.extend(parts.iter().map(|(_, part)| part.start()));
    }

    /// Adds a path that is joined by `/`: `Path(…) / "a" / "b"`.
    fn divide(&mut self, expr: &Expr) {
        let mut parts = Vec::new();
        let mut at = expr;
        while let Expr::BinOp(operation) = at
            && operation.op == Operator::Div
        {
            if self.joined.contains(&operation.right.start()) {
                return;
            }
            parts.push(&*operation.right);
            at = &operation.left;
        }
        if parts.iter().any(|part| literal(part).is_some()) {
            self.join(parts.into_iter().rev());
        }
    }

    fn add_beside(&mut self, path: &str, at: &impl Ranged) {
        if path.len() <= MAX_BESIDE && !path.is_empty() && !path.contains(char::is_control) {
            let mention = self.mention(path, at);
            self.beside.push(mention);
        }
    }

    /// Reads the text of a literal at `range`.
    fn string(&mut self, text: &str, range: TextRange) {
        let mut end = text.len().min(MAX_LITERAL);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        let first = self.line(range.start());
        let last = first + self.ends(range.start().to_usize()..range.end().to_usize());
        if text.starts_with('/') {
            self.words.add(text, first, self.context);
        }
        if asks_about_checkout(text) {
            let (program, rest) = text.split_once(' ').unwrap_or((text, ""));
            self.words.add(program, first, Use::Checkout);
            self.words.add_text(rest, first..=last, Syntax::Shell, Use::Mention);
        } else {
            self.words.add_text(text, first..=last, Syntax::Shell, self.context);
        }
        self.path(text, range);
    }

    /// Reads a literal that may be a path beside the source.
    fn path(&mut self, text: &str, range: TextRange) {
        if text.len() > MAX_BESIDE || text.contains(char::is_whitespace) {
            return;
        }
        if text.ends_with(".h") {
            let mention = self.mention(text.rsplit('/').next().unwrap_or(text), &range);
            self.facts.headers.push(mention);
        }
        if self.joined.contains(&range.start()) {
            return;
        }
        let is_test = |part: &str| matches!(part, "tests" | "test" | "_tests" | "testing");
        if text.contains('/') || text.contains('.') || is_test(text) {
            self.add_beside(text, &range);
        }
    }

    /// Visits a list. Its first item is used like the list itself, the others are arguments.
    fn list(&mut self, items: &[Expr]) {
        let question = |pair: &[Expr]| Some(format!("{} {}", literal(&pair[0])?, literal(&pair[1])?));
        let asks = items.windows(2).next().and_then(question).is_some_and(|text| asks_about_checkout(&text));
        let context = if asks { Use::Checkout } else { self.context };
        self.visit_as(context, items.first());
        let context = self.context.min(Use::Command);
        self.visit_as(context, items.iter().skip(1));
    }

    fn dict(&mut self, dict: &ExprDict) {
        for item in &dict.items {
            self.visit_as(Use::Command, &item.key);
            let name = item.key.as_ref().and_then(literal).unwrap_or_default();
            self.visit_as(self.context_of(name, &item.value), [&item.value]);
        }
    }

    fn finish(mut self) -> PythonFacts {
        if self.reads_beside {
            self.facts.data = self.beside;
            self.facts.data.dedup_by(|a, b| a.text == b.text);
        }
        self.facts.words = self.words.finish();
        self.facts.imports.dedup_by(|a, b| a.module == b.module && a.level == b.level && a.names == b.names);
        self.facts.imports.shrink_to_fit();
        self.facts
    }
}

fn top_level(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringLiteral(string) => Some(string.value.to_str()),
        _ => None,
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::StringLiteral(_) | Expr::FString(_))
}

fn items(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::List(list) => Some(&list.elts),
        Expr::Tuple(tuple) => Some(&tuple.elts),
        _ => None,
    }
}

/// Returns the name of an assignment's target; empty if it has none.
fn target_name(target: &Expr) -> &str {
    match target {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        Expr::Subscript(subscript) => literal(&subscript.slice).unwrap_or_default(),
        _ => "",
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
                    let module = alias.name.as_str();
                    let bound = alias.asname.as_ref().map_or(top_level(module), |name| name.as_str());
                    let stands_for = if alias.asname.is_some() { module } else { top_level(module) };
                    self.modules.insert(bound.to_owned(), stands_for.to_owned());
                    self.import(0, module, Box::default(), import.start());
                }
            }
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::If(StmtIf { test, elif_else_clauses, .. }) if is_type_checking(test) => {
                for clause in elif_else_clauses {
                    walk_elif_else_clause(self, clause);
                }
            }
            // A docstring, or a string that serves as a comment.
            Stmt::Expr(statement) if is_literal(&statement.value) => {}
            Stmt::Assign(assign) => {
                let name = assign.targets.first().map_or("", target_name);
                self.visit_as(Use::Command, &assign.targets);
                self.visit_as(self.context_of(name, &assign.value), [&*assign.value]);
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.visit_as(self.context_of(target_name(&assign.target), value), [&**value]);
                }
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = &parameter.default {
                let context = self.context_of(parameter.parameter.name.as_str(), default);
                self.visit_as(context, [&**default]);
            }
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => return self.call(call),
            Expr::Dict(dict) => return self.dict(dict),
            Expr::List(list) => return self.list(&list.elts),
            Expr::Tuple(tuple) => return self.list(&tuple.elts),
            Expr::StringLiteral(string) => return self.string(string.value.to_str(), string.range()),
            Expr::BytesLiteral(bytes) => {
                for part in &bytes.value {
                    self.string(&String::from_utf8_lossy(part.as_slice()), part.range());
                }
            }
            Expr::FString(string) => {
                for part in &string.value {
                    if let FStringPart::Literal(literal) = part {
                        self.string(&literal.value, literal.range());
                    }
                }
            }
            Expr::Name(name) if name.id.as_str() == "__file__" => self.reads_beside = true,
            Expr::Attribute(attribute) => self.attribute(attribute),
            Expr::BinOp(operation) if operation.op == Operator::Div => self.divide(expr),
            _ => {}
        }
        walk_expr(self, expr);
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        match element {
            InterpolatedStringElement::Literal(literal) => self.string(&literal.value, literal.range()),
            InterpolatedStringElement::Interpolation(interpolation) => self.visit_expr(&interpolation.expression),
        }
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

    /// Returns the words with at least this use, each with its use.
    fn words(source: &str, at_least: Use) -> Vec<(String, Use)> {
        let facts = read(source.as_bytes()).0;
        let words = facts.words.iter().filter(|word| word.r#use >= at_least);
        words.map(|word| (word.text.to_owned(), word.r#use)).collect()
    }

    fn texts(source: &str, at_least: Use) -> Vec<String> {
        words(source, at_least).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn a_program_is_known_however_the_call_is_written() {
        for source in [
            "subprocess.run(['git', 'clone'])",
            "os.system('git clone')",
            "shutil.which('git')",
            "run(args=['git', 'x'])",
            "check_output('ls | git x', shell=True)",
            "Popen(shlex.split('git x'))",
            "import sh\nsh.git('x')",
            "from sh import git",
            "from plumbum.cmd import git",
        ] {
            assert!(words(source, Use::Run).contains(&("git".to_owned(), Use::Run)), "{source}");
        }
        for source in [
            "def f(binary='git'): pass",
            "GIT_CMD = 'git'",
            "x(executable='git')",
            "x = {'tool': 'git'}",
            "git_path = 'git'",
        ] {
            assert!(words(source, Use::Named).contains(&("git".to_owned(), Use::Named)), "{source}");
        }
        for source in
            ["cmd(['bash', '-c', 'git x'])", "x = f'git {y}'", "f(b'git')", "names = ['a', 'git']", "'git x'.split()"]
        {
            assert!(texts(source, Use::Command).contains(&"git".to_owned()), "{source}");
        }
        assert_eq!(words("x('please use git')", Use::Mention)[2], ("git".to_owned(), Use::Mention));
        let docstrings = "'''git'''\ndef f(x: 'git') -> 'git':\n    'git'\n";
        assert_eq!(texts(docstrings, Use::Checkout), Vec::<String>::new());
    }

    #[test]
    fn a_question_about_the_own_checkout_is_known_as_one() {
        for source in ["run(['git', 'describe', '--tags'])", "os.system('git rev-parse HEAD')"] {
            let found = words(source, Use::Checkout);
            assert!(found.contains(&("git".to_owned(), Use::Checkout)), "{source}: {found:?}");
        }
        let twice = words("run(['git', 'describe'])\nrun(['git', 'clone'])", Use::Run);
        assert_eq!(twice, [("git".to_owned(), Use::Run)]);
    }

    #[test]
    fn a_source_says_whether_it_runs_programs_and_opens_libraries() {
        let facts = |source: &str| {
            let facts = read(source.as_bytes()).0;
            (facts.runs_programs, facts.opens_libraries)
        };
        assert_eq!(facts("import subprocess"), (true, false));
        assert_eq!(facts("from os import popen\npopen(x)"), (true, false));
        assert_eq!(facts("app.run(port)"), (false, false));
        assert_eq!(facts("from ctypes.util import find_library"), (false, true));
        assert_eq!(facts("db.load_extension(x)"), (false, true));
        assert_eq!(imports("run([sys.executable, '-m', 'pip'])"), ["pip"]);
    }

    #[test]
    fn what_compiles_when_it_is_used_counts_as_an_import() {
        for (source, module) in [
            ("import torch\ntorch.compile(model)", "torch.compile"),
            ("import torch as t\n@t.compile\ndef f(): pass", "torch.compile"),
            ("from cffi import FFI\nffi = FFI()\nffi.verify('x')", "cffi.verifier"),
            ("import cython\ncython.inline('x')", "cython.inline"),
        ] {
            assert!(imports(source).contains(&module.to_owned()), "{source}: {:?}", imports(source));
        }
        assert!(!imports("import jwt\njwt.verify('x')").contains(&"cffi.verifier".to_owned()));
    }

    #[test]
    fn a_path_beside_the_source_is_joined_of_its_parts() {
        let data = |source: &str| {
            let facts = read(format!("{source}\n__file__").as_bytes()).0;
            facts.data.iter().map(|data| data.text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(data("os.path.join(os.path.dirname(__file__), 'tests', 'data')"), ["tests/data"]);
        assert_eq!(data("HERE / 'native' / 'x.h'"), ["native/x.h"]);
        assert_eq!(data("join(HERE, 'data', model + '.pdb')"), ["data", ".pdb"]);
        assert_eq!(data("x = 'tests'\ny = 'a/b'\nz = 'core'"), ["tests", "a/b"]);
        assert!(read(b"x = 'tests'").0.data.is_empty());
        assert_eq!(imports("resources.files('pkg.tests')"), ["pkg.tests"]);
        assert_eq!(mentions(&read(b"open(include + 'a/bitgen.h')").0.headers), ["bitgen.h"]);
    }

    #[test]
    fn broken_old_and_hostile_sources_are_read_as_far_as_they_go() {
        assert_eq!(read(b"import a\ndef (:\nimport b\n").1, Some(UnreadReason::Syntax));
        assert!(imports("import a\nprint 'python 2'\nimport b\n").contains(&"b".to_owned()));
        assert_eq!(read(&b"(".repeat(100_000)).1, Some(UnreadReason::TooDeep));
        assert_eq!(read("\u{feff}import a".as_bytes()).0.imports.len(), 1);
        assert_eq!(read(b"# caf\xe9\nimport a\n").0.imports.len(), 1);
        read(&[0, 159, 146, 150].repeat(1000));
        // The deepest nesting that is accepted, on a thread's default stack.
        for part in ["(", "[", "f(", "not ", "a.", "a + ", "x if y else ", "lambda: ", "a**", "if a:\n "] {
            read(part.repeat(60_000 / part.len()).as_bytes());
        }
    }
}
