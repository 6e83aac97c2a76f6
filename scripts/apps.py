#!/usr/bin/env python3
"""Slims images of realistic applications and sees whether they still work.

usage: apps.py [NAME...] [--levels safe,standard,max] [--quick] [--page] [--keep] [--build]

Each tests/apps/NAME.toml is one application: what its Dockerfile would say, and a smoke test. For each of them the image is
built (once: target/apps/oci/NAME is used again while recipe and base are the same), the test must pass on it as it is, and
then, for each level, on what pydock makes of it. The test comes from outside: it is not in the image, which holds what the
application's authors would have put there and nothing else. Containers run without a network.

  --quick   only the recipes that say `quick = true`
  --page    test nothing: write the images' part of docs/compatibility.md from what earlier runs found (target/apps/results.json)
  --keep    leave the images in Docker, as pydock-apps/NAME:LEVEL
  --build   build, and test the original images; slim nothing
  --apart I/N   only every Nth recipe, from the Ith on
  --pydock PATH   the program to test; target/release/pydock by default

A failure at `max` is forgiven where the recipe gives a reason (`max = "..."`). Needs root, buildah, skopeo and Docker, and
the images of scripts/lab.sh, whose bases are made if they are missing.
"""
import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from pathlib import Path

from app_bases import BASES

root = Path(__file__).resolve().parent.parent
work = root / "target/apps"
page = root / "docs/compatibility.md"
fixtures = root / "fixtures/images"
front_folder = root / "target/lab/cache/pypi"
LEVELS = ["safe", "standard", "max"]
MARKS = ("<!-- apps -->", "<!-- /apps -->")
ARGUMENTS = ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]  # of the build only
TIMEOUT = 120  # seconds for a smoke test; they take less than 20
KEYS = {"why", "base", "apt", "recommends", "pip", "run", "env", "workdir", "user", "entrypoint", "cmd", "files", "check", "quick", "max"}


class Failed(Exception):
    """What went wrong, with the last lines of output."""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if done.returncode:
        raise Failed(f"{command[0]} {command[1]}: {done.returncode}\n{tail(done.stdout)}")
    return done.stdout


def ask(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def tail(text, lines=30):
    return "\n".join(text.rstrip().splitlines()[-lines:])


# --- recipes ----------------------------------------------------------------------------------------------------------


def recipes(options):
    """The names that are asked for, and their recipes."""
    paths = sorted((root / "tests/apps").glob("*.toml"))
    known = {path.stem for path in paths}
    if unknown := set(options.names) - known:
        raise SystemExit(f"apps: no recipe {', '.join(sorted(unknown))}")
    found = {}
    for path in paths:
        recipe = tomllib.loads(path.read_text())
        if wrong := set(recipe) - KEYS:
            raise SystemExit(f"apps: {path.name}: unknown {', '.join(sorted(wrong))}")
        if path.stem in options.names or (not options.names and (recipe.get("quick") or not options.quick)):
            found[path.stem] = recipe
    if options.apart:
        first, step = map(int, options.apart.split("/"))
        found = dict(list(found.items())[first::step])
    return found


def quoted(words):
    return " ".join(shlex.quote(word) for word in words)


def dockerfile(recipe, base):
    """What the authors of the application would have written."""
    lines = [f"FROM {base}", *(f"ARG {name}" for name in ARGUMENTS)]
    if recipe.get("apt"):
        option = "" if recipe.get("recommends") else " --no-install-recommends"
        lines.append(f"RUN apt-get update && apt-get install -y{option} {quoted(recipe['apt'])} && rm -rf /var/lib/apt/lists/*")
    if recipe.get("pip"):
        lines.append(f"RUN pip install --no-cache-dir {quoted(recipe['pip'])}")
    lines += [f"ENV {name}={json.dumps(value)}" for name, value in recipe.get("env", {}).items()]
    if "workdir" in recipe:
        lines.append(f"WORKDIR {recipe['workdir']}")
    lines += [f"COPY {top} /{top}" for top in sorted({path.split("/")[1] for path in recipe.get("files", {})})]
    lines += [f"RUN {command}" for command in recipe.get("run", [])]
    if "user" in recipe:
        lines.append(f"USER {recipe['user']}")
    lines += [f"{word.upper()} {json.dumps(recipe[word])}" for word in ("entrypoint", "cmd") if word in recipe]
    return "\n".join(lines) + "\n"


def write_context(recipe, base, folder):
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in recipe.get("files", {}).items():
        path = folder / "context" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    (folder / "context").mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile(recipe, base))


# --- building ---------------------------------------------------------------------------------------------------------


