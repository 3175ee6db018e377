#!/usr/bin/env python3
"""Turns events of Countersign into incidents at PagerDuty or Opsgenie: an example, with nothing but the standard library.

Environment: PORT, WEBHOOK_SECRET (`whsec_…`), SERVICE (`pagerduty` or `opsgenie`), KEY (PagerDuty's routing key, Opsgenie's API key),
and URL, where the service is not at its usual address. It listens on 127.0.0.1: put TLS in front of it.

An incident is known by the review's id: however often an event is sent, there is one, and what closes the review resolves it. An event
counts as delivered only once the service has taken it; until then the gateway sends it again.
"""

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 1 << 20
AGE_SECONDS_MAX = 5 * 60
SERVICE, KEY = os.environ["SERVICE"], os.environ["KEY"]
SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].strip().removeprefix("whsec_"))
USUAL = {"pagerduty": "https://events.pagerduty.com/v2/enqueue", "opsgenie": "https://api.opsgenie.com/v2/alerts"}
URL = os.environ.get("URL", USUAL[SERVICE])


def genuine(headers, body):
    """Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, at most five minutes old."""
    name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(time.time() - int(at)) > AGE_SECONDS_MAX:
        return False
    made = base64.b64encode(hmac.digest(SECRET, f"{name}.{at}.".encode() + body, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{made}".encode(), one.encode()) for one in given)


def for_pagerduty(data, over):
    """Events API v2."""
    if over:
        return URL, {"routing_key": KEY, "event_action": "resolve", "dedup_key": data["review"]}
    return URL, {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": data["review"],
        "payload": {
            "summary": f"Nobody has decided: {data['headline']}"[:1024],
            "source": "countersign",
            "severity": "critical" if data["card"]["environment"] == "production" else "warning",
            "custom_details": {"escalated": data["escalated"], "expires_at": data["expires_at"]},
        },
        "links": [{"href": data["url"], "text": "Open and decide"}],
    }


def for_opsgenie(data, over):
    """Alert API."""
    if over:
        alias = urllib.parse.quote(data["review"], safe="")
        return f"{URL}/{alias}/close?identifierType=alias", {"source": "countersign", "note": data["state"]}
    return URL, {
        "message": f"Nobody has decided: {data['headline']}"[:130],
        "alias": data["review"],
        "description": data["url"],
        "priority": "P1" if data["card"]["environment"] == "production" else "P3",
        "details": {"escalated": ", ".join(data["escalated"]), "expires_at": data["expires_at"]},
    }


def tell(event):
    over = event["type"] == "dev.countersign.review.closed"
    if not over and event["type"] != "dev.countersign.review.escalated":
        return  # what nobody was called for yet
    url, told = (for_pagerduty if SERVICE == "pagerduty" else for_opsgenie)(event["data"], over)
    headers = {"content-type": "application/json"}
    if SERVICE == "opsgenie":
        headers["authorization"] = f"GenieKey {KEY}"
    request = urllib.request.Request(url, json.dumps(told).encode(), headers)
    urllib.request.urlopen(request, timeout=10).close()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not genuine(self.headers, body):
            return self.answer(401)
        try:
            tell(json.loads(body))
        except (urllib.error.URLError, TimeoutError):
            return self.answer(502)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
