#!/usr/bin/env python3
"""What a cache saves: slims an image whose base is cached, and one that has nothing but the same own layer, in turn.

The base is all layers of an image but its last; the own layer is the last one, with a file added so that it is new.
usage: cache.py [--rounds N] [LAYOUT]   (default: 7 rounds of target/lab/oci/fat-web)
"""
import argparse
import gzip
import hashlib
import io
import resource
import shutil
import statistics
import subprocess
import tarfile
import time
from pathlib import Path

from support import oci
from support.oci import root

work = root / "target/cache-bench"
pydock = root / "target/release/pydock"


def with_a_file(blob):
    """Returns a layer with a file added, compressed as a fast gzip does, and its diff ID."""
    tar = gzip.decompress(blob)
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        last = members.getmembers()[-1]
    end = last.offset_data + (-(-last.size // 512) * 512 if last.isreg() else 0)
    info = tarfile.TarInfo("app/added")
    info.size = 5
    tar = tar[:end] + info.tobuf(tarfile.GNU_FORMAT) + b"added".ljust(512, b"\0") + bytes(1024)
    return gzip.compress(tar, 5, mtime=0), hashlib.sha256(tar).hexdigest()


def slim(name, *options):
    """Slims an image to the place where the first one is, as to the same repository; returns wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    command = [pydock, "slim", "-q", "--threads", "2", *options, f"oci:{work / name}", f"oci:{work / 'out'}:{name}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", nargs="?", type=Path, default=root / "target/lab/oci/fat-web")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=root, check=True)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    source = oci.Layout(args.layout.resolve())
    manifest = source.manifest()
    config = source.read(manifest["config"])
    layers, diff_ids = manifest["layers"], config["rootfs"]["diff_ids"]
    config = {key: value for key, value in config.items() if key != "history"}
    blob, diff_id = with_a_file(source.path(layers[-1]["digest"]).read_bytes())
    for name, below in (("second", len(layers) - 1), ("own", 0)):
        layout = oci.Layout(work / name)
        own = {"mediaType": oci.LAYER, **layout.put(blob)}
        for layer in layers[:below]:
            path = layout.path(layer["digest"])
            if not path.exists():
                path.hardlink_to(source.path(layer["digest"]))
        layout.write([*layers[:below], own], [*diff_ids[:below], f"sha256:{diff_id}"], config)
    cache = work / "cache"
    first = [pydock, "slim", "-q", "--cache-dir", cache, f"oci:{source.folder}", f"oci:{work / 'first'}:new"]
    subprocess.run(first, check=True, stdout=subprocess.DEVNULL)
    rows = []
    for _ in range(args.rounds):
        runs = []
        for name, options in (("own", []), ("second", ["--cache-dir", work / "warm"]), ("second", ["--cache-dir", work / "warm"]), ("second", [])):
            if len(runs) != 2:
                # Neither the cache nor the destination knows what the run before has made.
                for folder, fresh in ((cache, work / "warm"), (work / "first", work / "out")):
                    shutil.rmtree(fresh, ignore_errors=True)
                    shutil.copytree(folder, fresh)
            runs.append(slim(name, *options))
        own, second, again, whole = runs
        rows.append((second[0] / own[0], second[1] / own[1], whole[0] / second[0], whole[0] / again[0]))
    wall, cpu, whole, same = (statistics.median(column) for column in zip(*rows))
    print(f"second image on a cached base / its own layer alone: wall {wall:.2f}, CPU {cpu:.2f}")
    print(f"without a cache / second image on a cached base: wall {whole:.1f}; / the same image again: wall {same:.1f}")
    shutil.rmtree(work)


main()
