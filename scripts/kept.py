#!/usr/bin/env python3
"""Measures what each kind of evidence keeps on the lab images, and writes the table of docs/evidence.md.

usage: kept.py      (needs target/release/pydock and the images of scripts/lab.sh)

For each image: slims it at `standard` without writing it, and sums the installed sizes of the packages that are kept, and the
number of paths that a rule names but that are kept, by the kind of the reason.
"""
import json
import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path

root = Path(__file__).resolve().parent.parent
IMAGES = ["fat-web", "slim-web", "fat-ds", "slim-ds"]
MARKS = ("<!-- kept -->", "<!-- /kept -->")


def blob(layout, descriptor):
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


def installed_sizes(layout):
    """Returns the installed size of each package, in bytes, from the highest layer that has dpkg's status."""
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(layout, index["manifests"][0]).read_text())
    for layer in reversed(manifest["layers"]):
        with tarfile.open(blob(layout, layer)) as tar:
            for member in tar:
                if member.name.strip("./") == "var/lib/dpkg/status":
                    text = tar.extractfile(member).read().decode()
                    stanzas = [dict(line.split(": ", 1) for line in stanza.splitlines() if line[:1].strip() and ": " in line) for stanza in text.split("\n\n")]
                    return {fields["Package"]: int(fields.get("Installed-Size", 0)) * 1024 for fields in stanzas if "Package" in fields}
    return {}


def measure(image):
    layout = root / "target/lab/oci" / image
    run = subprocess.run([root / "target/release/pydock", "slim", "-q", "--dry-run", "--format", "json", f"oci:{layout}"], check=True, stdout=subprocess.PIPE)
    report = json.loads(run.stdout)["images"][0]
    sizes, packages, paths = installed_sizes(layout), defaultdict(int), defaultdict(int)
    for package in report["keptPackages"]:
        packages[package["reason"]["kind"]] += sizes.get(package["name"], 0)
    for path in report["kept"]:
        paths[path["reason"]["kind"]] += 1
    return packages, paths


def main():
    measured = {image: measure(image) for image in IMAGES}
    kinds = sorted({kind for packages, paths in measured.values() for kind in [*packages, *paths]})
    lines = ["| reason | " + " | ".join(f"{image}: MB of packages, paths" for image in IMAGES) + " |", "|---|" + "---:|" * len(IMAGES)]
    for kind in kinds:
        cells = [f"{packages[kind] / 1e6:.1f}, {paths[kind]}" for packages, paths in measured.values()]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    page = root / "docs/evidence.md"
    text = page.read_text()
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    page.write_text(text[:start] + "\n" + "\n".join(lines) + "\n" + text[end:])


main()
