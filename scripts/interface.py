#!/usr/bin/env python3
"""Writes the public interface of each crate to docs/interface/CRATE.txt, one item or method a line.

usage: interface.py [--check]

The source is the HTML of `cargo doc`, which leaves out what is hidden. With --check, nothing is written: the program fails if
a file differs from the documentation. A change of the interface thus shows in a review.
"""
import html.parser
import re
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
CRATES = ["pydock", "pydock_layer", "pydock_registry"]
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Page(html.parser.HTMLParser):
    """Collects the declaration of an item, and the signatures of its own methods."""

    def __init__(self):
        super().__init__()
        self.stack, self.found, self.text, self.depth, self.skipped = [], [], None, 0, 0

    def handle_starttag(self, tag, attributes):
        if tag in VOID:
            return
        attributes = dict(attributes)
        classes, name = (attributes.get("class") or "").split(), attributes.get("id") or ""
        self.stack.append((tag, name, classes))
        in_own = any(name == "implementations-list" or name.startswith("required-methods") for _, name, _ in self.stack)
        is_item = tag == "pre" and "item-decl" in classes or tag == "dt" and self.is_reexport()
        is_method = tag in ("h4", "h3") and "code-header" in classes and in_own
        if self.text is None and (is_item or is_method):
            self.text, self.depth = "", len(self.stack)
        if self.text is not None and ("docblock" in classes or "src" in classes or "where-note" in classes):
            self.skipped = self.skipped or len(self.stack)

    def is_reexport(self):
        return any(name.startswith("reexport.") for _, name, _ in self.stack)

    def handle_endtag(self, tag):
        if tag in VOID or not self.stack:
            return
        if self.text is not None and len(self.stack) == self.depth:
            text = re.sub(r"Show \d+ (fields|variants|methods) | ⓘ", "", " ".join(self.text.split()))
            self.found.extend([text] if text and not text.startswith("impl ") else [])
            self.text = None
        if self.skipped and len(self.stack) == self.skipped:
            self.skipped = 0
        self.stack.pop()

    def handle_data(self, data):
        if self.text is not None and not self.skipped:
            self.text += data


def interface(crate):
    """Returns the lines of one crate, sorted by module and item."""
    folder = root / "target/doc" / crate
    lines = []
    for path in sorted(folder.rglob("*.html")):
        kind = path.name.split(".")[0]
        if path.name in ("all.html", "sidebar-items.html"):
            continue
        page = Page()
        page.feed(path.read_text())
        module = "::".join([crate, *path.relative_to(folder).parts[:-1]])
        head = module if kind == "index" else f"{module}::{path.name.split('.')[1]}"
        lines += [f"{head}: {line}" for line in page.found]
    return "".join(f"{line}\n" for line in sorted(set(lines)))


def main():
    check = sys.argv[1:] == ["--check"]
    differs = []
    for crate in CRATES:
        if not (root / "target/doc" / crate).is_dir():
            sys.exit(f"interface: there is no documentation of {crate}; run `cargo doc --no-deps --workspace`")
        path = root / f"docs/interface/{crate.replace('_', '-')}.txt"
        text = interface(crate)
        if check:
            old = path.read_text() if path.exists() else ""
            if old != text:
                differs.append(path.name)
                subprocess.run(["diff", "-u", path, "-"], input=text, text=True, check=False)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if differs:
        sys.exit(f"interface: {', '.join(differs)} is out of date; read the difference, and run scripts/interface.py")


if __name__ == "__main__":
    main()
