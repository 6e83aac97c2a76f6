#!/usr/bin/env python3
"""Runs the commands that the documentation shows, and writes their output into it.

usage: picture.py [--check] PYDOCK      (PYDOCK: the binary, for example target/release/pydock)

Writes docs/images/slim.svg, a terminal with the output of `pydock slim` and `pydock explain`; docs/images/cpu.svg, a chart of the
table in docs/performance.md; and the output in each ```console block of README.md and docs/cli.md. The commands run on
fixtures/pyapp.oci.tar in an empty folder.  --check writes nothing and fails if a file is out of date.
"""
import argparse
import os
import re
import subprocess
import tempfile
from html import escape
from pathlib import Path

root = Path(__file__).resolve().parent.parent
SOURCE = "oci-archive:fixtures/pyapp.oci.tar:pyapp:1"
PICTURE = [
    f"pydock slim {SOURCE} oci:slim:1",
    f"pydock explain {SOURCE} /usr/lib/x86_64-linux-gnu/libz.a /usr/share/doc/zlib1g/changelog.Debian.gz",
]
PAGES = ["README.md", "docs/cli.md"]
# What replaces the progress bars if standard error is not a terminal.
PROGRESS = re.compile(r"(scan|rewrite|push|write) .*\(.* [kMG]?B\)")
SEPARATOR = "\x1e"


def run(pydock, commands):
    """Runs commands one after the other in one shell and returns what each of them prints."""
    step = f'status=$?; printf "{SEPARATOR}"; (exit $status)'
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bin").mkdir()
        (Path(folder) / "bin/pydock").symlink_to(pydock.resolve())
        (Path(folder) / "fixtures").symlink_to(root / "fixtures")
        environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": folder, "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
        script = "\n".join(f"{command}\n{step}" for command in commands)
        shell = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    outputs = shell.stdout.split(SEPARATOR)[:-1]
    outputs = [[line.rstrip() for line in output.splitlines() if not PROGRESS.fullmatch(line)] for output in outputs]
    for command, output in zip(commands, outputs, strict=True):
        if not output:
            raise SystemExit(f"picture: no output: {command}")
    return outputs


# --- the terminal -----------------------------------------------------------------------------------------------------

COLUMNS, CHARACTER, LINE, MARGIN, BAR = 98, 7.83, 18, 18, 34
COLOURS = {
    "text": "#d5d9e0", "dim": "#8b94a3", "bold": "#ffffff", "green": "#7fd18b", "yellow": "#e3c069", "red": "#ef8f8f", "blue": "#82b1ff",
}
# The first rule that matches a character of a line colours it.
RULES = [
    (re.compile(r"^(layer|profile) .*"), "dim"),
    (re.compile(r"-\d+\.\d ?%"), "green"),
    (re.compile(r"\b(rewritten|removed)(?=  )"), "yellow"),
    (re.compile(r"\bkept(?=  )"), "dim"),
    (re.compile(r"\b(goes|removed)$"), "red"),
    (re.compile(r"\b(stays|kept)$"), "green"),
    (re.compile(r"^ +(rule|package|because)\b:?"), "blue"),
    (re.compile(r"\b[0-9a-f]{40,64}$|sha256:[0-9a-f]*"), "dim"),
    (re.compile(r"^wrote\b"), "green"),
]


def coloured(line):
    """Returns a line of output as SVG. Each cell of a table is placed by itself, so columns line up in any font."""
    colours = ["text"] * len(line)
    for rule, colour in reversed(RULES):
        for match in rule.finditer(line):
            colours[match.start():match.end()] = [colour] * len(match[0])
    spans = []
    for cell in re.finditer(r"\S+(?: \S+)*", line):
        start = cell.start()
        for end in range(cell.start() + 1, cell.end() + 1):
            if end == cell.end() or colours[end] != colours[start]:
                place = f' x="{MARGIN + start * CHARACTER:.2f}"' if start == cell.start() else ""
                fill = f' fill="{COLOURS[colours[start]]}"' if colours[start] != "text" else ""
                spans.append(f"<tspan{place}{fill}>{escape(line[start:end])}</tspan>")
                start = end
    return "".join(spans)


