"""A pytest plugin: how each test ended, one JSON object a line, in the file that COUNTERSIGN_REPORT names."""

import json
import os
import re

import pytest

# A test has several reports (set-up, call, tear-down): the worst of them is its end.
ended = {}
RANK = {"passed": 0, "skipped": 1, "failed": 2}


def tell(name):
    """Written at once, so that a run that is broken off tells how far it came."""
    outcome, said = ended[name]
    name = re.sub(r"(_postgresql\+psycopg)_\d+_\d+", r"\1", name)  # SQLAlchemy adds the server's release
    with open(os.environ["COUNTERSIGN_REPORT"], "a") as out:
        out.write(json.dumps({"id": name, "outcome": outcome, "said": said}) + "\n")


@pytest.hookimpl
def pytest_runtest_logreport(report):
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "skipped" if report.skipped else "passed"
    before = ended.get(report.nodeid)
    if not before or RANK[before[0]] < RANK[outcome]:
        said = ""
        if outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            said = crash.message if crash else str(report.longrepr)
        ended[report.nodeid] = (outcome, said[:400])
    if report.when == "teardown":
        tell(report.nodeid)


@pytest.hookimpl
def pytest_collectreport(report):
    if report.failed:
        ended[report.nodeid] = ("failed", str(report.longrepr)[-400:])
        tell(report.nodeid)
