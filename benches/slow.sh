#!/usr/bin/env bash
# Clients that are slow on purpose, and many at once, while an ordinary one is served: slowhttptest in its three modes, and h2load.
# Needs: nginx, slowhttptest, h2load (nghttp2-client), python3, a release build of countersign. Loopback only.
#   benches/slow.sh [seconds per attack, default 30] [slow connections, default 2000]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-30} connections=${2:-2000}
for need in nginx slowhttptest h2load; do command -v "$need" >/dev/null || { echo "missing: $need" >&2; exit 1; }; done
ulimit -n "$(ulimit -Hn)"
. benches/base.sh

origin=$(free_port)
mkdir "$work/policies" "$work/nginx" "$work/www"
truncate -s 4M "$work/www/long"
cat >"$work/nginx/nginx.conf" <<CONF
$([ "$(id -u)" = 0 ] && echo "user root;")
worker_processes 1; pid $work/nginx/pid; error_log $work/nginx/error.log crit; daemon off;
events { worker_connections 20000; }
http {
    access_log off; keepalive_requests 1000000000;
    server { listen 127.0.0.1:$origin; location /item { return 200 '{"id":1}'; } location /long { alias $work/www/long; } location /up { return 200; } }
}
CONF
nginx -p "$work/nginx" -e "$work/nginx/error.log" -c "$work/nginx/nginx.conf" &
pids+=($!)
echo '@id("all") permit (principal, action, resource);' >"$work/policies/all.cedar"
serve_with "$work/policies" "
[[target]]
name = \"api\"
protocol = \"http\"
upstream = \"http://127.0.0.1:$origin\"
[target.http]
openapi = { name = \"generic\" }"

cat >"$work/ordinary.py" <<'PY'
import http.client, sys, time
port, key, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
end, took, failed = time.time() + seconds, [], 0
while time.time() < end:
    begun = time.time()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/t/api/item", headers={"Authorization": "Bearer " + key})
        answer = connection.getresponse()
        failed += answer.status != 200 or not answer.read()
        connection.close()
    except OSError:
        failed += 1
    took.append((time.time() - begun) * 1000)
    time.sleep(0.02)
took.sort()
print(f"{len(took)} requests, {failed} failed, median {took[len(took) // 2]:.1f} ms, 99 % {took[len(took) * 99 // 100]:.1f} ms, longest {took[-1]:.1f} ms")
PY
memory() { awk '/VmRSS/ { print int($2 / 1024) " MB" }' "/proc/$gateway_pid/status"; }
beside() { # name command…: the ordinary client while the command runs
    local name=$1
    shift
    "$@" >"$work/attack.log" 2>&1 &
    local attack=$!
    printf '%-14s ' "$name"
    python3 "$work/ordinary.py" "$http" "$key" "$seconds"
    printf '%-14s gateway %s; ' '' "$(memory)"
    wait "$attack" || true
    sed 's/\x1b\[[0-9;]*m//g' "$work/attack.log" | awk '
        /^(connected|closed|error|service available):/ { told[$1] = $0 } /Exit status|^finished in|^requests:/ { print "               " $0 }
        END { for (line in told) printf "%s  ", told[line]; print "" }'
}
url=http://127.0.0.1:$http/t/api
printf '%-14s ' alone
python3 "$work/ordinary.py" "$http" "$key" 5
accept=$'*/*\r\nAuthorization: Bearer '$key # it has no way to add a header
slow() { slowhttptest -c "$connections" -r 500 -l "$seconds" -p 3 "$@"; }
beside "slow headers" slow -H -i 5 -x 24 -u "$url/item"
beside "slow body" slow -B -i 5 -s 8192 -x 10 -f "application/octet-stream" -m "$accept" -u "$url/up"
beside "slow read" slow -X -w 512 -y 1024 -n 5 -z 32 -k 1 -m "$accept" -u "$url/long"
beside "h2load" h2load -D "$seconds" -c 64 -m 32 -H "Authorization: Bearer $key" "$url/item"
