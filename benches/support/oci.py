"""What the benches share: OCI layouts made by hand, layers written as a stream, and tables in docs/performance.md."""
import hashlib
import json
import os
from pathlib import Path

root = Path(__file__).resolve().parent.parent.parent
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Layout:
    """An OCI layout of one image."""

    def __init__(self, folder):
        self.folder, self.blobs = Path(folder), Path(folder) / "blobs/sha256"

    def path(self, digest):
        return self.blobs / digest.removeprefix("sha256:")

    def read(self, descriptor):
        return json.loads(self.path(descriptor["digest"]).read_text())

    def manifest(self):
        return self.read(json.loads((self.folder / "index.json").read_text())["manifests"][-1])

    def put(self, data):
        self.blobs.mkdir(parents=True, exist_ok=True)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.path(digest).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def put_json(self, media_type, value):
        return {"mediaType": media_type, **self.put(json.dumps(value).encode())}

    def write(self, layers, diff_ids, config=None):
        """Writes the documents of an image; the blobs of its layers must be there."""
        config = config or {"architecture": "amd64", "os": "linux", "config": {}}
        config = {**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.put_json(CONFIG, config), "layers": layers}
        index = {"schemaVersion": 2, "manifests": [self.put_json(MANIFEST, manifest)]}
        (self.folder / "index.json").write_text(json.dumps(index))
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


class Layer:
    """A layer blob of a layout, written part by part: what each decompresses to, and what it is compressed."""

    def __init__(self, layout):
        layout.blobs.mkdir(parents=True, exist_ok=True)
        self.layout, self.part = layout, layout.folder / "layer.part"
        self.file = open(self.part, "wb")
        self.blob, self.tar, self.size = hashlib.sha256(), hashlib.sha256(), 0

    def add(self, content, packed):
        self.tar.update(content)
        self.blob.update(packed)
        self.size += len(packed)
        self.file.write(packed)

    def finish(self):
        """Returns the layer's descriptor and diff ID."""
        self.file.close()
        digest = f"sha256:{self.blob.hexdigest()}"
        os.rename(self.part, self.layout.path(digest))
        return {"mediaType": LAYER, "digest": digest, "size": self.size}, f"sha256:{self.tar.hexdigest()}"


def read_table(marks):
    """Returns what stands between two marks of docs/performance.md."""
    return (root / "docs/performance.md").read_text().split(marks[0])[1].split(marks[1])[0]


def write_table(marks, table):
    """Puts a table between two marks of docs/performance.md."""
    page = root / "docs/performance.md"
    before, rest = page.read_text().split(marks[0])
    page.write_text(f"{before}{marks[0]}\n{table}{marks[1]}{rest.split(marks[1])[1]}")
