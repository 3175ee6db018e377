"""Connections whose change waits for a review, and the API of the gateway, for the scripts beside this one."""

import asyncio
import http.client
import json

import asyncpg

AT_ONCE = 16  # connections that log in and ask at the same time


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


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


class Waiting:
    """One connection with its paused change."""

    def __init__(self, number):
        self.number, self.review, self.paused = number, None, asyncio.Event()

    async def open(self, port, key):
        self.connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="bench", password=key, database="bench", ssl=False, timeout=120
        )
        self.connection.add_log_listener(self.told)
        sql = f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = {self.number + 1}"
        self.call = asyncio.create_task(self.connection.execute(sql))
        await asyncio.wait([self.call, asyncio.create_task(self.paused.wait())], return_when=asyncio.FIRST_COMPLETED)
        if self.call.done():
            raise SystemExit(f"not paused: {self.call.result()}")

    def told(self, _, notice):
        words = " ".join(filter(None, [notice.message, notice.detail, notice.hint]))
        self.review = next((word.rsplit("/", 1)[1] for word in words.split() if "/reviews/" in word), self.review)
        self.paused.set()


async def pause(waiting, port, key, count):
    """Opens connections until so many wait."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number):
        async with gate:
            it = Waiting(number)
            await it.open(port, key)
            waiting.append(it)

    await asyncio.gather(*(one(number) for number in range(len(waiting), count)))


def approval(review, **more):
    return {
        "verdict": "approve",
        "action_digest": review["action_digest"],
        "card_digest": review["card_digest"],
        **more,
    }
