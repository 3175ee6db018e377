"""A real SMTP server that keeps what it takes: one JSON line a letter, with what a mail program would make of it.

Usage: mail_server.py PORT FOLDER [CERT KEY [PASSWORD]]. With a certificate it takes mail over STARTTLS alone, with a password
only from `countersign` with it. Where FOLDER/answer is, its text is the answer to the next recipient instead, as in
`550 5.1.1 nobody`; it is taken as many times as it has lines.
"""

import asyncio
import email
import email.policy
import json
import pathlib
import ssl
import sys
from html.parser import HTMLParser

from aiosmtpd.smtp import SMTP, AuthResult
from linkify_it import LinkifyIt

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
links = LinkifyIt(options={"fuzzy_link": True, "fuzzy_email": True, "fuzzy_ip": True})
links.tlds("test", True)


class Page(HTMLParser):
    """What a letter's HTML holds: its tags, where it leads, and its text, piece by piece."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [value or "" for name, value in attrs if name != "style"]

    def handle_data(self, data):
        self.text.append(data)

    def handle_comment(self, data):
        self.tags.append("comment " + data)


def linked(text):
    return [match.url for match in links.match(text) or []]


def read(content):
    letter = email.message_from_bytes(content, policy=email.policy.default)
    text, html = letter.get_body(("plain",)).get_content(), letter.get_body(("html",)).get_content()
    page = Page()
    page.feed(html)
    return {
        "headers": {name.lower(): str(value) for name, value in letter.items()},
        "text": text,
        "html": html,
        "tags": page.tags,
        "attributes": page.attributes,
        "html_text": "".join(page.text),
        "links": linked(text) + linked("".join(page.text)),
        "defects": [str(defect) for part in letter.walk() for defect in part.defects],
        "longest_line": max(len(line) for line in content.split(b"\r\n")),
    }


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = folder / "answer"
        if answer.exists():
            first, *rest = answer.read_text().splitlines()
            answer.write_text("\n".join(rest)) if rest else answer.unlink()
            return first
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        kept = read(envelope.content)
        kept.update({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "signed_in": session.authenticated,
        })
        with open(folder / "letters", "a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"countersign" and data.password == sys.argv[5].encode()
    return AuthResult(success=good, handled=False)


def protocol():
    if len(sys.argv) <= 4:
        return SMTP(Handler(), hostname="localhost", enable_SMTPUTF8=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    with_password = len(sys.argv) > 5
    return SMTP(
        Handler(),
        hostname="localhost",
        tls_context=context,
        require_starttls=True,
        auth_required=with_password,
        authenticator=authenticate if with_password else None,
    )


async def serve():
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(serve())
