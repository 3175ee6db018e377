"""Records what helm sends for a list of commands, and what a real API server made of it, as lines of `helm.jsonl`.

Run by hand when the list changes: `python3 capture.py DIR >helm.jsonl`, where DIR has `kube-apiserver` (build.sh) and `helm`. Nothing
leaves the machine. Verb, kind, namespace and name are the server's own, from its audit log; the class is put before them by the rules of
docs/guide/kubernetes.md and looked over by a person.
"""
import http.client
import http.server
import json
import os
import pathlib
import shlex
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE.parents[1] / "crates/gateway/tests/data/helm/shop"
TOKEN = "capture"
COMMANDS = """
helm install web {chart} -n shop
helm install web {chart} -n shop --dry-run=server
helm list -n shop
helm list -A
helm status web -n shop
helm get values web -n shop
helm get manifest web -n shop
helm history web -n shop
helm upgrade web {chart} -n shop --set mode=fast
helm upgrade web {chart} -n shop --set replicas=2 --atomic --timeout 1s
helm upgrade --install api {chart} -n shop
helm upgrade web {chart} -n shop --force
helm rollback web 1 -n shop
helm template web {chart} -n shop --validate
helm install new {chart} -n fresh --create-namespace
helm uninstall new -n fresh
helm uninstall api -n shop --keep-history
helm uninstall web -n shop
""".strip().splitlines()
READS = {"get", "list", "watch"}
seen = []


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def anything(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urllib.request.Request(f"https://127.0.0.1:{PORT}{self.path}", data=body or None, method=self.command)
        for name in ("Content-Type", "Accept"):
            if self.headers.get(name):
                asked.add_header(name, self.headers[name])
        asked.add_header("Authorization", f"Bearer {TOKEN}")
        try:
            answer = urllib.request.urlopen(asked, context=UNVERIFIED)
        except urllib.error.HTTPError as error:
            answer = error
        except OSError:
            self.close_connection = True  # the server is still on its way up
            return
        data = answer.read()
        seen.append({"line": f"{self.command} {self.path}", "type": self.headers.get("Content-Type"), "body": body, "audit": answer.headers.get("Audit-Id")})
        self.send_response(answer.status)
        for name in ("Content-Type", "Warning"):
            if answer.headers.get(name):
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = anything

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def audit(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return {event["auditID"]: event for event in map(json.loads, lines) if event["stage"] == "ResponseComplete"}


def facts(request, event):
    place = event.get("objectRef") or {}
    target = request["line"].split(" ", 1)[1]
    verb, kind = event["verb"], place.get("resource", "")
    if not kind:
        return f"read {verb} {target.split('?')[0]}"
    secrets = kind == "secrets"
    if place.get("subresource"):
        kind = f"{place['resource']}/{place['subresource']}"
    if place.get("apiGroup"):
        kind = f"{place['resource']}.{place['apiGroup']}" + (f"/{place['subresource']}" if place.get("subresource") else "")
    if secrets and verb in (*READS, "patch", "deletecollection"):
        rule = "reveal" if verb in READS else "admin"
    else:
        rule = "read" if verb in READS else "write"
    dry = " dry" if "dryRun=All" in target else ""
    return f"{rule} {verb} {kind} {place.get('namespace', '')}/{place.get('name', '')}{dry}"


def carried(request):
    if not request["body"]:
        return {}
    if request["body"].startswith(b"k8s\0"):
        return {"type": request["type"], "hex": request["body"].hex()}
    return {"type": request["type"], "body": request["body"].decode()}


def main(directory):
    global PORT, UNVERIFIED
    UNVERIFIED = ssl._create_unverified_context()
    work = pathlib.Path(tempfile.mkdtemp())
    PORT, etcd, peers = free_port(), free_port(), free_port()
    (work / "tokens.csv").write_text(f'{TOKEN},capture,1,"system:masters"\n')
    (work / "audit.yaml").write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.crt"], cwd=work, check=True, capture_output=True)
    clients, between = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": work}
    children = [subprocess.Popen(["etcd", "--data-dir", "etcd", "--unsafe-no-fsync", "--listen-client-urls", clients, "--advertise-client-urls", clients,
                                  "--listen-peer-urls", between, "--initial-advertise-peer-urls", between, "--initial-cluster", f"default={between}"], **quiet)]
    children.append(subprocess.Popen([f"{directory}/kube-apiserver", f"--etcd-servers={clients}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={PORT}",
                                      "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--authorization-mode=RBAC", "--token-auth-file=tokens.csv",
                                      "--service-account-key-file=server.key", "--service-account-signing-key-file=server.key", "--service-account-issuer=https://kubernetes.default",
                                      "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none", "--cert-dir=.",
                                      "--audit-policy-file=audit.yaml", "--audit-log-path=audit.log", "--audit-log-mode=blocking"], **quiet))
    try:
        record(directory, work)
    finally:
        for child in children:
            child.kill()
            child.wait()


def record(directory, work):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    for _ in range(90):
        try:
            urllib.request.urlopen(f"{url}/api/v1/namespaces/default").read()
            break
        except (OSError, http.client.HTTPException):
            time.sleep(1)
    made = urllib.request.Request(f"{url}/api/v1/namespaces", data=b'{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}', headers={"Content-Type": "application/json"})
    urllib.request.urlopen(made).read()
    (work / "kubeconfig").write_text(f"apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n")
    env = {"PATH": f"{directory}:{os.environ['PATH']}", "HOME": str(work), "KUBECONFIG": str(work / "kubeconfig")}
    told = set()
    for command in COMMANDS:
        seen.clear()
        known = set()
        ran = subprocess.run(shlex.split(command.format(chart=CHART)), env=env, cwd=work, capture_output=True, text=True, timeout=120)
        if ran.returncode:
            print(command, ran.stderr.strip()[-300:], file=sys.stderr)
        time.sleep(1)
        events = audit(work / "audit.log")
        for request in list(seen):
            # discovery is the same each time
            once = told if "?timeout=" in request["line"] else known
            if request["line"].startswith("GET") and request["line"] in once:
                continue
            once.add(request["line"])
            named = {"command": command.format(chart="./shop"), "request": request["line"]}
            print(json.dumps({**named, **carried(request), "facts": facts(request, events[request["audit"]])}))


main(os.path.abspath(sys.argv[1]))