class Front:
    """fixtures/images/tools/pypi-front.py on a loopback address of its own, and what makes pip and uv use it.

    Its certificate is mounted over an empty folder that every base has, and named by build arguments, which `without_arguments`
    takes out of the image's history again: nothing of it reaches a layer or the config.
    """

    def __init__(self):
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def start(self):
        address = f"127.{1 + os.getpid() // 250 % 250}.{1 + os.getpid() % 250}.3"
        self.process = subprocess.Popen([sys.executable, fixtures / "tools/pypi-front.py", front_folder, address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise Failed("the front for PyPI does not start")
        from pip._internal.models.index import PyPI

        hosts = [option for host in (PyPI.netloc, PyPI.file_storage_domain) for option in ("--add-host", f"{host}:{address}")]
        public = work / "front"
        public.mkdir(parents=True, exist_ok=True)
        shutil.copy(front_folder / "front.pem", public / "front.pem")
        arguments = [option for name in ARGUMENTS for option in ("--build-arg", f"{name}=/media/front.pem")]
        self.options = [*hosts, *arguments, "-v", f"{public}:/media:ro"]

    def build(self, image, folder):
        if not self.process:
            self.start()
        run("buildah", "bud", "--isolation", "chroot", "--layers", "--format", "docker", "--identity-label=false", "--pull-never",
            "-t", image, "-f", folder / "Dockerfile", *self.options, folder / "context")


class Layout:
    """An OCI layout of one image."""

    def __init__(self, folder):
        self.folder, self.blobs = folder, folder / "blobs/sha256"

    def path(self, digest):
        return self.blobs / digest.removeprefix("sha256:")

    def read(self):
        """Its index, manifest and config."""
        index = json.loads((self.folder / "index.json").read_text())
        manifest = json.loads(self.path(index["manifests"][0]["digest"]).read_text())
        return index, manifest, json.loads(self.path(manifest["config"]["digest"]).read_text())

    def write(self, index, manifest, config):
        """Puts others in the place of those that are there."""
        for old, value in ((manifest["config"], config), (index["manifests"][0], manifest)):
            self.path(old["digest"]).unlink()
            data = json.dumps(value, separators=(",", ":")).encode()
            old |= {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
            self.path(old["digest"]).write_bytes(data)
        (self.folder / "index.json").write_text(json.dumps(index))


def export(image, layout):
    """Writes an image of buildah's store to an OCI layout.

    Layers are compressed once, whatever images they are in: target/apps/layers keeps them. An empty file in the place of one
    makes skopeo believe that it is there already.
    """
    shutil.rmtree(layout.folder, ignore_errors=True)
    layout.blobs.mkdir(parents=True)
    kept = work / "layers"
    kept.mkdir(exist_ok=True)
    for digest in json.loads(ask("buildah", "inspect", "--type", "image", image))["OCIv1"]["rootfs"]["diff_ids"]:
        if (kept / digest.removeprefix("sha256:")).exists():
            layout.path(digest).touch()
    run("skopeo", "copy", "-q", "--insecure-policy", "--dest-oci-accept-uncompressed-layers", f"containers-storage:localhost/{image}", f"oci:{layout.folder}:1")
    index, manifest, config = layout.read()
    for layer in manifest["layers"]:
        plain = layout.path(layer["digest"])
        packed = kept / plain.name
        if not packed.exists():
            partly = packed.with_suffix(f".{os.getpid()}")
            with open(partly, "wb") as out:
                subprocess.run(["pigz", "-n", "-c", plain], check=True, stdout=out)
            partly.rename(packed)
        plain.unlink(missing_ok=True)
        digest = hashlib.sha256(packed.read_bytes()).hexdigest()
        layer |= {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{digest}", "size": packed.stat().st_size}
        if not layout.path(digest).exists():
            os.link(packed, layout.path(digest))
    config["history"] = without_arguments(config["history"])
    layout.write(index, manifest, config)


def without_arguments(history):
    """The history of an image without the arguments of its build."""
    own = re.compile(r"/bin/sh -c #\(nop\) ARG (" + "|".join(ARGUMENTS) + r")\b")
    history = [step for step in history if not own.match(step.get("created_by", ""))]
    return [step | {"created_by": re.sub(r"^\|\d+ .*?(?=/bin/sh -c )", "", step.get("created_by", ""))} for step in history]


def base_of(recipe):
    """The image that a recipe starts from, and its id."""
    base = BASES[recipe["base"]]
    base = base() if callable(base) else base
    for attempt in range(2):
        with contextlib.suppress(subprocess.CalledProcessError):
            return base, ask("buildah", "images", "-q", "--no-trunc", base).strip()
        run("bash", fixtures / "build.sh", "base", "python")
    raise Failed(f"there is no {base}")


def build(name, recipe, front):
    """Sees to it that target/apps/oci/NAME is the recipe's image; returns how long it took, or 0."""
    began = time.monotonic()
    base, number = base_of(recipe)
    folder, layout, key_file = work / "build" / name, work / "oci" / name, work / "oci" / f"{name}.key"
    write_context(recipe, base, folder)
    made_of = {word: recipe[word] for word in recipe if word not in ("why", "check", "quick", "max")}
    key = hashlib.sha256(json.dumps([made_of, number], sort_keys=True).encode()).hexdigest()
    if layout.is_dir() and key_file.exists() and key_file.read_text() == key:
        return 0
    front.build(f"apps/{name}:1", folder)
    export(f"apps/{name}:1", Layout(layout))
    key_file.write_text(key)
    return time.monotonic() - began


# --- testing ----------------------------------------------------------------------------------------------------------


def smoke(image, recipe):
    """Runs the recipe's test in a container of the image."""
    check = recipe["check"]
    command = ["python3", "-c", check["python"]] if "python" in check else ["sh", "-xc", check["script"]]
    container = f"pydock-apps-{os.getpid()}"
    options = ["--read-only", "--tmpfs", "/tmp"] if check.get("read_only") else []
    try:
        run("docker", "run", "--rm", "--name", container, "--network", "none", *options, "--entrypoint", command[0], image, *command[1:], timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True)
        output = error.stdout or b""
        raise Failed(f"no end after {TIMEOUT} s\n{tail(output if isinstance(output, str) else output.decode(errors='replace'))}")


@contextlib.contextmanager
def in_docker(image, keep):
    try:
        yield
    finally:
        if not keep:
            subprocess.run(["docker", "rmi", "-f", image], capture_output=True)


def load(layout, image):
    """Puts an OCI layout into Docker, which reads it if a file says what is what, and leaves out the layers that it has."""
    archive = work / f"{layout.folder.name}-original.tar"
    _, manifest, _ = layout.read()
    names = [f"blobs/sha256/{part['digest'].removeprefix('sha256:')}" for part in (manifest["config"], *manifest["layers"])]
    text = json.dumps([{"Config": names[0], "RepoTags": [image], "Layers": names[1:]}]).encode()
    try:
        with tarfile.open(archive, "w") as tar:
            for name in dict.fromkeys(names):
                tar.add(layout.folder / name, name)
            found = tarfile.TarInfo("manifest.json")
            found.size = len(text)
            tar.addfile(found, io.BytesIO(text))
        run("docker", "load", "-q", "-i", archive)
    finally:
        archive.unlink(missing_ok=True)


def check_original(name, recipe, keep):
    """The test must pass on the image as it is; once for an image and a test."""
    passed, key = work / "oci" / f"{name}.passed", (work / "oci" / f"{name}.key").read_text() + json.dumps(recipe["check"])
    if passed.exists() and passed.read_text() == key:
        return
    image = f"pydock-apps/{name}:original"
    with in_docker(image, keep):
        load(Layout(work / "oci" / name), image)
        smoke(image, recipe)
    passed.write_text(key)


def slim(pydock, name, level, image):
    """Slims into Docker; returns compressed sizes before and after."""
    archive, report = work / f"{name}-{level}.tar", work / f"{name}-{level}.json"
    run(pydock, "slim", "-q", "--level", level, "--report", report, f"oci:{work}/oci/{name}:1", f"oci-archive:{archive}:{image}")
    try:
        run("docker", "load", "-q", "-i", archive)
    finally:
        archive.unlink(missing_ok=True)
    found = json.loads(report.read_text())["images"][0]
    return found["before"]["compressed"], found["after"]["compressed"]


def at_level(name, recipe, level, options):
    image, result = f"pydock-apps/{name}:{level}", {}
    with in_docker(image, options.keep):
        try:
            result["before"], result["after"] = slim(options.pydock, name, level, image)
            smoke(image, recipe)
        except Failed as error:
            result["failed"] = str(error)
    return result


def packed(name):
    """Compressed size of the original image's layers."""
    _, manifest, _ = Layout(work / "oci" / name).read()
    return sum(layer["size"] for layer in manifest["layers"])


def try_app(name, recipe, front, options):
    """Builds, tests, slims and tests one application; prints one line, and the output of what failed below it."""
    began, result = time.monotonic(), {"levels": {}}
    try:
        result["built_in"] = round(build(name, recipe, front), 1)
        result["before"] = packed(name)
        result["commit"] = commit()
        check_original(name, recipe, options.keep)
        for level in [] if options.build else options.levels:
            result["levels"][level] = at_level(name, recipe, level, options)
    except Failed as error:
        result["failed"] = str(error)
    cells = [f"{level} {mb(found.get('after'))} {'FAILS' if 'failed' in found else 'ok'}" for level, found in result["levels"].items()]
    if "failed" in result:
        cells.append("ORIGINAL FAILS")
    built = f"built in {result['built_in']:.0f} s, " if result.get("built_in") else ""
    print(f"{name}: {mb(result.get('before'))} MB, {', '.join(cells) or 'ok'} ({built}{time.monotonic() - began:.0f} s)", flush=True)
    for what, found in [("original", result), *result["levels"].items()]:
        if "failed" in found:
            print("  " + f"{what}: {found['failed']}".replace("\n", "\n  "), flush=True)
    return result


# --- results ----------------------------------------------------------------------------------------------------------


def keep_result(name, result):
    """Adds to what earlier runs found; a result at a level takes the place of an older one."""
    file = work / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    levels = results.get(name, {}).get("levels", {}) | result["levels"]
    results[name] = result | {"levels": levels}
    file.write_text(json.dumps(results, indent=1, sort_keys=True))


def mb(size):
    return f"{size / 1e6:.1f}" if size else "?"


def count(results, all_recipes):
    """How many passed and failed: an application at a level is one; `max` counts only where it fails without a reason."""
    passed = failed = 0
    for name, result in results.items():
        if "failed" in result:
            failed += 1
        elif not result["levels"]:
            passed += 1
        for level, found in result["levels"].items():
            if "failed" not in found:
                passed += level != "max"
            elif level != "max" or "max" not in all_recipes[name]:
                failed += 1
    return passed, failed


@functools.cache
def commit():
    """The commit that was checked out at the start; a program that --pydock names need not be of it."""
    return ask("git", "-C", str(root), "rev-parse", "--short", "HEAD").strip()


def cell(found):
    if not found:
        return ""
    return f"{mb(found.get('after'))} {'**fails**' if 'failed' in found else 'ok'}"


def table(results, all_recipes):
    """The images' part of docs/compatibility.md."""
    commits = ", ".join(sorted({result["commit"] for result in results.values() if "commit" in result}))
    lines = [
        f"What `scripts/apps.py` found of {len(results)} images of realistic applications (`tests/apps`), while these commits were checked out: {commits}. The program",
        "that `--pydock` names may have been built from an earlier one. An empty cell was not run. Sizes are compressed, in MB; *ok* means that",
        "the application's smoke test, which passes in a container of the original image, passes in one of the slimmed image too, without a network.", "",
        "| image | what it does | before MB | " + " | ".join(LEVELS) + " |", "|---|---|---:|" + "---|" * len(LEVELS),
    ]
    for name, result in sorted(results.items()):
        why = " ".join(all_recipes[name]["why"].split()).replace("|", "\\|")
        lines.append(f"| {name} | {why} | {mb(result.get('before'))} | " + " | ".join(cell(result["levels"].get(level)) for level in LEVELS) + " |")
    reasons = [f"- {name} at `max`: {all_recipes[name]['max']}" for name, result in sorted(results.items())
               if "failed" in result["levels"].get("max", {}) and "max" in all_recipes[name]]
    return "\n".join(lines + ([""] + reasons if reasons else [])) + "\n"


def write_page(text):
    """Puts the table between its markers, which come after the title if they are not there yet."""
    old = page.read_text()
    if MARKS[0] not in old:
        title, rest = old.split("\n", 1)
        old = f"{title}\n\n{MARKS[0]}\n{MARKS[1]}\n{rest}"
    head, rest = old.split(MARKS[0], 1)
    page.write_text(f"{head}{MARKS[0]}\n{text}{MARKS[1]}{rest.split(MARKS[1], 1)[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--levels", type=lambda text: text.split(","), default=LEVELS)
    parser.add_argument("--apart")
    parser.add_argument("--pydock", type=Path, default=root / "target/release/pydock")
    for flag in ("--quick", "--page", "--keep", "--build"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    chosen = recipes(options)
    if options.page:
        write_page(table(json.loads((work / "results.json").read_text()), chosen))
        return
    work.mkdir(parents=True, exist_ok=True)
    commit()
    results = {}
    with Front() as front:
        for name, recipe in chosen.items():
            results[name] = try_app(name, recipe, front, options)
            keep_result(name, results[name])
    passed, failed = count(results, chosen)
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
