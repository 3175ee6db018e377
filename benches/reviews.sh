#!/usr/bin/env bash
# Many reviews: how fast the console and a click answer while they wait, and whether receivers that fail hear of all of them.
# Needs what benches/waiting.sh needs. Loopback only.
#   benches/reviews.sh [waiting, default 1000] [reviews told to two receivers that fail, default 2500]
set -euo pipefail
cd "$(dirname "$0")/.."
waiting=${1:-1000} told=${2:-2500}
ulimit -n "$(ulimit -Hn)"
. benches/lab.sh
export RUST_LOG=off # it warns of each attempt that fails
receiver=$(free_port)
export RECEIVER_SECRET="whsec_$(head -c 32 /dev/urandom | base64)"
webhook() { printf '[[webhook]]\nname = "%s"\nurl = "http://127.0.0.1:%s/%s"\nsecret = { env = "RECEIVER_SECRET" }\nall = true\n' "$1" "$receiver" "$1"; }
serve_gateway "[review]
open_per_owner_max = 100000
open_max = 100000
hold_seconds = 3600
$(webhook first)
$(webhook second)"
"$gateway" person add reviewer --groups dba >/dev/null
LINK=$("$gateway" person login-link reviewer) TOKEN=$("$gateway" person token create reviewer) GATEWAY="$gateway" \
    "${PYTHON:-python3}" benches/reviews.py "$cs" "$key" "$http" "$gateway_pid" "$receiver" "$waiting" "$told"
