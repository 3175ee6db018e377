#!/usr/bin/env bash
# psql as a driver: two -c commands on one connection, the second one to see whether it is still usable.
set -uo pipefail

case $1 in
    read) sql=${2:-SELECT 1 AS one} ;;
    refused) sql=${2:-DELETE FROM customers} ;;
    write) sql=${2:-UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = 3} ;;
    *) echo "usage: psql.sh read|refused|write [SQL]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
marker=countersign-usable
psql -X -A -t -F $'\t' -v VERBOSITY=verbose -v ON_ERROR_STOP=0 \
    -c "$sql" -c "SELECT '$marker'" >"$work/out" 2> >(tee -a "${COUNTERSIGN_NOTICE_FILE:-/dev/null}" >"$work/err")
wait

python3 - "$work/out" "$work/err" "$marker" <<'PYTHON'
import json, re, sys

out = open(sys.argv[1]).read().splitlines()
err = open(sys.argv[2]).read()
usable = sys.argv[3] in out
lines = [line for line in out if line != sys.argv[3]]
error = re.search(r"^(?:ERROR|FATAL):  ([0-9A-Z]{5}): (.*)$", err, re.M) or re.search(r"(?:ERROR|FATAL): ()(.*)$", err, re.M)
tag = re.fullmatch(r"(?:UPDATE|DELETE|INSERT 0) (\d+)", lines[-1]) if lines else None
print(json.dumps({
    "ok": error is None,
    "rows": int(tag.group(1)) if tag else [line.split("\t") for line in lines],
    "sqlstate": error.group(1) or None if error else None,
    "message": error.group(2) if error else None,
    "notices": re.findall(r"^(?:NOTICE|WARNING|INFO):  (?:[0-9A-Z]{5}: )?(.*)$", err, re.M),
    "usable_after": usable,
}))
PYTHON
