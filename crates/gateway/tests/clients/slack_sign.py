"""Signs a request as Slack's own library says that Slack does: secret, timestamp and file with the body in, signature out."""

import sys

from slack_sdk.signature import SignatureVerifier

secret, timestamp, body = sys.argv[1], sys.argv[2], open(sys.argv[3], encoding="utf-8").read()
signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
assert SignatureVerifier(secret).is_valid_request(
    body, {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}
)
print(signature)
