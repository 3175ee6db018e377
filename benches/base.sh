# A directory, ports and the gateway on loopback, for the scripts beside this one, which source it from the repository's root.
# Everything is gone when they end.

gateway=${COUNTERSIGN:-target/release/countersign}
[ -x "$gateway" ] || { echo "missing: $gateway" >&2; exit 1; }

work=$(mktemp -d)
chmod 755 "$work"
pids=()
end_more() { :; } # what else is to be ended
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for _ in $(seq 50); do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.1; done # as long as any of them runs
    end_more
    rm -rf "$work"
}
trap cleanup EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_port() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; echo "port $1 stays closed" >&2; exit 1; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat" 2>/dev/null || echo 0; } # user and system time of a process

# Starts the gateway with the policies of a folder and these lines of configuration. Sets gateway_pid, the port http, and key, the
# key of the agent `bench`, whose owner is `owner`; `$gateway` is the command line.
serve_with() { # policies configuration
    http=$(free_port)
    mkdir "$work/cs"
    cat >"$work/cs/countersign.toml" <<TOML
[server]
listen = "127.0.0.1:$http"
data_dir = "data"
policies = "$1"
$2
TOML
    export COUNTERSIGN_CONFIG="$work/cs/countersign.toml" BENCH_PASSWORD=bench
    "$gateway" person add owner >/dev/null
    key=$("$gateway" agent create bench --owner owner)
    RUST_LOG=${RUST_LOG:-warn} "$gateway" serve &
    gateway_pid=$!
    pids+=($!)
    wait_port "$http"
}
