"""asyncpg, by its documentation: https://magicstack.github.io/asyncpg/current/usage.html"""

import asyncio
import json
import os
import sys

import asyncpg

SQL = {
    "read": "SELECT 1 AS one",
    "refused": "DELETE FROM customers",
    "write": "UPDATE customers SET credit_limit = credit_limit + $1 WHERE id = $2",
    "write-4": "UPDATE customers SET credit_limit = credit_limit + $1 WHERE id = $2",
}
PARAMETERS = {"write": (1, 3), "write-4": (1, 4)}


async def main() -> None:
    scenario = sys.argv[1]
    given = sys.argv[2] if len(sys.argv) > 2 else None
    notices: list[str] = []
    result = {"ok": False, "rows": None, "sqlstate": None, "message": None, "notices": notices, "usable_after": False}

    def notice(_connection, message) -> None:
        notices.append(message.message)
        if file := os.environ.get("COUNTERSIGN_NOTICE_FILE"):
            with open(file, "a") as sink:
                sink.write(f"{message.message} {message.detail} {message.hint}\n")

    connection = await asyncpg.connect()
    connection.add_log_listener(notice)
    try:
        sql, parameters = given or SQL[scenario], () if given else PARAMETERS.get(scenario, ())
        if scenario == "read":
            result["rows"] = [list(row.values()) for row in await connection.fetch(sql, *parameters)]
        else:
            result["rows"] = int((await connection.execute(sql, *parameters)).split()[-1])
        result["ok"] = True
    except asyncpg.PostgresError as error:
        result["sqlstate"], result["message"] = error.sqlstate, error.message
    try:
        result["usable_after"] = await connection.fetchval("SELECT 1") == 1
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pass
    await asyncio.sleep(0)
    await connection.close()
    print(json.dumps(result, default=str))


asyncio.run(main())
