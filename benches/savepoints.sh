#!/usr/bin/env bash
# What a read costs inside a client's own transaction, where the gateway puts it, with those that follow it, into a read-only
# savepoint; beside the same read alone; directly and through the gateway, interleaved. Needs what benches/pgbench.sh needs but pgbouncer.
#   benches/savepoints.sh [seconds per run, default 5] [rounds, default 5]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-5}
. benches/lab.sh
serve_gateway
read='SELECT abalance FROM pgbench_accounts WHERE aid = 42;'
echo "$read" >"$work/alone.sql"
printf '%s\n' 'BEGIN;' "$read" 'COMMIT;' >"$work/first.sql"
{ echo 'BEGIN;'; for _ in {1..10}; do echo "$read"; done; echo 'COMMIT;'; } >"$work/ten.sql"
printf '%s\n' 'BEGIN;' 'COMMIT;' >"$work/empty.sql"
latency() { # way script -> milliseconds a run of it
    local port=$pg password=bench
    if [ "$1" = gateway ]; then port=$cs password=$key; fi
    PGPASSWORD=$password "$bin/pgbench" -p "$port" -U bench -n -M simple -c 1 -T "$seconds" -f "$work/$2.sql" bench 2>/dev/null |
        awk '/^latency average/ { print $4 }'
}
for _ in $(seq "$rounds"); do
    for script in alone empty first ten; do
        for way in direct gateway; do echo "$way $script $(latency $way $script)" >>"$work/results"; done
    done
done
python3 - "$work/results" <<'PY'
import collections, statistics, sys
runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    way, script, latency = line.split()
    runs[way, script].append(float(latency))
ms = {key: statistics.median(values) for key, values in runs.items()}
print("| ms | a read alone | BEGIN and COMMIT alone | the first read between them | each of nine more |")
print("|---|---|---|---|---|")
for way in ("direct", "gateway"):
    alone, empty, first, ten = (ms[way, script] for script in ("alone", "empty", "first", "ten"))
    print(f"| {way} | {alone:.3f} | {empty:.3f} | {first - empty:.3f} | {(ten - first) / 9:.3f} |")
PY
