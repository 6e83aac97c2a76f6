#!/usr/bin/env python3
"""How cost grows: slims made images of more and more bytes, entries, layers and cuts, and prints a table.

Each figure is CPU time for each unit, relative to the first row of its part: a constant column is linear growth. Memory is the peak.
usage: growth.py [--most GB] [--part PART] [--write]   (default: all parts, images of at most 4 GB decompressed; --write puts the table in
docs/performance.md, with the rows of other parts as they were)
"""
import argparse
import gzip
import random
import shutil
import subprocess
import sys
import tarfile

from support import oci
from support.oci import root

work = root / "target/growth"
pydock = root / "target/release/pydock"
MARKS = ("<!-- table: benches/growth.py -->", "<!-- end of growth -->")
MB = 1 << 20


def words(size, seed=1):
    """Text that compresses about as sources do."""
    chosen = random.Random(seed)
    vocabulary = ["".join(chosen.choices("abcdefghijklmnop_ .()", k=chosen.randint(2, 9))) for _ in range(4000)]
    return "".join(chosen.choices(vocabulary, k=size // 4)).encode()[:size].ljust(size)


def header(path, size):
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def image(name, layers):
    """Writes an OCI layout; each layer is a function that adds parts to a layer."""
    layout = oci.Layout(work / name)
    made = []
    for fill in layers:
        layer = oci.Layer(layout)

        def add(content, packed=None):
            # Data that repeats is compressed once.
            layer.add(content, packed or gzip.compress(content, 6, mtime=0))

        fill(add)
        add(bytes(1024))
        made.append(layer.finish())
    layout.write([descriptor for descriptor, _ in made], [diff_id for _, diff_id in made])
    return layout.folder


def large_files(count, keep):
    """`count` files of 32 MB, every `keep`-th of which stays."""
    data = words(32 * MB)
    member = gzip.compress(data, 6, mtime=0)

    def fill(add):
        for number in range(count):
            add(header(f"data/{number}.{'keep' if number % keep == 0 else 'cut'}", len(data)))
            add(data, member)

    return fill


def small_files(first, count, cuts):
    """`count` files of 400 bytes, `cuts` of which go, evenly spread; one member for a thousand."""
    text = words(4 * MB, first + 2)

    def fill(add):
        block = []
        for number in range(count):
            goes = cuts and number * cuts // count != (number + 1) * cuts // count
            start = number * 397 % (len(text) - 400)
            block += [header(f"d{(first + number) // 500}/{first + number}.{'cut' if goes else 'keep'}", 400), text[start:start + 400].ljust(512, b"\0")]
            if len(block) == 2000:
                add(b"".join(block))
                block = []
        add(b"".join(block))

    return fill


def measure(layout):
    shutil.rmtree(work / "out", ignore_errors=True)
    command = [pydock, "slim", "-q", "--threads", "2", "--remove", "**/*.cut", f"oci:{layout}", f"oci:{work / 'out'}:1"]
    # A direct child inherits our own peak memory: GNU time is between.
    run = subprocess.run(["/usr/bin/time", "-f", "%e %U %S %M", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"{command} failed: {run.stderr[-1000:]}")
    wall, user, system, peak = map(float, run.stderr.splitlines()[-1].split())
    return wall, user + system, peak * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=4)
    parser.add_argument("--part", choices=["bytes", "entries", "layers", "cuts"], action="append")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=root, check=True)
    parts = {
        "bytes": [(f"{count * 32} MiB", count * 32 * MB, lambda count=count: [large_files(count, 4)]) for count in (4, 16, 64, 128, 320) if count * 32 * MB <= args.most * 1e9],
        "entries": [(f"{count:,}", count, lambda count=count: [small_files(0, count, count // 100)]) for count in (1_000, 10_000, 100_000, 1_000_000)],
        "layers": [(f"{layers}", 120_000, lambda layers=layers: [small_files(number * (120_000 // layers), 120_000 // layers, 1) for number in range(layers)]) for layers in (1, 10, 120)],
        "cuts": [(f"{cuts:,}", 200_000, lambda cuts=cuts: [small_files(0, 200_000, cuts)]) for cuts in (0, 100, 1_000, 10_000, 100_000)],
    }
    lines = ["| | | CPU for each unit | peak memory |", "|---|---|---:|---:|"]
    old = oci.read_table(MARKS).splitlines()
    for part, rows in parts.items():
        if args.part and part not in args.part:
            lines += [line for line in old if line.startswith(f"| {part} |")]
            continue
        first = None
        for name, units, layers in rows:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            layout = image("in", layers())
            runs = sorted(measure(layout) for _ in range(3))
            _, cpu, memory = runs[1]
            first = first or cpu / units
            lines.append(f"| {part} | {name} | {cpu / units / first:.2f} | {memory / 1e6:.0f} MB |")
            print(lines[-1], flush=True)
    shutil.rmtree(work)
    if args.write:
        oci.write_table(MARKS, "\n".join(lines) + "\n")


main()
