# A private PostgreSQL with pgbench's tables, and the gateway, on loopback, for the scripts beside this one, which source it from
# the repository's root. Everything is gone when they end.

. benches/base.sh
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
bin=${PG_BIN:-$bin}
for need in "$bin/initdb" "$bin/pgbench"; do
    [ -x "$need" ] || { echo "missing: $need" >&2; exit 1; }
done
user=() # nobody's rights for servers that refuse root's
if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown nobody:nogroup "$work"
fi
end_more() { "${user[@]}" "$bin/pg_ctl" -D "$work/pg" -m immediate stop >/dev/null 2>&1 || true; }

pg=$(free_port)
echo bench >"$work/pw" && chmod 644 "$work/pw"
"${user[@]}" "$bin/initdb" -D "$work/pg" -U bench -A scram-sha-256 --pwfile="$work/pw" -E UTF8 --locale=C >/dev/null
printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nport = %s\nfsync = off\nmax_connections = 300\n" "$pg" >>"$work/pg/postgresql.conf"
"${user[@]}" "$bin/pg_ctl" -D "$work/pg" -l "$work/pg.log" -w start >/dev/null
export PGPASSWORD=bench PGHOST=127.0.0.1 PGSSLMODE=disable
"$bin/createdb" -p "$pg" -U bench bench
"$bin/pgbench" -p "$pg" -U bench -i -s 10 -q bench >/dev/null 2>&1

# Starts the gateway in front of it, with the starter policies and these lines of configuration besides. Sets what
# `serve_with` does, and the port cs.
serve_gateway() {
    cs=$(free_port)
    serve_with "$PWD/policies" "[postgres]
listen = \"127.0.0.1:$cs\"
[[target]]
name = \"bench\"
protocol = \"postgres\"
upstream = \"postgres://bench@127.0.0.1:$pg/bench?sslmode=disable\"
credential = { env = \"BENCH_PASSWORD\" }
$*"
    wait_port "$cs"
}
