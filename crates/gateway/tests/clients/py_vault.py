"""One call by Vault's own library for Python: `py_vault.py URL PATH ARGUMENTS`, with `VAULT_TOKEN`; `PATH` is a method, `secrets.kv.v2.read`.

Prints one line of JSON: what was answered, or the kind of the error and its words.
"""
import json
import os
import sys

import hvac
from hvac.exceptions import VaultError

url, path, arguments = sys.argv[1:4]
call = hvac.Client(url=url, token=os.environ["VAULT_TOKEN"])
for name in path.split("."):
    call = getattr(call, name)
try:
    answer = call(**json.loads(arguments))
    data = answer if isinstance(answer, dict) else {"status": answer.status_code}
    print(json.dumps({"ok": True, "data": data}))
except VaultError as error:
    print(json.dumps({"ok": False, "kind": type(error).__name__, "errors": error.errors, "message": str(error)}))
