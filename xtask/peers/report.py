"""A pytest plugin: how each test ended, one JSON object a line, in the file that COUNTERSIGN_REPORT names."""

import json
import os

import pytest

# A test has several reports (set-up, call, tear-down): the worst of them is its end.
ended = {}
RANK = {"passed": 0, "skipped": 1, "failed": 2}


@pytest.hookimpl
def pytest_runtest_logreport(report):
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "skipped" if report.skipped else "passed"
    before = ended.get(report.nodeid)
    if before and RANK[before[0]] >= RANK[outcome]:
        return
    if outcome == "failed":
        crash = getattr(report.longrepr, "reprcrash", None)
        said = crash.message if crash else str(report.longrepr)
    else:
        said = ""
    ended[report.nodeid] = (outcome, said[:400])


@pytest.hookimpl
def pytest_collectreport(report):
    if report.failed:
        ended[report.nodeid] = ("failed", str(report.longrepr)[-400:])


@pytest.hookimpl
def pytest_sessionfinish(session):
    with open(os.environ["COUNTERSIGN_REPORT"], "w") as out:
        for name, (outcome, said) in ended.items():
            out.write(json.dumps({"id": name, "outcome": outcome, "said": said}) + "\n")
