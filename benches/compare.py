#!/usr/bin/env python3
"""Runs the floor, pydock and other tools in turn on one image, and prints a table of ratios.

The floor (benches/floor.rs) reads, verifies and inflates the same layers with the same threads, and decides and writes nothing.
Ratios are taken round by round, each to the floor of its own round, for the machine's speed drifts; medians of them are printed. Tools that
take minutes run in the first rounds only. CPU is user and system time of the tool alone (a registry's own and the Docker daemon's
are not counted).
usage: compare.py [--rounds N] [--slow-rounds N] [--write] [LAYOUT]   (default: 7 and 3 rounds of target/lab/oci/fat-web; --write puts the table in
docs/performance.md).  Needs what scripts/setup.sh installs, the image from scripts/lab.sh, regctl and docker-squash:
go install github.com/regclient/regclient/cmd/regctl@v0.11.7; pip install docker-squash==1.2.2 setuptools
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from support import oci
from support.oci import root

work = root / "target/compare"
pydock = root / "target/release/pydock"
REGISTRY = "127.0.0.1:5917"
SLOW = ("crane flatten", "docker-squash", "regctl image mod, 11 folders")
DAEMON_IMAGE = "pydock-compare:in"
# Folders that `pydock slim` takes from the large web image, too; for tools that need a list of what to strip.
FOLDERS = [
    "/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/include", "/usr/lib/gcc", "/root/.cache",
    "/var/lib/apt/lists", "/usr/share/perl", "/usr/lib/python3", "/usr/share/mercurial", "/usr/lib/git-core",
]
MARKS = ("<!-- table: benches/compare.py -->", "<!-- end of table -->")


def floor_binary():
    build = subprocess.run(
        ["cargo", "bench", "--bench", "floor", "--no-run", "--message-format=json"],
        cwd=root, check=True, capture_output=True, text=True,
    )
    lines = [json.loads(line) for line in build.stdout.splitlines()]
    return next(line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == "floor")


def measure(command):
    """Returns wall seconds, CPU seconds and peak memory in bytes of one run."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=root)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"{command}: {errors.decode()[-2000:]}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def layers_of(layout):
    return sum(layer["size"] for layer in oci.Layout(layout).manifest()["layers"])


def layers_in_registry(name):
    manifest = subprocess.run(["crane", "manifest", f"{REGISTRY}/{name}"], check=True, capture_output=True, text=True)
    return sum(layer["size"] for layer in json.loads(manifest.stdout)["layers"])


def serve():
    """Starts a registry whose blobs go with this run."""
    config = work / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {work}/registry}}}}\nhttp: {{addr: '{REGISTRY}'}}\n"
    )
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    return server


def tools(layout, floor):
    """Returns (name, command for a fresh folder, size of what it made)."""
    profiles = subprocess.run([pydock, "profiles"], check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    without = [option for line in profiles for option in ("--without", line.split()[0])]
    slim = [pydock, "slim", "-q", "--threads", "2"]
    strip = [option for folder in FOLDERS for option in ("--layer-strip-file", folder)]
    made = lambda folder: layers_of(folder)
    return [
        ("floor", lambda out: [floor, layout, "2"], None),
        ("pydock slim", lambda out: [*slim, f"oci:{layout}", f"oci:{out}:new"], made),
        ("pydock slim --squash all", lambda out: [*slim, "--squash", "all", f"oci:{layout}", f"oci:{out}:new"], made),
        ("pydock, nothing removed, --squash all", lambda out: [*slim, *without, "--squash", "all", f"oci:{layout}", f"oci:{out}:new"], made),
        ("pydock, nothing removed, --squash all --recompress", lambda out: [*slim, *without, "--recompress", "--squash", "all", f"oci:{layout}", f"oci:{out}:new"], made),
        ("pydock slim --recompress", lambda out: [*slim, "--recompress", f"oci:{layout}", f"oci:{out}:new"], made),
        ("skopeo copy", lambda out: ["skopeo", "copy", f"oci:{layout}", f"oci:{out}:new"], made),
        ("crane copy", lambda out: ["crane", "copy", f"{REGISTRY}/in:1", f"{REGISTRY}/{out.name}:copied"], lambda out: layers_in_registry(f"{out.name}:copied")),
        ("crane flatten", lambda out: ["crane", "flatten", f"{REGISTRY}/in:1", "-t", f"{REGISTRY}/in:flat"], lambda out: layers_in_registry("in:flat")),
        ("docker-squash", lambda out: ["docker-squash", "--output-path", f"{out}.tar", DAEMON_IMAGE], None),
        ("regctl image mod, 11 folders", lambda out: ["regctl", "image", "mod", f"ocidir://{out}.in:1", "--create", "new", *strip], lambda out: layers_of(Path(f"{out}.in"))),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", nargs="?", type=Path, default=root / "target/lab/oci/fat-web")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slow-rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="rows beside the floor")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    layout = args.layout.resolve()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=root, check=True)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    floor = floor_binary()
    server = serve()
    rows = {}
    try:
        subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{REGISTRY}/in:1"], check=True)
        subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}", f"docker-daemon:{DAEMON_IMAGE}"], check=True)
        for number in range(args.rounds):
            for name, command, size in tools(layout, floor):
                if name in SLOW and number >= args.slow_rounds:
                    continue
                if args.only and name not in ["floor", *args.only]:
                    continue
                out = work / f"out{number}"
                if name.startswith("regctl"):
                    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}", f"oci:{out}.in:1"], check=True)
                row = rows.setdefault(name, {"runs": [], "size": None})
                row["runs"].append(measure(command(out)))
                row["size"] = size(out) if size else None
                for folder in (out, Path(f"{out}.in")):
                    shutil.rmtree(folder, ignore_errors=True)
                Path(f"{out}.tar").unlink(missing_ok=True)
    finally:
        server.terminate()
        subprocess.run(["docker", "rmi", "-f", DAEMON_IMAGE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    text = table(rows, layers_of(layout))
    print(text)
    if args.write:
        oci.write_table(MARKS, text)
    shutil.rmtree(work)


def table(rows, source):
    floor = rows["floor"]["runs"]
    lines = ["| | wall | CPU | peak memory | output |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        size = f"{row['size'] / source:.1%}" if row["size"] else ""
        ratio = lambda column: statistics.median(run[column] / floor[number][column] for number, run in enumerate(row["runs"]))
        peak = statistics.median(run[2] for run in row["runs"])
        lines.append(f"| {name} | {ratio(0):.2f} | {ratio(1):.2f} | {peak / 1e6:.0f} MB | {size} |")
    return "\n".join(lines) + "\n"


main()
