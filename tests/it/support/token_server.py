"""A token server for tests: Docker's token authentication, signed by openssl.
usage: token_server.py PORT SECONDS CERTIFICATES LOG"""
import base64, json, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

port, seconds, certificates, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
LOGIN = "Basic " + base64.b64encode(b"tester:not-so-secret").decode()


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(scopes):
    pem = open(f"{certificates}/server.pem").read()
    chain = "".join(pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0].split())
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    claims = {"iss": "tester", "sub": "tester", "aud": "test", "exp": now + max(seconds, 60), "nbf": now - 10,
              "iat": now, "jti": str(time.monotonic_ns()), "access": access}
    head = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
    text = coded(json.dumps(head).encode()) + "." + coded(json.dumps(claims).encode())
    sign = ["openssl", "dgst", "-sha256", "-sign", f"{certificates}/server.key"]
    return text + "." + coded(subprocess.run(sign, input=text.encode(), capture_output=True, check=True).stdout)


class Server(BaseHTTPRequestHandler):
    def answer(self, allowed, scopes, key):
        with open(log, "a") as file:
            file.write(("" if allowed else "refused ") + " ".join(scopes) + "\n")
        body = {key: token(scopes), "expires_in": seconds} if allowed else {"errors": [{"code": "DENIED"}]}
        body = json.dumps(body).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        query = parse_qs(urlparse(self.path).query)
        login = self.headers.get("Authorization")
        # Who does not log in may read what is public, and nothing else.
        public = all(scope.endswith(":pull") and ":public" in scope for scope in query.get("scope", []))
        self.answer(login == LOGIN or login is None and public, query.get("scope", []), "token")

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        known = form.get("refresh_token") == ["for-good"] and form.get("grant_type") == ["refresh_token"]
        self.answer(known, form["scope"][0].split(" "), "access_token")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Server).serve_forever()
