"""Records what AWS's command line sends for a list of commands, into `captured.json`.

Run by hand when the list changes: `python3 capture.py`. Nothing leaves the machine: the endpoint is a server here that
answers every call with 400. Each line of `commands.txt` is `class | action | resources | command`.
"""
import base64
import http.server
import json
import os
import pathlib
import shlex
import subprocess
import threading

HERE = pathlib.Path(__file__).parent
KEPT = ("authorization", "content-type", "smithy-protocol", "content-encoding", "x-http-method-override")
seen = []


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def anything(self):
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        headers = {}
        for name, value in self.headers.items():
            name = name.lower()
            if name in KEPT or (name.startswith("x-amz") and name not in ("x-amz-date", "x-amz-security-token")):
                headers[name] = value.split(", Signature=")[0]
        seen.append({"method": self.command, "target": self.path, "headers": headers, "body": base64.b64encode(body).decode()})
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = anything

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x",
           "AWS_DEFAULT_REGION": "eu-central-1", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    out = []
    for line in (HERE / "commands.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        kind, action, resources, command = (part.strip() for part in line.split("|", 3))
        seen.clear()
        words = shlex.split(command)
        ran = subprocess.run([words[0], "--endpoint-url", endpoint, *words[1:]], env=env, capture_output=True, text=True)
        if not seen:
            print("NOTHING SENT:", command, ran.stderr.strip()[-300:])
            continue
        out.append({"command": command, "class": kind, "action": action, "resources": resources.split(), "request": seen[0]})
    (HERE / "captured.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in out) + "\n]\n")
    print(len(out), "recorded")


main()
