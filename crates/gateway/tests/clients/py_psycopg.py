"""psycopg 3, by its documentation: https://www.psycopg.org/psycopg3/docs/basic/usage.html"""

import json
import os
import sys

import psycopg

SQL = {
    "read": "SELECT 1 AS one",
    "refused": "DELETE FROM customers",
    "write": "UPDATE customers SET credit_limit = credit_limit + %s WHERE id = %s",
    "write-4": "UPDATE customers SET credit_limit = credit_limit + %s WHERE id = %s",
}
PARAMETERS = {"write": (1, 3), "write-4": (1, 4)}


def main() -> None:
    scenario = sys.argv[1]
    given = sys.argv[2] if len(sys.argv) > 2 else None
    notices: list[str] = []
    result = {"ok": False, "rows": None, "sqlstate": None, "message": None, "notices": notices, "usable_after": False}

    def notice(diagnostic) -> None:
        notices.append(diagnostic.message_primary)
        if file := os.environ.get("COUNTERSIGN_NOTICE_FILE"):
            with open(file, "a") as sink:
                sink.write(f"{diagnostic.message_primary} {diagnostic.message_detail} {diagnostic.message_hint}\n")

    with psycopg.connect("", autocommit=True) as connection:
        connection.add_notice_handler(notice)
        try:
            cursor = connection.execute(given or SQL[scenario], None if given else PARAMETERS.get(scenario))
            result["rows"] = [list(row) for row in cursor] if cursor.description else cursor.rowcount
            result["ok"] = True
        except psycopg.Error as error:
            result["sqlstate"], result["message"] = error.sqlstate, error.diag.message_primary or str(error)
        try:
            result["usable_after"] = connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            pass
    print(json.dumps(result, default=str))


main()
