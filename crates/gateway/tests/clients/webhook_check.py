"""Checks an event with the reference library of Standard Webhooks, and the attributes that CloudEvents 1.0 asks for."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

received = json.load(open(sys.argv[1], encoding="utf-8"))
hook, body, headers = Webhook(received["secret"]), received["body"], received["headers"]
event = hook.verify(body, headers)
for attribute in ("id", "source", "specversion", "type"):
    assert isinstance(event[attribute], str) and event[attribute], attribute
assert event["specversion"] == "1.0" and event["id"] == headers["webhook-id"]
for name, value in (("webhook-id", "evt_other"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")):
    try:
        hook.verify(body, {**headers, name: value})
    except WebhookVerificationError:
        continue
    raise AssertionError(name)
try:
    hook.verify(body.replace("review", "revue"), headers)
    raise AssertionError("another body")
except WebhookVerificationError:
    pass
