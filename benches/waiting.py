"""Opens connections whose change waits for a review, and approves some of them one after the other.

Called by waiting.sh. Prints resident memory per paused connection, and the time from sending the vote to having the
database's answer at the client, at several percentiles, while all the others go on waiting.
"""

import asyncio
import http.client
import json
import os
import statistics
import sys
import time

import asyncpg

PORT, KEY, HTTP, GATEWAY = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CONNECTIONS, APPROVALS = int(sys.argv[5]), int(sys.argv[6])
TOKEN = os.environ["TOKEN"]
AT_ONCE = 16  # that log in and ask at the same time
STEPS = sorted({min(1_000, CONNECTIONS), CONNECTIONS})


def resident_mb():
    with open(f"/proc/{GATEWAY}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Api:
    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", HTTP)

    def ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
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

    async def open(self):
        self.connection = await asyncpg.connect(
            host="127.0.0.1", port=PORT, user="bench", password=KEY, database="bench", ssl=False, timeout=120
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


async def main():
    before, waiting, gate = resident_mb(), [], asyncio.Semaphore(AT_ONCE)
    print("| waiting | resident MB | KB a connection | released | median ms | p90 ms | p99 ms | longest ms |")
    print("|---|---|---|---|---|---|---|---|")

    async def one(number):
        async with gate:
            it = Waiting(number)
            await it.open()
            waiting.append(it)

    for step in STEPS:
        await asyncio.gather(*(one(number) for number in range(len(waiting), step)))
        await asyncio.sleep(3)  # for what was only needed to open them
        resident = resident_mb()
        times = sorted(await release(waiting[-APPROVALS:]))
        at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
        print(
            f"| {len(waiting):,} | {resident:.0f} | {(resident - before) * 1024 / len(waiting):.0f} | {len(times)} "
            f"| {statistics.median(times):.1f} | {at(0.9):.1f} | {at(0.99):.1f} | {times[-1]:.1f} |",
            flush=True,
        )


async def main_and_leave():
    await main()
    os._exit(0)  # the others wait for people for an hour


async def release(some):
    api, times, loop = Api(), [], asyncio.get_running_loop()
    for it in some:
        review = api.ask("GET", f"/api/v1/reviews/{it.review}")
        vote = {
            "verdict": "approve",
            "action_digest": review["action_digest"],
            "card_digest": review["card_digest"],
        }
        done = loop.create_future()
        it.call.add_done_callback(lambda _: done.set_result(time.perf_counter()))
        begun = time.perf_counter()
        posted = loop.run_in_executor(None, api.ask, "POST", f"/api/v1/reviews/{it.review}/votes", vote)
        ended = await done
        await posted
        if it.call.result() != "UPDATE 1":
            raise SystemExit(f"released, and then: {it.call.result()}")
        times.append((ended - begun) * 1000)
        await it.connection.close()
    return times


asyncio.run(main_and_leave())
