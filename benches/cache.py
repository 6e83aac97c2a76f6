#!/usr/bin/env python3
"""What a cache saves: slims an image whose base is cached, and one that has nothing but the same own layer, in turn.

The base is all layers of an image but its last; the own layer is the last one, with a file added so that nobody knows it.
usage: cache.py [--rounds N] [LAYOUT]   (default: 7 rounds of target/lab/oci/fat-web)
"""
import argparse
import gzip
import hashlib
import io
import json
import resource
import shutil
import statistics
import subprocess
import tarfile
import time
from pathlib import Path

root = Path(__file__).resolve().parent.parent
work = root / "target/cache-bench"
pydock = root / "target/release/pydock"


class Layout:
    """An OCI layout; blobs of another may be linked in."""

    def __init__(self, folder):
        self.blobs = folder / "blobs/sha256"
        self.folder = folder

    def path(self, digest):
        return self.blobs / digest.removeprefix("sha256:")

    def read(self, descriptor):
        return json.loads(self.path(descriptor["digest"]).read_text())

    def manifest(self):
        return self.read(json.loads((self.folder / "index.json").read_text())["manifests"][-1])

    def put(self, value):
        text = json.dumps(value).encode()
        digest = hashlib.sha256(text).hexdigest()
        (self.blobs / digest).write_bytes(text)
        return {"digest": f"sha256:{digest}", "size": len(text)}

    def write(self, source, manifest, config, layers, diff_ids):
        """Writes an image of these layers with the manifest and config of another."""
        for layer in layers:
            if not self.path(layer["digest"]).exists():
                self.path(layer["digest"]).hardlink_to(source.path(layer["digest"]))
        config = {**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": []}
        manifest = {**manifest, "layers": layers, "config": {**manifest["config"], **self.put(config)}}
        descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **self.put(manifest)}
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


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
    source = Layout(args.layout.resolve())
    manifest = source.manifest()
    config = source.read(manifest["config"])
    layers, diff_ids = manifest["layers"], config["rootfs"]["diff_ids"]
    blob, diff_id = with_a_file(source.path(layers[-1]["digest"]).read_bytes())
    digest = hashlib.sha256(blob).hexdigest()
    own = {**layers[-1], "digest": f"sha256:{digest}", "size": len(blob)}
    for name, below in (("second", len(layers) - 1), ("own", 0)):
        layout = Layout(work / name)
        layout.blobs.mkdir(parents=True)
        layout.path(own["digest"]).write_bytes(blob)
        layout.write(source, manifest, config, [*layers[:below], own], [*diff_ids[:below], f"sha256:{diff_id}"])
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