def wrapped(line, width):
    return [line[at:at + width] for at in range(0, len(line), width)] or [""]


def typed(command):
    """Returns a command with its prompt as lines of SVG, broken before arguments."""
    lines = [""]
    for word in command.split(" "):
        if len(lines[-1]) + len(word) > COLUMNS - 5:
            lines.append("    ")
        lines[-1] += f"{word} "
    prompt = f'<tspan fill="{COLOURS["green"]}">$ </tspan>'
    texts = [text.rstrip() + (" \\" if number < len(lines) else "") for number, text in enumerate(lines, 1)]
    bold = [f'<tspan fill="{COLOURS["bold"]}" font-weight="bold">{escape(text)}</tspan>' for text in texts]
    return [prompt + bold[0], *bold[1:]]


def terminal(commands, outputs):
    """Returns an SVG of a terminal in which the commands ran."""
    lines = []
    for command, output in zip(commands, outputs):
        lines += [*typed(command), *(coloured(part) for line in output for part in wrapped(line, COLUMNS)), ""]
    lines.pop()
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    height = BAR + len(lines) * LINE + MARGIN
    rows = [
        f'<text x="{MARGIN}" y="{BAR + (number + 1) * LINE - 4}" xml:space="preserve">{line}</text>'
        for number, line in enumerate(lines) if line
    ]
    dots = [f'<circle cx="{MARGIN + 4 + 20 * number}" cy="18" r="6" fill="{fill}"/>' for number, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{escape('; '.join(commands))}</title>",
        f'<rect width="{width}" height="{height}" rx="10" fill="#1c2027"/>',
        *dots,
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="13" fill="{COLOURS["text"]}">',
        *rows, "</g>", "</svg>", "",
    ])


# --- the chart --------------------------------------------------------------------------------------------------------


def chart():
    """Returns an SVG of the CPU times in docs/performance.md."""
    page = (root / "docs/performance.md").read_text()
    table = page.split("<!-- table: benches/compare.py -->")[1].split("<!-- end of table -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    rows = [(name, float(cpu), output) for name, _, cpu, _, output in rows if float(cpu) >= 1]
    left, bars, line = 375, 400, 26
    most = max(cpu for _, cpu, _ in rows)
    parts = []
    for number, (name, cpu, output) in enumerate(rows):
        y = 34 + number * line
        fill = "#2f7d4f" if name.startswith("pydock") else "#8b94a3"
        value = f"{cpu:.1f}" + (f"   output {output}" if output else "")
        parts += [
            f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{left}" y="{y}" width="{cpu / most * bars:.1f}" height="17" rx="2" fill="{fill}"/>',
            f'<text x="{left + cpu / most * bars + 8:.1f}" y="{y + 13}" xml:space="preserve">{value}</text>',
        ]
    width, height = left + bars + 160, 34 + len(rows) * line + 10
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        "<title>CPU time of pydock and other tools</title>",
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        '<g font-family="system-ui, \'Segoe UI\', Helvetica, Arial, \'DejaVu Sans\', sans-serif" font-size="13" fill="#1c2027">',
        f'<text x="{left}" y="20" font-weight="bold">CPU time; 1 = read, verify and decompress the image once</text>',
        *parts, "</g>", "</svg>", "",
    ])


# --- the pages --------------------------------------------------------------------------------------------------------


def refreshed(pydock, page):
    """Returns a page with the output of the commands in its console blocks as it is now."""

    def block(match):
        commands = [line[2:] for line in match[1].splitlines() if line.startswith("$ ")]
        shown = (f"$ {command}\n" + "".join(f"{line}\n" for line in output) for command, output in zip(commands, run(pydock, commands)))
        return "```console\n" + "".join(shown) + "```"

    return re.sub(r"```console\n(.*?)```", block, page, flags=re.S)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pydock", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    files = {
        root / "docs/images/slim.svg": terminal(PICTURE, run(options.pydock, PICTURE)),
        root / "docs/images/cpu.svg": chart(),
        **{root / page: refreshed(options.pydock, (root / page).read_text()) for page in PAGES},
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(root)} {'is out of date' if options.check else 'written'}")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
    raise SystemExit(1 if options.check and stale else 0)


main()
