"""Labelled statements to measure redaction on. Every value is made up by a fixed seed; nothing opens anything.

Each case is a JSON object: `id`, `corpus`, `sql`, and `labels`, a list of `{"kind", "value"}`: what has to be hidden. Three corpora:

- `statements`: SQL as services and agents write it, values in columns, in JSON and in running text, with decoys beside them.
- `sentences`: the templates of Presidio's own evaluator (package `presidio-evaluator`), filled and written into a `notes` table.
- `decoys`: statements with nothing to hide: identifiers, hashes, versions, paths, pictures, order numbers.

The rules were written against the seeds 1 and 20261122; figures are told of another.
"""

import argparse
import base64
import json
import random
import re
import string
import sys
import uuid
from pathlib import Path

from faker import Faker

LOCALES = ["en_US", "en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL", "sv_SE", "pl_PL"]


class Maker:
    """Values of each kind."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.fakers = {locale: Faker(locale) for locale in LOCALES}
        for faker in self.fakers.values():
            faker.seed_instance(seed)

    def any(self, *locales):
        return self.fakers[self.random.choice(locales or LOCALES)]

    def chars(self, alphabet, count):
        return "".join(self.random.choices(alphabet, k=count))

    # personal data
    def email(self):
        return self.any().email()

    def phone(self):
        how = self.random.randrange(4)
        if how == 0:
            return self.any("de_DE", "fr_FR", "en_GB", "nl_NL", "sv_SE", "it_IT").phone_number()
        if how == 1:
            return f"+{self.random.choice([1, 33, 39, 44, 46, 49, 31])}{self.random.randrange(10**8, 10**9)}"
        if how == 2:
            return f"({self.random.randrange(201, 989)}) {self.random.randrange(200, 999)}-{self.random.randrange(10**4):04}"
        return f"{self.random.randrange(201, 989)}-{self.random.randrange(200, 999)}-{self.random.randrange(10**4):04}"

    def iban(self):
        iban = self.any("de_DE", "fr_FR", "en_GB", "it_IT", "es_ES", "nl_NL").iban()
        return " ".join(iban[i : i + 4] for i in range(0, len(iban), 4)) if self.random.random() < 0.4 else iban

    def card(self):
        number = self.any("en_US").credit_card_number(self.random.choice(["visa16", "mastercard", "amex", "discover"]))
        return " ".join(number[i : i + 4] for i in range(0, 16, 4)) if len(number) == 16 and self.random.random() < 0.4 else number

    def national_id(self):
        how = self.random.randrange(7)
        if how == 0:
            return self.any("en_US").ssn()
        if how == 1:
            return self.any("it_IT").ssn()
        if how == 2:
            number = self.random.randrange(10**8)
            return f"{number:08}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"
        if how == 3:
            return self.any("fr_FR").ssn()
        if how == 4:
            return self.any("pl_PL").pesel()
        if how == 5:
            return self.steuer_id()
        prefix = self.random.choice(["AB", "CE", "JK", "LM", "PR", "SW"])
        return f"{prefix}{self.random.randrange(10**6):06}{self.random.choice('ABCD')}"

    def steuer_id(self):
        digits = self.random.sample(range(10), 9)
        digits.insert(self.random.randrange(10), self.random.choice(digits))
        if digits[0] == 0:
            digits[0], digits[1] = digits[1], digits[0]
        if digits[0] == 0:
            return self.steuer_id()
        product = 10
        for digit in digits:
            total = (digit + product) % 10 or 10
            product = total * 2 % 11
        return "".join(map(str, digits)) + str((11 - product) % 10)

    def name(self):
        return self.any().last_name()

    # secrets
    def secret(self):
        letters, lower, hexa = string.ascii_letters + string.digits, string.ascii_lowercase + string.digits, "0123456789abcdef"
        url = letters + "-_"
        formats = [
            ("AKIA" + self.chars(string.ascii_uppercase + "234567", 16)),
            ("ghp_" + self.chars(letters, 36)),
            ("github_pat_" + self.chars(letters, 22) + "_" + self.chars(letters, 59)),
            ("glpat-" + self.chars(url, 20)),
            ("xoxb-" + self.chars(string.digits, 12) + "-" + self.chars(string.digits, 13) + "-" + self.chars(letters, 24)),
            ("sk_live_" + self.chars(letters, 24)),
            ("npm_" + self.chars(letters, 36)),
            ("pypi-AgEIcHlwaS5vcmc" + self.chars(url, 80)),
            ("AIza" + self.chars(url, 35)),
            ("SG." + self.chars(url, 22) + "." + self.chars(url, 43)),
            ("hvs." + self.chars(url, 24)),
            ("dop_v1_" + self.chars(hexa, 64)),
            ("hf_" + self.chars(string.ascii_letters, 34)),
            ("shpat_" + self.chars(hexa, 32)),
            ("dckr_pat_" + self.chars(url, 27)),
            ("dapi" + self.chars(hexa, 32)),
            self.chars(letters, 40),
            self.chars(lower, 32),
            self.chars(letters + "+/", 43) + "=",
        ]
        return self.random.choice(formats)

    def token(self):
        part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
        head = part({"alg": self.random.choice(["HS256", "RS256"]), "typ": "JWT"})
        return f"{head}.{part({'sub': self.chars(string.digits, 8), 'iat': 1700000000})}.{self.chars(string.ascii_letters + string.digits + '-_', 43)}"

    def private_key(self):
        body = "\n".join(self.chars(string.ascii_letters + string.digits + "+/", 64) for _ in range(4))
        kind = self.random.choice(["RSA ", "EC ", "", "OPENSSH "])
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"

    def password(self):
        return self.any("en_US").password(length=self.random.randrange(8, 16), special_chars=False)

    # what is nothing of the kind
    def decoy(self):
        r = self.random
        return r.choice(
            [
                lambda: str(uuid.UUID(int=r.getrandbits(128))),
                lambda: self.chars("0123456789abcdef", 40),
                lambda: "sha256:" + self.chars("0123456789abcdef", 64),
                lambda: self.chars("0123456789abcdef", 32),
                lambda: f"ORD-{r.randrange(2020, 2027)}-{r.randrange(10**6):06}",
                lambda: f"{r.randrange(10**9, 10**10)}",
                lambda: f"{r.randrange(10**11, 10**12)}",
                lambda: f"{r.randrange(10**15, 10**16)}",
                lambda: f"{r.randrange(1, 20)}.{r.randrange(20)}.{r.randrange(20)}-rc.{r.randrange(9)}",
                lambda: f"10.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(256)}",
                lambda: f"2026-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}T10:{r.randrange(60):02}:00.123456Z",
                lambda: "iVBORw0KGgoAAAANSUhEUgAA" + self.chars(string.ascii_letters + string.digits + "+/", 120) + "==",
                lambda: f"src/{r.choice(['Components', 'handlers', 'models2'])}/{r.choice(['UserAccountSettings', 'OrderList2'])}.tsx",
                lambda: r.choice(["getCustomerOrderHistoryByDateRange", "INVOICE_EXPORT_V2_ENABLED", "eu-central-1b", "text/html; charset=utf-8"]),
                lambda: f"https://shop.example/orders/{r.randrange(10**8)}?page={r.randrange(9)}&sort=created_at",
                lambda: f"{self.any('en_US').catch_phrase()}",
                lambda: f"SKU-{self.chars(string.ascii_uppercase, 3)}-{r.randrange(10**5):05}",
                lambda: f"{r.randrange(100, 999)}-{r.randrange(10**7):07}-{r.randrange(10**7):07}",
            ]
        )()


COLUMNS = {
    "email": ["email", "contact_email", "payee", "reply_to", "owner"],
    "phone": ["phone", "mobile", "contact", "callback"],
    "iban": ["iban", "payout_account", "refund_to", "destination"],
    "card number": ["card_number", "pan", "payment_ref", "source"],
    "national id": ["ssn", "tax_id", "national_id", "document_no", "reference"],
    "name": ["last_name", "surname", "family_name"],
    "secret": ["api_key", "value", "setting", "config_value", "note"],
    "token": ["access_token", "value", "header"],
    "private key": ["private_key", "value", "pem"],
    "password": ["password", "passwd"],
}
PLAIN = ["status", "sku", "order_ref", "trace_id", "commit_sha", "build", "path", "version", "digest", "comment"]
TABLES = ["customers", "accounts", "payments", "settings", "contacts", "integrations"]
SENTENCES = {
    "email": ["customer wrote from {} about the late parcel", "forward to {} please", "cc: {}"],
    "phone": ["call back on {} after five", "new number {}", "tel. {}"],
    "iban": ["refund goes to {} this week", "pay out to {}", "account {}"],
    "card number": ["charged card {} twice", "card {} expired"],
    "national id": ["verified against {} on file", "document {} seen"],
    "secret": ["rotated key {} today", "uses {} in production", "export TOKEN={}"],
    "token": ["Authorization: Bearer {}", "replay with {}"],
    "private key": ["key material: {}"],
    "password": ["password={}", "login with password: {}", "postgres://app:{}@db.internal:5432/orders"],
}
JSON_KEYS = {
    "email": "email", "phone": "phone", "iban": "account", "card number": "card", "national id": "tax_id", "secret": "apiKey",
    "token": "jwt", "private key": "pem", "password": "password",
}


def quote(value):
    return "'" + value.replace("'", "''") + "'"


def statement(maker, kind):
    """One statement with one or two values of a kind, decoys beside them."""
    r = maker.random
    make = lambda: getattr(maker, {"card number": "card", "national id": "national_id", "private key": "private_key"}.get(kind, kind))()
    table, value, decoy = r.choice(TABLES), make(), maker.decoy()
    column, plain = r.choice(COLUMNS[kind]), r.choice(PLAIN)
    labels = [{"kind": kind, "value": value}]
    ways = ["update", "where", "insert", "in"] if kind not in ("private key", "token") else ["update", "insert"]
    if kind in SENTENCES:
        ways += ["sentence", "json"]
    way = r.choice(ways)
    if way == "update":
        sql = f"UPDATE {table} SET {column} = {quote(value)}, {plain} = {quote(decoy)} WHERE id = {r.randrange(10**6)}"
    elif way == "where":
        sql = f"UPDATE {table} SET {plain} = {quote(decoy)} WHERE {column} = {quote(value)}"
    elif way == "insert":
        sql = f"INSERT INTO {table} (id, {plain}, {column}) VALUES ({r.randrange(10**6)}, {quote(decoy)}, {quote(value)})"
    elif way == "in":
        other = make()
        labels.append({"kind": kind, "value": other})
        sql = f"DELETE FROM {table} WHERE {column} IN ({quote(value)}, {quote(other)}) AND {plain} <> {quote(decoy)}"
    elif way == "sentence":
        text = r.choice(SENTENCES[kind]).format(value)
        sql = f"INSERT INTO notes (ref, body) VALUES ({quote(decoy)}, {quote(text)})"
    else:
        body = json.dumps({"id": r.randrange(10**6), JSON_KEYS[kind]: value, "ref": decoy})
        labels[0]["value"] = json.dumps(value)[1:-1]
        sql = f"INSERT INTO events (kind, payload) VALUES ('update', {quote(body)}::jsonb)"
    return sql, labels


def harmless(maker):
    r = maker.random
    columns = r.sample(PLAIN, 3)
    values = ", ".join(quote(maker.decoy()) for _ in columns)
    how = r.randrange(3)
    if how == 0:
        return f"INSERT INTO {r.choice(TABLES)} ({', '.join(columns)}) VALUES ({values})"
    if how == 1:
        return f"UPDATE {r.choice(TABLES)} SET {columns[0]} = {quote(maker.decoy())} WHERE {columns[1]} = {quote(maker.decoy())}"
    body = json.dumps({column: maker.decoy() for column in columns})
    return f"INSERT INTO events (payload) VALUES ({quote(body)})"


ENTITIES = {
    "credit_card_number": "card number", "email": "email", "phone_number": "phone", "iban": "iban", "us_ssn": "national id",
    "ssn": "national id", "person": "name", "name": "name", "first_name": "name", "last_name": "name", "address": "address",
}


def sentences(maker, count):
    """Presidio's own templates. What they call a country, a date, a company or a title is nothing to hide here."""
    import presidio_evaluator

    file = Path(presidio_evaluator.__file__).parent / "data_generator/raw_data/templates.txt"
    templates = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    fake = maker.fakers["en_US"]
    made = {
        "card number": maker.card, "email": maker.email, "phone": maker.phone, "iban": maker.iban, "national id": fake.ssn,
        "name": fake.name, "address": lambda: fake.address().replace("\n", ", "),
    }
    for _ in range(count):
        template, labels = maker.random.choice(templates), []

        def fill(found):
            kind = ENTITIES.get(found[1].strip())
            if kind is None:
                return maker.random.choice(["Norway", "Tuesday", "Example Ltd", "42"])
            value = made[kind]()
            labels.append({"kind": kind, "value": value})
            return value

        text = re.sub(r"\{\{([^}]*)\}\}", fill, template)
        for label in labels:
            label["value"] = label["value"].replace("'", "''")
        yield f"INSERT INTO notes (body) VALUES ({quote(text)})", labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--each", type=int, default=100, help="statements of each kind")
    args = parser.parse_args()
    maker = Maker(args.seed)
    cases = []
    for kind in COLUMNS:
        for _ in range(args.each):
            cases.append(("statements", *statement(maker, kind)))
    cases += [("decoys", harmless(maker), []) for _ in range(5 * args.each)]
    cases += [("sentences", sql, labels) for sql, labels in sentences(maker, 5 * args.each)]
    for index, (corpus, sql, labels) in enumerate(cases):
        json.dump({"id": f"{index:05}", "corpus": corpus, "sql": sql, "labels": labels}, sys.stdout, ensure_ascii=False)
        print()


if __name__ == "__main__":
    main()
