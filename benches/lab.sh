# A private PostgreSQL with pgbench's tables, and the gateway, on loopback, for the scripts beside this one, which source it from
# the repository's root. Everything is gone when they end.

gateway=${COUNTERSIGN:-target/release/countersign}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
bin=${PG_BIN:-$bin}
for need in "$bin/initdb" "$bin/pgbench" "$gateway"; do
    [ -x "$need" ] || { echo "missing: $need" >&2; exit 1; }
done

work=$(mktemp -d)
chmod 755 "$work"
user=() # nobody's rights for servers that refuse root's
if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown nobody:nogroup "$work"
fi
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    "${user[@]}" "$bin/pg_ctl" -D "$work/pg" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_port() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; echo "port $1 stays closed" >&2; exit 1; }

pg=$(free_port)
echo bench >"$work/pw" && chmod 644 "$work/pw"
"${user[@]}" "$bin/initdb" -D "$work/pg" -U bench -A scram-sha-256 --pwfile="$work/pw" -E UTF8 --locale=C >/dev/null
printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nport = %s\nfsync = off\nmax_connections = 300\n" "$pg" >>"$work/pg/postgresql.conf"
"${user[@]}" "$bin/pg_ctl" -D "$work/pg" -l "$work/pg.log" -w start >/dev/null
export PGPASSWORD=bench PGHOST=127.0.0.1 PGSSLMODE=disable
"$bin/createdb" -p "$pg" -U bench bench
"$bin/pgbench" -p "$pg" -U bench -i -s 10 -q bench >/dev/null 2>&1

# Starts the gateway in front of it, with the starter policies and these lines of configuration besides. Sets gateway_pid,
# the ports cs and http, and key, the key of the agent `bench`, whose owner is `owner`; `$gateway` is the command line.
serve_gateway() {
    cs=$(free_port) http=$(free_port)
    mkdir "$work/cs"
    cat >"$work/cs/countersign.toml" <<TOML
[server]
listen = "127.0.0.1:$http"
data_dir = "data"
policies = "$PWD/policies"
[postgres]
listen = "127.0.0.1:$cs"
[[target]]
name = "bench"
protocol = "postgres"
upstream = "postgres://bench@127.0.0.1:$pg/bench?sslmode=disable"
credential = { env = "BENCH_PASSWORD" }
$*
TOML
    export COUNTERSIGN_CONFIG="$work/cs/countersign.toml" BENCH_PASSWORD=bench
    "$gateway" person add owner >/dev/null
    key=$("$gateway" agent create bench --owner owner)
    RUST_LOG=${RUST_LOG:-warn} "$gateway" serve &
    gateway_pid=$!
    pids+=($!)
    wait_port "$cs"
}
