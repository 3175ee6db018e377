"""Records what gh, curl and skopeo send for a list of commands, into `captured.json`.

Run by hand when the list changes: `python3 capture.py`, with Debian's `gh` and `skopeo` installed. Nothing leaves the machine: gh
speaks to a socket here, the others to a port, and a server answers as little as they need to go on. Each line of `commands.txt` is
`api | what each request means, by semicolons | command`; `$URL` and `$HOST` stand for the server. Without meanings, those recorded
are printed.
"""
import base64
import http.server
import json
import os
import pathlib
import shlex
import socketserver
import subprocess
import tempfile
import threading

HERE = pathlib.Path(__file__).parent
KEPT = ("content-type", "content-encoding", "accept", "x-http-method-override", "x-vault-token", "x-vault-request")
MANIFEST = json.dumps({
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}, "layers": [],
}).encode()
ANYTHING = json.dumps({
    "id": 7, "node_id": "N", "name": "ci", "tag_name": "v1", "state": "active", "path": ".github/workflows/ci.yml", "default_branch": "main",
    "key": base64.b64encode(bytes(32)).decode(), "key_id": "1", "login": "bot", "html_url": "https://x", "url": "https://api.github.com/repos/acme/shop/releases/7", "workflow_id": 7, "conclusion": "failure",
    "status": "completed", "upload_url": "https://x/repos/acme/shop/releases/7/assets{?name,label}", "full_name": "acme/shop", "owner": {"login": "acme"},
    "workflow_runs": [], "workflows": [], "jobs": [], "tags": ["v1"],
}).encode()
seen = []


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def anything(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() in KEPT}
        seen.append({"method": self.command, "target": self.path, "headers": headers, "body": base64.b64encode(body).decode()})
        self.answer()

    def answer(self):
        path, registry = self.path.split("?")[0], self.path.startswith("/v2/")
        status, body, more = 200, ANYTHING, {"Content-Type": "application/json"}
        if registry and "/manifests/" in path and self.command in ("GET", "HEAD"):
            body, more = MANIFEST, {"Content-Type": "application/vnd.oci.image.manifest.v1+json", "Docker-Content-Digest": "sha256:" + "1" * 64}
        elif registry and "/blobs/" in path and self.command in ("GET", "HEAD"):
            status, body = 404, b"{}"
        elif registry and self.command != "GET":
            status, body, more = {"PUT": 201}.get(self.command, 202), b"", {"Location": "/v2/team/app/blobs/uploads/s1", "Range": "0-0"}
        elif self.command == "DELETE" or path.endswith("/dispatches"):
            status, body = 204, b""
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = do_LIST = do_TRACE = do_PROPFIND = anything

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # clients leave

    def address_string(self):
        return "client"


class Socket(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = pathlib.Path(tempfile.mkdtemp())
    threading.Thread(target=Socket(str(home / "socket"), Recorder).serve_forever, daemon=True).start()
    (home / "gh").mkdir()
    (home / "gh/config.yml").write_text(f"http_unix_socket: {home}/socket\nprompt: disabled\n")
    image = home / "image"
    image.mkdir()
    (image / "version").write_text("Directory Transport Version: 1.1\n")
    config = b"{}"
    (image / "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a").write_bytes(config)
    (image / "manifest.json").write_text(MANIFEST.decode().replace("0" * 64, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"))
    host = f"127.0.0.1:{server.server_port}"
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "GH_CONFIG_DIR": str(home / "gh"), "GH_TOKEN": "x", "GH_REPO": "acme/shop",
           "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1", "HOST": host, "URL": f"http://{host}", "IMAGE": f"dir:{image}", "TLS": "false"}
    out = []
    for line in (HERE / "commands.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        api, means, command = (part.strip() for part in line.split("|", 2))
        seen.clear()
        words = [os.path.expandvars(word) for word in shlex.split(command.replace("$URL", env["URL"]).replace("$HOST", host).replace("$IMAGE", env["IMAGE"]))]
        ran = subprocess.run(words, env=env, cwd=home, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        meanings = [meaning.strip() for meaning in means.split(";") if meaning.strip()]
        if len(meanings) != len(seen):
            print(command, ran.stderr.strip()[-200:])
            print("   ", "; ".join(f"{one['method']} {one['target']}" for one in seen))
        for meaning, request in zip(meanings, list(seen)):
            out.append({"command": command, "api": api, "means": meaning, "request": request})
    (HERE / "captured.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in out) + "\n]\n")
    print(len(out), "requests recorded")


main()
