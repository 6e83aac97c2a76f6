#!/usr/bin/env python3
"""Holds evidence to account over popular packages, and writes docs/compatibility.md.

For each level: slims lab/compat, loads it into Docker, imports every module of every distribution that could be imported
before, and runs the cases of fixtures/images/compat/cases.py.  usage: compat.py [--check]   (--check: writes nothing, and
fails if anything broke at safe or standard)
"""
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

root = Path(__file__).resolve().parent.parent
source = root / "target/lab/oci/compat"
work = root / "target/compat"
LEVELS = ["safe", "standard", "max"]

SIZES = """
import json
from importlib import metadata
sizes, owners = {}, {}
for dist in metadata.distributions():
    name = dist.name.lower().replace("_", "-")
    files = [file for file in dist.files or () if ".." not in file.parts]
    sizes[name] = sum(file.locate().stat().st_size for file in files if file.locate().is_file())
    for file in files:
        if file.suffix in (".py", ".so"):
            owners.setdefault(".".join([*file.parts[:-1], file.name.split(".")[0]]).removesuffix(".__init__"), name)
print(json.dumps([sizes, owners]))
"""


def docker(*args):
    return subprocess.run(["docker", *args], check=True, capture_output=True, text=True).stdout


def python(image, *args, mounts=()):
    volumes = [option for mount in mounts for option in ("-v", f"{mount}:ro")]
    run = subprocess.run(["docker", "run", "--rm", "--network", "none", *volumes, image, "python", "-B", *args], capture_output=True, text=True)
    try:
        return json.loads(run.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{image} {args}: {run.stdout[-500:]}{run.stderr[-2000:]}")


def slim(level):
    archive, report = work / f"{level}.tar", work / f"{level}.json"
    subprocess.run(
        [root / "target/release/pydock", "slim", "-q", "--level", level, "--report", report, f"oci:{source}", f"oci-archive:{archive}:pydock-compat:{level}"],
        check=True, stdout=subprocess.DEVNULL,
    )
    docker("load", "-q", "-i", str(archive))
    archive.unlink()
    return json.loads(report.read_text())["images"][0]


def module_of(path):
    """Returns the module that goes on purpose with this path: its own file, in a folder of tests."""
    if not {"tests", "test", "_tests"} & set(path.split("/")[:-1]):
        return None
    for folder in ("/site-packages/", "/dist-packages/"):
        if folder in path and path.endswith((".py", ".so")):
            head, _, name = path.split(folder, 1)[1].rpartition("/")
            return ".".join([*filter(None, head.split("/")), name.split(".")[0]]).removesuffix(".__init__")


def main():
    work.mkdir(parents=True, exist_ok=True)
    imports = f"{root}/tests/it/support/imports.py:/imports.py"
    names = work / "names.json"
    importable = python("lab/compat:1", "/imports.py", mounts=[imports])
    # What an import does depends on what was imported before it: only modules that import again in the very same order, count.
    for _ in range(2):
        names.write_text(json.dumps({name: result for name, result in importable.items() if result == "ok"}))
        importable = python("lab/compat:1", "/imports.py", "/names.json", mounts=[imports, f"{names}:/names.json"])
    importable = {name: result for name, result in importable.items() if result == "ok"}
    sizes, owners = python("lab/compat:1", "-c", SIZES)
    after, broken, cases, images = {}, {}, {}, {}
    for level in LEVELS:
        images[level] = slim(level)
        gone = {module_of(item["path"]) for item in images[level]["removed"]}
        tag = f"pydock-compat:{level}"
        results = python(tag, "/imports.py", "/names.json", mounts=[imports, f"{work}/names.json:/names.json"])
        broken[level] = defaultdict(list)
        for name in importable:
            if results.get(name) != "ok" and name not in gone:
                broken[level][owners.get(name, name.split(".")[0])].append(f"{name}: {results.get(name)}")
        after[level], _ = python(tag, "-c", SIZES)
        cases[level] = python(tag, "/cases.py", mounts=[f"{root}/fixtures/images/compat/cases.py:/cases.py"])
        docker("rmi", "-f", tag)
        print(level, "broken:", {k: v[:3] for k, v in broken[level].items()}, "cases:", {k: v for k, v in cases[level].items() if v != "ok"}, flush=True)
    failed = any(broken[level] or set(cases[level].values()) != {"ok"} for level in ("safe", "standard"))
    if "--check" not in sys.argv:
        page = root / "docs/compatibility.md"
        before = page.read_text()
        # The table of application images is scripts/apps.py's.
        start, end = before.find("<!-- apps -->"), before.find("<!-- /apps -->")
        apps = before[start:end] + "<!-- /apps -->\n\n" if 0 <= start < end else ""
        title, rest = table(sizes, after, broken, cases, images, importable, owners).split("\n\n", 1)
        page.write_text(f"{title}\n\n{apps}{rest}")
    modules = len(importable)
    print(f"{modules - failed} passed, {int(failed)} failed")
    raise SystemExit(failed)


def table(sizes, after, broken, cases, images, importable, owners):
    mb = lambda size: f"{size / 1e6:.1f}"
    count = defaultdict(int)
    for name in importable:
        count[owners.get(name, name.split(".")[0])] += 1
    lines = [
        "# Compatibility", "",
        "Made by `scripts/compat.py` from `fixtures/images/compat`: popular packages from PyPI in one image on CPython 3.11. Sizes are of",
        "the files that a distribution's RECORD lists, in MB. *broken* counts modules that could be imported before and cannot any",
        "more, other than those of test suites that were removed. At `max` whatever imports pip or setuptools may break: that is what `max` says.", "",
        "| image | " + " | ".join(["before", *LEVELS]) + " |", "|---|" + "---:|" * 4,
        "| compressed MB | " + " | ".join([mb(images["safe"]["before"]["compressed"]), *(mb(images[level]["after"]["compressed"]) for level in LEVELS)]) + " |",
        f"| modules that import | {len(importable)} | " + " | ".join(f"{sum(map(len, broken[level].values()))} broken" for level in LEVELS) + " |",
        "", "| case | " + " | ".join(LEVELS) + " |", "|---|" + "---|" * 3,
    ]
    for case in cases["safe"]:
        lines.append(f"| {case} | " + " | ".join(cases[level][case] for level in LEVELS) + " |")
    lines += ["", "| distribution | modules | before | " + " | ".join(LEVELS) + " | broken at safe, standard, max |", "|---|---:|---:|" + "---:|" * 3 + "---|"]
    for name in sorted(sizes):
        row = [name, str(count[name]), mb(sizes[name]), *(mb(after[level].get(name, 0)) for level in LEVELS)]
        lines.append("| " + " | ".join([*row, ", ".join(str(len(broken[level][name])) for level in LEVELS)]) + " |")
    return "\n".join(lines) + "\n"


main()
