#!/usr/bin/env bash
# pgbench -S through the gateway, PgBouncer and directly, interleaved in one run; medians and ratios at the end.
# Needs: PostgreSQL server binaries, pgbench, pgbouncer, a release build of countersign. Loopback only.
#   benches/pgbench.sh [seconds per run, default 5] [rounds, default 5] [clients, default 16]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-5} clients=${3:-16}
. benches/lab.sh
command -v pgbouncer >/dev/null || { echo "missing: pgbouncer" >&2; exit 1; }

pb=$(free_port)
printf '"bench" "bench"\n' >"$work/users"
cat >"$work/pgbouncer.ini" <<INI
[databases]
bench = host=127.0.0.1 port=$pg user=bench password=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pb
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $work/users
pool_mode = session
max_client_conn = 500
default_pool_size = 200
ignore_startup_parameters = extra_float_digits
INI
chmod 644 "$work/users" "$work/pgbouncer.ini"
"${user[@]}" pgbouncer -q "$work/pgbouncer.ini" >/dev/null 2>&1 &
pgbouncer_pid=$!
pids+=($!)

serve_gateway
wait_port "$pb"

run() { # way mode clients -> tps latency_ms cpu_us
    local port password pid before out
    case $1 in
        direct) port=$pg password=bench pid=none ;;
        pgbouncer) port=$pb password=bench pid=$pgbouncer_pid ;;
        *) port=$cs password=$key pid=$gateway_pid ;;
    esac
    before=$(ticks "$pid")
    out=$(PGPASSWORD=$password "$bin/pgbench" -p "$port" -U bench -S -n -M "$2" -c "$3" -j 2 -T "$seconds" bench 2>/dev/null)
    awk -v ticks=$(($(ticks "$pid") - before)) -v hertz="$(getconf CLK_TCK)" '
        /^number of transactions actually processed/ { split($6, n, "/") }
        /^latency average/ { l = $4 }
        /^tps/ { t = $3 }
        END { if (!t) exit 1; print t, l, ticks * 1e6 / hertz / n[1] }' <<<"$out"
}
for clients_now in "$clients" 1; do
    for round in $(seq "$rounds"); do
        for mode in simple extended prepared; do
            for way in direct pgbouncer gateway; do
                echo "$clients_now $mode $way $(run "$way" "$mode" "$clients_now")" >>"$work/results"
            done
        done
        echo "round $round of $rounds with $clients_now clients done" >&2
    done
done
python3 - "$work/results" <<'PY'
import collections, statistics, sys
runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    clients, mode, way, tps, latency, cpu = line.split()
    runs[int(clients), mode, way].append((float(tps), float(latency), float(cpu)))
median = {key: [statistics.median(column) for column in zip(*values)] for key, values in runs.items()}
print("| clients | mode | direct tps | PgBouncer of direct | gateway of direct | gateway of PgBouncer | added ms: PgBouncer | added ms: gateway | CPU µs: PgBouncer | CPU µs: gateway |")
print("|---|---|---|---|---|---|---|---|---|---|")
for clients, mode in dict.fromkeys((c, m) for c, m, _ in runs):
    direct, bouncer, gateway = (median[clients, mode, way] for way in ("direct", "pgbouncer", "gateway"))
    print(f"| {clients} | {mode} | {direct[0]:,.0f} | {bouncer[0]/direct[0]:.2f} | {gateway[0]/direct[0]:.2f} "
          f"| {gateway[0]/bouncer[0]:.2f} | {bouncer[1]-direct[1]:.3f} | {gateway[1]-direct[1]:.3f} "
          f"| {bouncer[2]:.0f} | {gateway[2]:.0f} |")
PY
