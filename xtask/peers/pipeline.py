"""Thousands of statements on their way at once: each test is one line in the file that COUNTERSIGN_REPORT names."""

import asyncio
import json
import os

import asyncpg
import psycopg

COUNT = int(os.environ.get("COUNTERSIGN_STATEMENTS", 10_000))
# Statements with an effect: each has its own durable record at the gateway.
WRITES = int(os.environ.get("COUNTERSIGN_WRITES", COUNT))
TESTS = {}


def test(function):
    TESTS[function.__doc__] = function


@test
def selects():
    """psycopg: selects"""
    with psycopg.connect("", autocommit=True) as connection, connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(COUNT)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(COUNT))


@test
def inserts():
    """psycopg: inserts in one transaction"""
    with psycopg.connect("") as connection:
        connection.execute("CREATE TEMPORARY TABLE numbers (n int)")
        with connection.pipeline():
            for n in range(WRITES):
                connection.execute("INSERT INTO numbers VALUES (%s)", (n,))
        counted = connection.execute("SELECT count(*), sum(n) FROM numbers").fetchone()
        assert counted == (WRITES, WRITES * (WRITES - 1) // 2)


@test
def error_in_the_middle():
    """psycopg: an error aborts what follows up to the synchronisation, and nothing more"""
    with psycopg.connect("", autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE numbers (n int)")
        with connection.pipeline() as pipeline:
            before = connection.execute("INSERT INTO numbers VALUES (1)")
            pipeline.sync()
            failed = connection.execute("SELECT 1 / %s", (0,))
            skipped = connection.execute("INSERT INTO numbers VALUES (2)")
            try:
                pipeline.sync()
            except psycopg.errors.DivisionByZero:
                pass
            connection.execute("INSERT INTO numbers VALUES (3)")
        assert before.rowcount == 1 and failed.rowcount == -1 and skipped.rowcount == -1
        assert connection.execute("SELECT array_agg(n ORDER BY n) FROM numbers").fetchone()[0] == [1, 3]


@test
def executemany():
    """asyncpg: executemany"""

    async def run():
        connection = await asyncpg.connect()
        await connection.execute("CREATE TEMPORARY TABLE numbers (n int, t text)")
        await connection.executemany("INSERT INTO numbers VALUES ($1, $2)", [(n, str(n)) for n in range(WRITES)])
        assert await connection.fetchval("SELECT count(*) FROM numbers") == WRITES
        await connection.close()

    asyncio.run(run())


@test
def copy_records():
    """asyncpg: records by COPY in binary form, ten for each statement"""

    async def run():
        connection = await asyncpg.connect()
        await connection.execute("CREATE TEMPORARY TABLE numbers (n int, t text)")
        records = [(n, str(n)) for n in range(10 * COUNT)]
        assert await connection.copy_records_to_table("numbers", records=records) == f"COPY {10 * COUNT}"
        assert await connection.fetchval("SELECT count(*) FROM numbers") == 10 * COUNT
        await connection.close()

    asyncio.run(run())


with open(os.environ["COUNTERSIGN_REPORT"], "w") as out:
    for name, function in TESTS.items():
        try:
            function()
            outcome, said = "passed", ""
        except Exception as error:  # whatever it is, it is this test's end
            outcome, said = "failed", repr(error)[:400]
        out.write(json.dumps({"id": name, "outcome": outcome, "said": said}) + "\n")
        out.flush()
