#!/usr/bin/env python3
"""How cost grows: slims made images of more and more bytes, entries, layers and cuts, and prints a table.

Each figure is CPU time for each unit, relative to the first row of its part: a constant column is linear growth. Memory is the peak.
usage: growth.py [--most GB] [--write]   (default: images of at most 4 GB decompressed; --write puts the table in docs/performance.md)
"""
import argparse
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

root = Path(__file__).resolve().parent.parent
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


class Layer:
    """A layer blob, written member by member, so that data that repeats is compressed once."""

    def __init__(self, layout):
        self.file = open(layout / "layer", "wb")
        self.blob, self.tar, self.size, self.layout = hashlib.sha256(), hashlib.sha256(), 0, layout

    def add(self, content, member=None):
        member = member or gzip.compress(content, 6, mtime=0)
        self.file.write(member)
        self.blob.update(member)
        self.tar.update(content)
        self.size += len(member)

    def finish(self):
        self.add(bytes(1024))
        self.file.close()
        os.rename(self.layout / "layer", self.layout / "blobs/sha256" / self.blob.hexdigest())
        return self.blob.hexdigest(), self.size, self.tar.hexdigest()


def image(name, layers):
    """Writes an OCI layout; each layer is a function that fills a Layer."""
    layout = work / name
    (layout / "blobs/sha256").mkdir(parents=True)
    made = []
    for fill in layers:
        layer = Layer(layout)
        fill(layer)
        made.append(layer.finish())

    def put(value):
        text = json.dumps(value).encode()
        digest = hashlib.sha256(text).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(text)
        return {"digest": f"sha256:{digest}", "size": len(text)}

    config = put({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}" for _, _, diff in made]}})
    manifest = put({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{blob}", "size": size} for blob, size, _ in made],
    })
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest}]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return layout


def large_files(count, keep):
    """`count` files of 32 MB, every `keep`-th of which stays."""
    data = words(32 * MB)
    member = gzip.compress(data, 6, mtime=0)

    def fill(layer):
        for number in range(count):
            layer.add(header(f"data/{number}.{'keep' if number % keep == 0 else 'cut'}", len(data)))
            layer.add(data, member)

    return fill


def small_files(first, count, cuts):
    """`count` files of 400 bytes, `cuts` of which go, evenly spread; one member for a thousand."""
    text = words(4 * MB, first + 2)

    def fill(layer):
        block = []
        for number in range(count):
            goes = cuts and number * cuts // count != (number + 1) * cuts // count
            start = number * 397 % (len(text) - 400)
            block += [header(f"d{(first + number) // 500}/{first + number}.{'cut' if goes else 'keep'}", 400), text[start:start + 400].ljust(512, b"\0")]
            if len(block) == 2000:
                layer.add(b"".join(block))
                block = []
        layer.add(b"".join(block))

    return fill


def measure(layout):
    shutil.rmtree(work / "out", ignore_errors=True)
    command = [pydock, "slim", "-q", "--threads", "2", "--remove", "**/*.cut", f"oci:{layout}", f"oci:{work / 'out'}:1"]
    # A child of ours would be told our own memory as its peak: GNU time stands between.
    run = subprocess.run(["/usr/bin/time", "-f", "%e %U %S %M", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"{command} failed: {run.stderr[-1000:]}")
    wall, user, system, peak = map(float, run.stderr.splitlines()[-1].split())
    return wall, user + system, peak * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=4)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=root, check=True)
    parts = {
        "bytes": [(f"{count * 32} MiB", count * 32 * MB, lambda count=count: [large_files(count, 4)]) for count in (4, 16, 64, 128, 320) if count * 32 * MB <= args.most * 1e9],
        "entries": [(f"{count:,}", count, lambda count=count: [small_files(0, count, count // 100)]) for count in (1_000, 10_000, 100_000, 1_000_000)],
        "layers": [(f"{layers}", 120_000, lambda layers=layers: [small_files(number * (120_000 // layers), 120_000 // layers, 1) for number in range(layers)]) for layers in (1, 10, 120)],
        "cuts": [(f"{cuts:,}", 200_000, lambda cuts=cuts: [small_files(0, 200_000, cuts)]) for cuts in (0, 100, 1_000, 10_000, 100_000)],
    }
    lines = ["| | | CPU for each unit | peak memory |", "|---|---:|---:|---:|"]
    for part, rows in parts.items():
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
        page = root / "docs/performance.md"
        before, rest = page.read_text().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        text = "\n".join(lines) + "\n"
        page.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{after}")


main()
