"""The bases of the application images in tests/apps: a name, and the image in buildah's store that it stands for.

A value may also be a function, which makes the image if need be and returns its name.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

images = Path(__file__).resolve().parent.parent / "fixtures/images"
cache = images.parent.parent / "target/lab/cache"
UV = "uv==0.7.13"


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if done.returncode:
        raise SystemExit(f"app_bases: {command[0]} {command[1]}: {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-30:]))
    return done.stdout


def there(image):
    return subprocess.run(["buildah", "inspect", "--type", "image", image], capture_output=True).returncode == 0


def make(image, folder, file="Dockerfile", context=None, **arguments):
    """Builds an image, with the lab's cache at /mnt, and returns its name."""
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    run("buildah", "bud", "--isolation", "chroot", "--layers", "--format", "docker", "--identity-label=false", "--pull-never", "-v", f"{cache}:/mnt:ro",
        "-t", image, "-f", folder / file, *options, context or folder)
    return image


def base(function):
    """Makes the image of a function (whose doc is its name) only if it is not there, after lab/python."""
    def made():
        image = function.__doc__
        if not there(image):
            if not there("lab/python:3.11-slim"):
                run("bash", images / "build.sh", "base", "python")
            function(image)
        return image
    return made


def inside(image, script, folder, results):
    """Runs a script of a folder in a container of an image; what it leaves in /srv comes into the cache."""
    if all((cache / name).exists() for name in results):
        return
    container = run("buildah", "from", "--pull-never", image).strip()
    try:
        with tempfile.TemporaryDirectory(dir=cache) as out:
            run("buildah", "run", "--isolation", "chroot", "-v", f"{cache}:/mnt:ro", "-v", f"{out}:/srv", "-v", f"{folder}:/media:ro", container, "bash", "-ec", script)
            for name in results:
                shutil.move(Path(out) / name, cache / name)
    finally:
        run("buildah", "rm", container)


# --- Debian 13, and Debian's own Python -------------------------------------------------------------------------------


@base
def trixie_slim(image):
    """lab/debian:trixie-slim"""
    folder = cache / "rootfs-trixie"
    if not (folder / "debian-slim.tar").exists():
        sites = dict(line.split() for line in run("apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)").splitlines())
        mirrors = {"MIRROR": sites["bookworm"], "SECURITY_MIRROR": sites["bookworm-security"]}
        run("bash", images / "base/mkrootfs.sh", folder, env=os.environ | {"SUITE": "trixie"} | mirrors)
    make(image, images / "base", context=folder, ROOTFS="debian-slim.tar")


@base
def debian_python(image):
    """lab/debian-python:bookworm"""
    make(image, images / "prefixes", "Dockerfile.debian-python", BASE="lab/debian:bookworm-slim")


@base
def debian_python_trixie(image):
    """lab/debian-python:trixie"""
    make(image, images / "prefixes", "Dockerfile.debian-python", BASE=trixie_slim())


# --- Pythons at other places ------------------------------------------------------------------------------------------


def shape(kind, archive=None):
    archive = archive or f"prefix-{kind}.tar"
    inside("lab/python:3.11", f"apt-get update -qq && apt-get install -qy --no-install-recommends patchelf && python3 /media/prefix.py {kind} /srv/{archive}", images / "prefixes", [archive])


@base
def conda_shaped(image):
    """lab/conda:3.11"""
    shape("conda")
    make(image, images / "prefixes", "Dockerfile.conda")


@base
def uv_python(image):
    """lab/uv-python:3.11"""
    shape("uv")
    programs = cache / "uv"
    if not (programs / "uv").exists():
        with tempfile.TemporaryDirectory() as folder:
            run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, UV)
            wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
            programs.mkdir(exist_ok=True)
            for name in wheel.namelist():
                if ".data/scripts/" in name:
                    (programs / Path(name).name).write_bytes(wheel.read(name))
                    (programs / Path(name).name).chmod(0o755)
    make(image, images / "prefixes", "Dockerfile.uv")


def pack_pyenv(archive):
    """This machine's pyenv with its newest CPython 3.12, without what was installed into it; returns whether it exists."""
    found = subprocess.run(["pyenv", "root"], capture_output=True, text=True).stdout.strip() if shutil.which("pyenv") else ""
    versions = sorted(Path(found or "/nowhere").glob("versions/3.12.*"))
    if not versions:
        return False
    folder, version, part = Path(found), versions[-1].name, archive.with_suffix(".part")
    wanted = [name for name in ("bin", "libexec", "pyenv.d", "completions", "plugins", "src", "man", "README.md", "LICENSE", f"versions/{version}") if (folder / name).exists()]
    # ensurepip installs pip again: that of the machine may hold certificates of its own
    left_out = [".git", "site-packages/*", f"versions/{version}/bin/pip*"]
    tar = ["tar", "-f", part, "--numeric-owner", "--owner=0", "--group=0", "--sort=name"]
    run(*tar, "-C", folder, *[f"--exclude={pattern}" for pattern in left_out], "--transform=flags=rh;s,^,root/.pyenv/,", "-c", *wanted)
    with tempfile.TemporaryDirectory() as other:
        (Path(other) / "version").write_text(version + "\n")
        run(*tar, "-C", other, "--transform=flags=rh;s,^,root/.pyenv/,", "-r", "version")
    part.rename(archive)
    return True


@base
def pyenv(image):
    """lab/pyenv:3.12"""
    archive = cache / "prefix-pyenv.tar"
    if not archive.exists() and not pack_pyenv(archive):
        shape("pyenv")
    make(image, images / "prefixes", "Dockerfile.pyenv")


# --- Alpine -----------------------------------------------------------------------------------------------------------


def apk_packages():
    """What mkapk.py makes, and libffi; always the same bytes, for layers are reused by what is mounted too."""
    folder = cache / "apk"
    if not (folder / "libffi.apk").exists():
        sys.path.insert(0, str(images / "alpine"))
        from mkapk import apk

        run(sys.executable, images / "alpine/mkapk.py", folder)
        library = cache / "libffi.so.8"
        if library.exists():
            (folder / "libffi.apk").write_bytes(apk("libffi", {"usr/lib/libffi.so.8": (library.read_bytes(), 0o755)}))
    return folder


@base
def alpine_root(image):
    """lab/alpine:3.20"""
    make(image, images / "alpine", "Dockerfile.root")


@base
def alpine(image):
    """lab/alpine-apk:3.20"""
    alpine_root()
    apk_packages()
    make(image, images / "alpine", "Dockerfile.apk")


@base
def alpine_python(image):
    """lab/python:3.11-alpine"""
    alpine_root()
    inside("lab/debian:bookworm", "bash /media/compile.sh", images / "alpine", ["alpine-python.tar", "libffi.so.8"])
    apk_packages()
    make(image, images / "alpine")


BASES = {
    "python": "lab/python:3.11",
    "python-slim": "lab/python:3.11-slim",
    "debian": "lab/debian:bookworm",
    "debian-slim": "lab/debian:bookworm-slim",
    "trixie-slim": trixie_slim,
    "debian-python": debian_python,
    "debian-python-trixie": debian_python_trixie,
    "conda-shaped": conda_shaped,
    "uv-python": uv_python,
    "pyenv": pyenv,
    "alpine": alpine,
    "alpine-python": alpine_python,
}
