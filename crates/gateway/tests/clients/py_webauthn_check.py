"""Checks a signed vote, or a signed breaking of glass, of the record with py_webauthn: two leaves in, no code of the gateway.

The bundle is the enrolment's leaf, the vote's leaf, and the origin at which the gateway is opened.
"""

import copy
import hashlib
import json
import sys

from webauthn import verify_authentication_response
from webauthn.helpers import base64url_to_bytes


def check(bundle):
    enrolment, vote = bundle["enrolment"], bundle["vote"]
    signed, intent = vote["signed"], vote["signed"]["intent"]
    # RFC 8785: the intent is flat and all ASCII strings, so sorted keys without blanks are its canonical form
    challenge = hashlib.sha256(json.dumps(intent, sort_keys=True, separators=(",", ":")).encode()).digest()
    if vote["kind"] == "review.glass_broken":
        said, own = ("countersign/break-glass/v1", "break"), "reason_sha256"
    else:
        said, own = ("countersign/vote/v1", vote["verdict"]), "verdict"
    assert (intent["type"], intent["verdict"]) == said
    for field in ("review", "person", "action_digest", "card_digest", own):
        assert intent[field] == vote[field], field
    assert signed["passkey"] == enrolment["id"] and vote["person"] == enrolment["person"]
    credential = base64url_to_bytes(signed["credential"])
    assert hashlib.sha256(credential).hexdigest() == enrolment["passkey"]["credential_sha256"]
    verify_authentication_response(
        credential={
            "id": signed["credential"],
            "rawId": signed["credential"],
            "type": "public-key",
            "response": {
                "authenticatorData": signed["authenticator_data"],
                "clientDataJSON": signed["client_data"],
                "signature": signed["signature"],
            },
        },
        expected_challenge=challenge,
        expected_rp_id=enrolment["passkey"]["rp_id"],
        expected_origin=bundle["origin"],
        credential_public_key=base64url_to_bytes(enrolment["passkey"]["public_key"]),
        credential_current_sign_count=0,
        require_user_verification=True,
    )


def changes():
    yield "verdict", lambda b: (b["vote"].update(verdict="reject"), b["vote"]["signed"]["intent"].update(verdict="reject"))
    yield "action", lambda b: [part.update(action_digest="sha256:" + "0" * 64) for part in (b["vote"], b["vote"]["signed"]["intent"])]
    yield "reason", lambda b: b["vote"]["signed"]["intent"].update(reason_sha256="0" * 64)
    yield "person", lambda b: b["vote"].update(person="p_other")
    yield "origin", lambda b: b.update(origin="http://elsewhere.localhost")
    yield "signature", lambda b: b["vote"]["signed"].update(signature=b["vote"]["signed"]["signature"][:-12] + "AAAAAAAAAAAA")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        honest = json.load(file)
    check(honest)
    refused = 0
    for name, change in changes():
        bundle = copy.deepcopy(honest)
        change(bundle)
        try:
            check(bundle)
        except Exception:
            refused += 1
        else:
            sys.exit(f"a changed {name} was accepted")
    print(f"verified; {refused} changes refused")


main()
