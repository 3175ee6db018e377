"""Opens connections whose change waits for a review, and approves some of them one after the other.

Called by waiting.sh. Prints resident memory per paused connection, and the time from sending the vote to having the
database's answer at the client, at several percentiles, while all the others go on waiting.
"""

import asyncio
import os
import statistics
import sys
import time

from paused import Api, approval, pause, resident_mb

PORT, KEY, HTTP, GATEWAY = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CONNECTIONS, APPROVALS = int(sys.argv[5]), int(sys.argv[6])
TOKEN = os.environ["TOKEN"]
STEPS = sorted({min(1_000, CONNECTIONS), CONNECTIONS})


async def main():
    before, waiting = resident_mb(GATEWAY), []
    print("| waiting | resident MB | KB a connection | released | median ms | p90 ms | p99 ms | longest ms |")
    print("|---|---|---|---|---|---|---|---|")

    for step in STEPS:
        await pause(waiting, PORT, KEY, step)
        await asyncio.sleep(3)  # for what was only needed to open them
        resident = resident_mb(GATEWAY)
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
    api, times, loop = Api(HTTP, TOKEN), [], asyncio.get_running_loop()
    for it in some:
        review = api.ask("GET", f"/api/v1/reviews/{it.review}")
        vote = approval(review)
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
