#!/usr/bin/env python3
"""A TLS front for PyPI on the loopback, for image builds only.  usage: pypi-front.py DIR [ADDRESS]

Why: PyPI marks its files as cacheable for years, and so pip keeps them under ~/.cache/pip. A mirror that drops
those headers leaves pip's cache empty, and an image built behind it lacks the waste that every naive image has.
This front asks the real hosts, puts the headers back, and keeps files in DIR/files so that rebuilds are quick.
Poetry asks for /pypi/NAME/VERSION/json, which mirrors may lack: it is made of the simple index then.
DIR/front.pem is the authority for clients to trust; no key leaves DIR.
"""
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pip._internal.models.index import PyPI  # pip's own default hosts: the index, and where its files lie

INDEX, FILES = PyPI.netloc, PyPI.file_storage_domain
HOSTS = {INDEX: "max-age=600, public", FILES: "max-age=365000000, immutable, public"}
root = Path(sys.argv[1])
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.2"
files = root / "files"
files.mkdir(parents=True, exist_ok=True)


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, ctype, body, cache=None):
        self.send_response(status)
        self.send_header("Content-Type", ctype)
        self.send_header("Content-Length", str(len(body)))
        if cache:
            self.send_header("Cache-Control", cache)
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        host = self.headers.get("Host", "").split(":")[0]
        if host not in HOSTS:
            return self.reply(404, "text/plain", b"not served here\n")
        url = f"https://{host}{self.path}"
        kept = files / hashlib.sha256(url.encode()).hexdigest() if host == FILES else None
        if kept and kept.exists():
            return self.reply(200, "application/octet-stream", kept.read_bytes(), HOSTS[host])
        ask = urllib.request.Request(url, headers={"User-Agent": "pip", "Accept": self.headers.get("Accept", "*/*")})
        try:
            with urllib.request.urlopen(ask, timeout=180) as r:
                body, ctype = r.read(), r.headers.get("Content-Type", "application/octet-stream")
        except urllib.error.HTTPError as e:
            if asked := re.fullmatch(r"/pypi/([^/]+)/([^/]+)/json", self.path):
                return self.reply(200, "application/json", json.dumps(release(*asked.groups())).encode())
            return self.reply(e.code, "text/plain", b"")
        if kept:
            part = kept.with_suffix(f".{os.getpid()}.{id(self)}")
            part.write_bytes(body)
            part.rename(kept)
        self.reply(200, ctype, body, HOSTS[host])

    do_HEAD = do_GET


def release(name, version):
    """What the index tells of one version, without what only its files know."""
    ask = urllib.request.Request(f"https://{INDEX}/simple/{name}/", headers={"User-Agent": "pip", "Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(ask, timeout=180) as r:
        listed = json.load(r)["files"]
    urls = []
    for file in listed:
        stem = re.sub(r"\.(tar\.gz|zip|whl)$", "", file["filename"])
        if stem.split("-")[1] == version if file["filename"].endswith(".whl") else stem.endswith("-" + version):
            kind = "bdist_wheel" if file["filename"].endswith(".whl") else "sdist"
            urls.append({"filename": file["filename"], "url": file["url"], "digests": file["hashes"], "packagetype": kind, "yanked": bool(file.get("yanked"))})
    python = next((f.get("requires-python") for f in listed if urls and f["filename"] == urls[0]["filename"]), None)
    return {"info": {"name": name, "version": version, "summary": "", "requires_dist": None, "requires_python": python, "yanked": False}, "urls": urls}


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


# An authority and a certificate that it signs: not all clients take one that is both.
authority, key, cert, cert_key = (root / name for name in ("front.pem", "front.key", "server.pem", "server.key"))
if not cert.exists():
    new = root / "authority.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 3650, "-subj", "/CN=lab build-time authority", "-keyout", key, "-out", new)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab build-time front", "-keyout", cert_key, "-out", root / "server.csr")
    (root / "server.ext").write_text("basicConstraints=CA:FALSE\nsubjectAltName=" + ",".join(f"DNS:{h}" for h in HOSTS) + "\n")
    openssl("x509", "-req", "-in", root / "server.csr", "-CA", new, "-CAkey", key, "-set_serial", 1, "-days", 3650, "-extfile", root / "server.ext", "-out", cert)
    # a front that runs already goes on with its old certificate
    authority.write_text(new.read_text() + (authority.read_text() if authority.exists() else ""))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, cert_key)
server = ThreadingHTTPServer((address, 443), Front)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
