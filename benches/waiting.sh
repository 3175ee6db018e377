#!/usr/bin/env bash
# Paused connections: what one costs in memory, and how long an approval takes to reach the call that waits for it.
# Needs what benches/pgbench.sh needs but pgbouncer, and a python3 with asyncpg (PYTHON=…). Loopback only.
#   benches/waiting.sh [connections, default 10000] [approvals, default 200]
set -euo pipefail
cd "$(dirname "$0")/.."
connections=${1:-10000} approvals=${2:-200}
ulimit -n "$(ulimit -Hn)"
. benches/lab.sh
serve_gateway '[review]
open_per_owner_max = 100000
open_max = 100000
hold_seconds = 3600'
"$gateway" person add reviewer --groups dba >/dev/null
TOKEN=$("$gateway" person token create reviewer) "${PYTHON:-python3}" benches/waiting.py \
    "$cs" "$key" "$http" "$gateway_pid" "$connections" "$approvals"
