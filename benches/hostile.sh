#!/usr/bin/env bash
# How long a client's reads take while another sends hostile statements of 1 MiB one after the other, kind by kind.
# Needs: PostgreSQL server binaries, a release build of countersign, a Python with psycopg (PYTHON). Loopback only.
#   benches/hostile.sh [seconds per kind, default 10] [hostile clients, default 1]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} clients=${2:-1}
gateway=${COUNTERSIGN:-target/release/countersign} python=${PYTHON:-python3}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
bin=${PG_BIN:-$bin}
for need in "$bin/initdb" "$gateway"; do
    [ -x "$need" ] || { echo "missing: $need" >&2; exit 1; }
done
"$python" -c 'import psycopg' || { echo "missing: psycopg; name a Python that has it in PYTHON" >&2; exit 1; }

work=$(mktemp -d)
chmod 755 "$work"
user=()
if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown nobody:nogroup "$work"
fi
gateway_pid=
cleanup() {
    [ -z "$gateway_pid" ] || kill "$gateway_pid" 2>/dev/null || true
    "${user[@]}" "$bin/pg_ctl" -D "$work/pg" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_port() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; echo "port $1 stays closed" >&2; exit 1; }

pg=$(free_port) cs=$(free_port)
echo bench >"$work/pw" && chmod 644 "$work/pw"
"${user[@]}" "$bin/initdb" -D "$work/pg" -U bench -A scram-sha-256 --pwfile="$work/pw" -E UTF8 --locale=C >/dev/null
printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nport = %s\nfsync = off\n" "$pg" >>"$work/pg/postgresql.conf"
"${user[@]}" "$bin/pg_ctl" -D "$work/pg" -l "$work/pg.log" -w start >/dev/null
mkdir "$work/cs"
cat >"$work/cs/countersign.toml" <<TOML
[server]
listen = "127.0.0.1:$(free_port)"
data_dir = "data"
policies = "$PWD/policies"
[postgres]
listen = "127.0.0.1:$cs"
[[target]]
name = "postgres"
protocol = "postgres"
upstream = "postgres://bench@127.0.0.1:$pg/postgres?sslmode=disable"
credential = { env = "BENCH_PASSWORD" }
TOML
export COUNTERSIGN_CONFIG="$work/cs/countersign.toml" BENCH_PASSWORD=bench
"$gateway" person add owner >/dev/null
key=$("$gateway" agent create bench --owner owner)
RUST_LOG=error "$gateway" serve >/dev/null &
gateway_pid=$!
wait_port "$cs"
PGHOST=127.0.0.1 PGPORT=$cs PGUSER=bench PGDATABASE=postgres PGPASSWORD=$key "$python" - "$seconds" "$clients" "$gateway_pid" <<'PY'
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
