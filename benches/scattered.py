#!/usr/bin/env python3
"""Thousands of scattered cuts: makes a layer of many real packages, whose every folder has its `__pycache__`, and runs
`cargo bench --bench splice` on it.  usage: scattered.py [PACKAGE ...]   (default: a few of many folders each)

Needs pip and PyPI.
"""
import hashlib
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
work = root / "target/scattered"
PACKAGES = ["ansible", "sympy", "django", "botocore", "plotly", "apache-airflow-core", "azure-mgmt-network"]


class Hashed:
    """A file that hashes what is written to it, compressed as gzip does at its usual level or as it is."""

    def __init__(self, path):
        self.file, self.blob, self.tar, self.size = open(path, "wb"), hashlib.sha256(), hashlib.sha256(), 0
        self.gzip = zlib.compressobj(6, zlib.DEFLATED, 31)

    def put(self, packed):
        self.file.write(packed)
        self.blob.update(packed)
        self.size += len(packed)

    def write(self, data):
        self.tar.update(data)
        self.put(self.gzip.compress(data))

    def close(self):
        self.put(self.gzip.flush())
        self.file.close()


def main():
    shutil.rmtree(work, ignore_errors=True)
    blobs = work / "image/blobs/sha256"
    blobs.mkdir(parents=True)
    packages = sys.argv[1:] or PACKAGES
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", work / "site", *packages], check=True)
    layer = Hashed(work / "layer")
    # Sorted, as builders write layers.
    tar = subprocess.Popen(["tar", "--sort=name", "-C", work, "-cf", "-", "site"], stdout=subprocess.PIPE)
    while data := tar.stdout.read(1 << 20):
        layer.write(data)
    layer.close()
    (work / "layer").rename(blobs / layer.blob.hexdigest())

    def put(value):
        text = json.dumps(value).encode()
        digest = hashlib.sha256(text).hexdigest()
        (blobs / digest).write_bytes(text)
        return {"digest": f"sha256:{digest}", "size": len(text)}

    config = put({"rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.tar.hexdigest()}"]}})
    manifest = put({"config": config, "layers": [{"digest": f"sha256:{layer.blob.hexdigest()}", "size": layer.size}]})
    (work / "image/index.json").write_text(json.dumps({"manifests": [manifest]}))
    subprocess.run(["cargo", "bench", "--quiet", "--bench", "splice", "--", work / "image"], cwd=root, check=True)
    shutil.rmtree(work)


main()
