#!/usr/bin/env python3
"""Docker daemon to Docker daemon: pydock against what the daemon alone takes, giving the image away (`docker save`) and loading the new one.
usage: daemon.py [--rounds N] [--image NAME]      needs Docker, and target/lab/fat-web.tar (scripts/lab.sh)"""
import argparse, statistics, subprocess, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = "pydock-bench/daemon:1"


def run(command):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def timed(command):
    start = time.monotonic()
    run(command)
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", default="lab/fat-web:1")
    args = parser.parse_args()
    if subprocess.run(["docker", "image", "inspect", args.image], capture_output=True).returncode:
        run(f"docker load -q -i {ROOT}/target/lab/fat-web.tar")
    pydock = ROOT / "target/release/pydock"
    forget = f"docker rmi -f {OUT} && docker image prune -f"
    ratios, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            save = timed(f"docker save {args.image} | cat")
            slim = timed(f"{pydock} slim -q docker-daemon:{args.image} docker-daemon:{OUT}")
            run(f"docker save -o {folder}/out.tar {OUT}; {forget}")
            load = timed(f"docker load -q -i {folder}/out.tar")
            run(forget)
            ratios.append(slim / (save + load))
            plain.append(load / save)
    print(f"pydock / (docker save | cat + docker load of the output): {statistics.median(ratios):.2f}"
          f" ({min(ratios):.2f} to {max(ratios):.2f}); load / save: {statistics.median(plain):.2f}")


main()
