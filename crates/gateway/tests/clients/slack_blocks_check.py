"""Checks the blocks of a message with Slack's own library: every length and shape that it knows."""

import json
import sys

from slack_sdk.models.blocks import Block, BlockElement


def check(blocks):
    assert 1 <= len(blocks) <= 50, len(blocks)
    for block in blocks:
        parsed = Block.parse(block)
        assert parsed is not None, block["type"]
        parsed.validate_json()
        for element in block.get("elements") or []:
            if element["type"] in ("button", "mrkdwn", "plain_text"):
                if element["type"] == "button":
                    BlockElement.parse(element).validate_json()
                else:
                    assert 1 <= len(element["text"]) <= 3000, element


check(json.load(open(sys.argv[1], encoding="utf-8")))
