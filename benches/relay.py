"""What benches/http.sh measures with more than wrk and curl, and its tables. Only Python's own library."""

import asyncio
import collections
import http.client
import json
import os
import socket
import statistics
import sys
import threading
import time

PIECE = 1 << 20


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def rounds_of(path, keys):
    """A file's lines as numbers, by its first `keys` words."""
    runs = collections.defaultdict(list)
    with open(path, encoding="ascii") as lines:
        for words in map(str.split, lines):
            runs[tuple(words[:keys])].append([float(word) for word in words[keys:]])
    return runs


def medians_of(rounds):
    """The medians of each key's columns."""
    return {key: [statistics.median(column) for column in zip(*lines)] for key, lines in rounds.items()}


def reads(path):
    """Ratios and differences are those within a round, whose runs follow one another: a machine shared with others changes."""
    rounds = rounds_of(path, 2)
    median = medians_of(rounds)
    print("| connections | way | requests/s | of nginx | of Envoy | median ms | added ms | p99 ms | CPU µs |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (connections, way), (rate, half, late, cpu) in median.items():

        def beside(other, compare):
            pairs = zip(rounds[connections, way], rounds[connections, other], strict=True)
            return statistics.median(compare(own, its) for own, its in pairs)

        nginx, envoy = (beside(other, lambda own, its: own[0] / its[0]) for other in ("nginx", "envoy"))
        added = beside("direct", lambda own, its: own[1] - its[1])
        print(
            f"| {connections} | {way} | {rate:,.0f} | {nginx:.2f} | {envoy:.2f} "
            f"| {half:.3f} | {added:.3f} | {late:.2f} | {cpu:.0f} |"
        )
    print(flush=True)


def bodies(path, megabytes, resident):
    median = medians_of(rounds_of(path, 2))
    print(f"The gateway's resident memory before: {resident} MB.\n")
    print(f"| {megabytes} MB | nginx MB/s | gateway MB/s | of nginx | gateway's resident MB after | highest so far |")
    print("|---|---|---|---|---|---|")
    for direction in dict.fromkeys(direction for direction, _ in median):
        (nginx, *_), (own, after, peak) = median[direction, "nginx"], median[direction, "gateway"]
        print(f"| {direction} | {nginx:,.0f} | {own:,.0f} | {own / nginx:.2f} | {after:.0f} | {peak:.0f} |")
    print(flush=True)


def swallow(connection):
    """Reads requests to their end and answers each."""
    with connection:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(PIECE)
                if not piece:
                    return
                head += piece
            head, _, begun = head.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            if b"content-length" in fields:
                left = int(fields[b"content-length"]) - len(begun)
                while left > 0:
                    piece = connection.recv(PIECE)
                    if not piece:
                        return
                    left -= len(piece)
            elif b"transfer-encoding" in fields:
                end = begun[-7:]
                while not end.endswith(b"\r\n0\r\n\r\n"):  # the body itself is all zero bytes
                    piece = connection.recv(PIECE)
                    if not piece:
                        return
                    end = (end + piece)[-7:]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def sink(port):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=swallow, args=(connection,), daemon=True).start()


class Api:
    def __init__(self, port, token):
        self.connection, self.token = http.client.HTTPConnection("127.0.0.1", port), token

    def ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, path, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


class Held:
    """One connection and its request that hangs. The first time it prefers not to wait, so that its review is known."""

    def __init__(self, number):
        self.number = number

    async def open(self, port, key):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=16 * 1024)
        status, body = await self.ask(key, "Prefer: respond-async\r\n")
        if status != 202:
            raise SystemExit(f"not held: {status} {body}")
        self.review = json.loads(body)["review"]
        self.call = asyncio.create_task(self.ask(key, ""))

    async def ask(self, key, more):
        body = json.dumps({"count": self.number})
        self.writer.write(
            f"PUT /t/bench/items/{self.number} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n{more}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        body = await self.reader.readexactly(int(length.split(":")[1]))
        return int(head.split(" ")[1]), body.decode()


async def hold(port, key, gateway, count, approvals, token):
    before, held = resident_mb(gateway), []
    gate = asyncio.Semaphore(16)

    async def one(number):
        async with gate:
            it = Held(number)
            await it.open(port, key)
            held.append(it)

    begun = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(1, count + 1)))
    print(f"{count} held after {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    await asyncio.sleep(3)  # for what was only needed to open them
    resident = resident_mb(gateway)
    if any(it.call.done() for it in held):
        raise SystemExit("some requests did not wait")
    times = sorted([await release(Api(port, token), it) for it in held[-min(approvals, count) :]])
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    print("| held | resident MB | KB a request | released | median ms | p90 ms | p99 ms | longest ms |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {count:,} | {resident:.0f} (before: {before:.0f}) | {(resident - before) * 1024 / count:.0f} | {len(times)} "
        f"| {statistics.median(times):.1f} | {at(0.9):.1f} | {at(0.99):.1f} | {times[-1]:.1f} |",
        flush=True,
    )
    os._exit(0)  # the others wait for people for an hour


async def release(api, it):
    """From sending the vote to having the origin's answer at the client, in milliseconds."""
    loop = asyncio.get_running_loop()
    review = api.ask("GET", f"/api/v1/reviews/{it.review}")
    vote = {name: review[name] for name in ("action_digest", "card_digest")} | {"verdict": "approve"}
    begun = time.perf_counter()
    posted = loop.run_in_executor(None, api.ask, "POST", f"/api/v1/reviews/{it.review}/votes", vote)
    status, body = await it.call
    ended = time.perf_counter()
    await posted
    if status != 200:
        raise SystemExit(f"released, and then: {status} {body}")
    return (ended - begun) * 1000


match sys.argv[1:]:
    case ["reads", path]:
        reads(path)
    case ["bodies", path, megabytes, resident]:
        bodies(path, megabytes, resident)
    case ["sink", port]:
        sink(int(port))
    case ["hold", port, key, gateway, count, approvals]:
        asyncio.run(hold(int(port), key, int(gateway), int(count), int(approvals), os.environ["TOKEN"]))
    case _:
        raise SystemExit("called by benches/http.sh")
