#!/usr/bin/env bash
# How long a client's reads take while another sends hostile statements of 1 MiB one after the other, kind by kind.
# Needs: PostgreSQL server binaries, a release build of countersign, a Python with psycopg (PYTHON). Loopback only.
#   benches/hostile.sh [seconds per kind, default 10] [hostile clients, default 1]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} clients=${2:-1}
python=${PYTHON:-python3}
"$python" -c 'import psycopg' || { echo "missing: psycopg; name a Python that has it in PYTHON" >&2; exit 1; }
. benches/lab.sh
serve_gateway
PGHOST=127.0.0.1 PGPORT=$cs PGUSER=bench PGDATABASE=bench PGPASSWORD=$key "$python" - "$seconds" "$clients" "$gateway_pid" <<'PY'
import statistics, sys, threading, time
import psycopg

SECONDS, CLIENTS, GATEWAY = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
SIZE = 1024 * 1024 - 64


def filled(start, unit, end=""):
    return start + unit * ((SIZE - len(start) - len(end)) // len(unit)) + end


KINDS = {
    "none": None,
    "`a,` × 69,000": "SELECT " + "a, " * 69_000 + "a",
    "`a,` × 524,000": filled("SELECT ", "a,", "a"),
    "`a OR`, 1 MiB": filled("SELECT a WHERE ", "a OR ", "a"),
    "`IN (1, …)`, 1 MiB": filled("SELECT 1 IN (", "1,", "1)"),
    "100,000 parameters": "SELECT " + ", ".join(f"${n % 65_535 + 1}" for n in range(100_000)),
    "500,000 parentheses": filled("SELECT ", "("),
    "20,000 tables": "SELECT 1 FROM " + ", ".join(f"t{n}" for n in range(20_000)),
    "900 statements": "".join(f"SELECT * FROM t{n};" for n in range(900)),
    "115,000 statements": filled("", "SELECT 1;"),
    "rows of text, 1 MiB": "VALUES " + ",".join(f"('{'some words ' * 8}', {n})" for n in range(9_800)),
    "`/**/`, 1 MiB": filled("SELECT 1", "/**/"),
    "`+`, 1 MiB": filled("SELECT 1", "+"),
}


def attack(sql, over, sent):
    with psycopg.connect("", autocommit=True) as connection:
        while not over.is_set():
            try:
                connection.execute(sql.encode())
            except psycopg.Error:
                pass
            sent.append(1)


def reads(texts):
    delays = []
    with psycopg.connect("", autocommit=True) as connection:
        end = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            began = time.monotonic()
            connection.execute(next(texts).encode()).fetchall()
            delays.append((time.monotonic() - began) * 1000)
            time.sleep(0.005)
    return delays


def same():
    while True:
        yield "SELECT count(*) FROM pg_database"


def new():
    number = 0
    while True:
        number += 1
        yield f"SELECT 'read {time.monotonic()} {number}', count(*) FROM pg_database"


def peak():
    lines = open(f"/proc/{GATEWAY}/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024


def told(delays):
    delays.sort()
    return f"{statistics.median(delays):.1f} | {delays[int(len(delays) * 0.99)]:.0f} | {delays[-1]:.0f}"


print("| hostile statement | a second | same read ms: median | p99 | longest | new read ms: median | p99 | longest | peak MiB |")
print("|---|---|---|---|---|---|---|---|---|")
for kind, sql in KINDS.items():
    over, sent = threading.Event(), []
    workers = [threading.Thread(target=attack, args=(sql, over, sent)) for _ in range(CLIENTS if sql else 0)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    line = f"{told(reads(same()))} | {told(reads(new()))}"
    rate = len(sent) / (time.monotonic() - began)
    over.set()
    print(f"| {kind} | {rate:.1f} | {line} | {peak()} |", flush=True)
    for worker in workers:
        worker.join()
PY
