"""Many reviews: pages and clicks while they wait, then an outage of everybody who is to be told, with the gateway killed in it.

Called by reviews.sh. Ends with an error if a message that had to be told was not.
"""

import asyncio
import collections
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from paused import Api, approval, pause

PORT, KEY, HTTP, GATEWAY_PID, RECEIVER = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
WAITING, TOLD = int(sys.argv[6]), int(sys.argv[7])
TOKEN, LINK, GATEWAY = os.environ["TOKEN"], os.environ["LINK"], os.environ["GATEWAY"]
PAGES, CLICKS = 50, 100
AGAIN_SECONDS = 900  # to hear of everything once the receivers are back


class Receiver(BaseHTTPRequestHandler):
    """Two places in one server. While it fails it answers 503, and keeps nothing."""

    protocol_version = "HTTP/1.1"
    fails, refused = False, 0
    heard = collections.defaultdict(set)
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with Receiver.lock:
            fails = Receiver.fails
            Receiver.refused += fails
            if not fails:
                event = json.loads(body)
                Receiver.heard[self.path, event["type"].rsplit(".", 1)[-1]].add(event["subject"])
        self.send_response(503 if fails else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Receivers(ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # the gateway is killed in the middle of a request


class Console:
    """A browser without scripts, signed in by a login link."""

    def __init__(self):
        self.cookies = ""
        answer, _ = self.ask("POST", "/login", {"secret": LINK.rsplit("/", 1)[1].strip()})
        self.cookies = "; ".join(cookie.split(";")[0] for cookie in answer.headers.get_all("set-cookie"))

    def ask(self, method, path, form=None):
        headers = {"Cookie": self.cookies, "Origin": f"http://127.0.0.1:{HTTP}"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection("127.0.0.1", HTTP)
        connection.request(method, path, form and urllib.parse.urlencode(form), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]}")
        return answer, text


def ask(*request):
    """Over a connection of its own: one that is kept would be idle for too long now and then."""
    return Api(HTTP, TOKEN).ask(*request)


def row(what, times):
    times = sorted(times)
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    print(f"| {what} | {len(times)} | {statistics.median(times):.1f} | {at(0.99):.1f} | {times[-1]:.1f} |", flush=True)


def timed(act):
    begun = time.perf_counter()
    result = act()
    return (time.perf_counter() - begun) * 1000, result


def pages_and_clicks(waiting):
    print(f"| with {len(waiting):,} waiting | asked | median ms | p99 ms | longest ms |\n|---|---|---|---|---|")
    console = Console()
    row("the inbox", [timed(lambda: console.ask("GET", "/"))[0] for _ in range(PAGES)])
    row("its last page", [timed(lambda: console.ask("GET", f"/?page={len(waiting) // 50}"))[0] for _ in range(PAGES)])
    row("the list in the API", [timed(lambda: ask("GET", "/api/v1/reviews"))[0] for _ in range(PAGES)])
    shown, clicked, after = [], [], []
    for it in waiting[:CLICKS]:
        path = f"/reviews/{it.review}"
        took, (_, page) = timed(lambda path=path: console.ask("GET", path))
        csrf = re.search(r'name="csrf" value="([^"]+)"', page).group(1)
        vote = approval(ask("GET", f"/api/v1/reviews/{it.review}"), csrf=csrf)
        shown.append(took)
        clicked.append(timed(lambda path=path, vote=vote: console.ask("POST", f"{path}/vote", vote))[0])
        after.append(timed(lambda path=path: console.ask("GET", path))[0])
    row("a review's page", shown)
    row("a click on Approve", clicked)
    row("the page after it", after)


def until(what, done):
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > AGAIN_SECONDS:
            raise SystemExit(f"waited {AGAIN_SECONDS} s for {what}")
        time.sleep(1)
    return time.monotonic() - begun


def restarted():
    os.kill(GATEWAY_PID, signal.SIGKILL)
    time.sleep(1)
    gateway = subprocess.Popen([GATEWAY, "serve"])

    def answers():
        try:
            ask("GET", "/api/v1/reviews?limit=1")
            return True
        except OSError:
            return False

    until("the gateway", answers)
    return gateway


def close(some):
    for it in some:
        review = ask("GET", f"/api/v1/reviews/{it.review}")
        if review["state"] == "open":
            ask("POST", f"/api/v1/reviews/{it.review}/votes", {**approval(review, reason="done"), "verdict": "reject"})


def outage(waiting):
    """What was told while nobody heard. The gateway is killed in the middle."""
    close(waiting[: len(waiting) // 2])
    gateway = restarted()
    try:
        close(waiting)
        expected = {it.review for it in waiting}
        Receiver.fails = False
        places = [(path, kind) for path in ("/first", "/second") for kind in ("opened", "closed")]
        took = until("every message", lambda: all(expected <= Receiver.heard[place] for place in places))
        messages = len(places) * len(expected)
        print(f"{messages:,} messages told, none lost; {Receiver.refused:,} attempts had failed; all were there {took:.0f} s later")
    finally:
        gateway.terminate()


async def main():
    threading.Thread(target=Receivers(("127.0.0.1", RECEIVER), Receiver).serve_forever, daemon=True).start()
    waiting, loop = [], asyncio.get_running_loop()
    await pause(waiting, PORT, KEY, WAITING)
    await loop.run_in_executor(None, until, "the first", lambda: len(Receiver.heard["/first", "opened"]) >= WAITING)
    await loop.run_in_executor(None, pages_and_clicks, waiting)
    Receiver.fails, Receiver.refused = True, 0
    Receiver.heard.clear()
    await pause(waiting, PORT, KEY, WAITING + TOLD)
    await loop.run_in_executor(None, outage, waiting[WAITING:])


async def main_and_leave():
    ended = 0
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # calls that end with the gateway, or by a rejection
    try:
        await main()
    except SystemExit as why:
        print(why, file=sys.stderr)
        ended = 1
    os._exit(ended)  # what still waits is nobody's business any more


asyncio.run(main_and_leave())
