#!/usr/bin/env python3
"""Thousands of scattered cuts: makes a layer of many real packages, whose every folder has its `__pycache__`, and runs
`cargo bench --bench splice` on it.  usage: scattered.py [PACKAGE ...]   (default: a few of many folders each)

Needs pip and PyPI.
"""
import shutil
import subprocess
import sys
import zlib

from support import oci
from support.oci import root

work = root / "target/scattered"
PACKAGES = ["ansible", "sympy", "django", "botocore", "plotly", "apache-airflow-core", "azure-mgmt-network"]


def main():
    shutil.rmtree(work, ignore_errors=True)
    layout = oci.Layout(work / "image")
    packages = sys.argv[1:] or PACKAGES
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", work / "site", *packages], check=True)
    layer, packer = oci.Layer(layout), zlib.compressobj(6, zlib.DEFLATED, 31)
    # Sorted, as builders write layers.
    tar = subprocess.Popen(["tar", "--sort=name", "-C", work, "-cf", "-", "site"], stdout=subprocess.PIPE)
    while data := tar.stdout.read(1 << 20):
        layer.add(data, packer.compress(data))
    layer.add(b"", packer.flush())
    descriptor, diff_id = layer.finish()
    layout.write([descriptor], [diff_id])
    subprocess.run(["cargo", "bench", "--quiet", "--bench", "splice", "--", layout.folder], cwd=root, check=True)
    shutil.rmtree(work)


main()
