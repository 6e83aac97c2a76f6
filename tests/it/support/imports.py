"""Which modules of every installed distribution can be imported?  Run inside an image, before and after slimming.

usage: imports.py        prints {module: "ok" or the error} for all modules of all distributions
       imports.py FILE   the same for the modules that are the keys of a JSON file

Modules of one top-level package are imported in one process, so that a crash costs only that package.
"""
import json
import os
import subprocess
import sys
from importlib import metadata


def modules():
    found = set()
    for dist in metadata.distributions():
        for file in dist.files or ():
            parts = list(file.parts)
            if ".." in parts or not parts or parts[0].endswith((".dist-info", ".egg-info", ".data")):
                continue
            stem, _, rest = parts[-1].partition(".")
            if not (rest == "py" or rest.endswith("so") and "abi3" in rest + "abi3") or stem == "__main__":
                continue
            if stem != "__init__":
                parts[-1] = stem
            else:
                parts.pop()
            if parts and all(part.isidentifier() for part in parts):
                found.add(".".join(parts))
    return sorted(found)


CHILD = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
os.chdir("/tmp")
out = os.fdopen(os.dup(1), "w")
null = os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(null, fd)
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
        result = "ok"
    except BaseException as error:
        result = f"{type(error).__name__}: {error}"[:200]
    out.write(json.dumps([name, result]) + "\\n")
    out.flush()
os._exit(0)
"""


def check(names):
    results = {}
    groups = {}
    for name in names:
        groups.setdefault(name.split(".")[0], []).append(name)
    for group in groups.values():
        left = group
        while left:
            run = subprocess.run(
                [sys.executable, "-B", "-c", CHILD, json.dumps(left)], capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL
            )
            done = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
            results.update(done)
            # The process died in the module after the last one that it reported.
            rest = left[len(done):]
            if rest:
                results[rest[0]] = f"process ended with {run.returncode}"
            left = rest[1:]
    return results


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    names = sorted(json.load(open(sys.argv[1]))) if len(sys.argv) > 1 else modules()
    print(json.dumps(check(names)))
