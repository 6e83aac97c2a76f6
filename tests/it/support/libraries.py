"""Which libraries does every ELF object of an image find?  Prints {object: [library names and whether found]}."""
import json
import os
import subprocess

found = {}
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev", "tmp")]
    for name in files:
        path = os.path.join(folder, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as f:
            if f.read(4) != b"\x7fELF":
                continue
        run = subprocess.run(["ldd", path], capture_output=True, text=True)
        lines = (line.split(" (0x")[0].strip() for line in run.stdout.splitlines())
        found[path] = sorted(line for line in lines if "linux-vdso" not in line)
print(json.dumps(found))
