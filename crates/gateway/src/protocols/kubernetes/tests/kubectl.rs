//! What `kubectl` 1.32 and `helm` 3.17 really send, command by command, and what a real API server made of it.
//!
//! `kubectl.jsonl` was recorded between `kubectl` and kube-apiserver 1.20 (`xtask/kubernetes/build.sh`), `helm.jsonl` by
//! `xtask/kubernetes/capture.py` with the chart in `tests/data/helm`; discovery stands in it once. Verb, kind,
//! namespace and name are the server's own: they come from its audit log, not from here. The class is ours, and so is what
//! the server refused to read (YAML sent as JSON).

use countersign_core::action::redact::Rules;
use serde_json::Value;

use super::*;
use crate::protocols::kubernetes::shown::shown;

const KUBECTL: &str = include_str!("kubectl.jsonl");
const HELM: &str = include_str!("helm.jsonl");

/// One line: a request of a command.
fn rows(recorded: &str) -> Vec<Value> {
    recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The head of a recorded request, and its body.
fn recorded(row: &Value) -> (Head, Vec<u8>) {
    let text = |key: &str| row[key].as_str();
    let headers: Vec<(&str, &str)> =
        [("content-type", "type"), ("upgrade", "upgrade")].iter().filter_map(|(n, k)| Some((*n, text(k)?))).collect();
    let body = match text("hex") {
        Some(hex) => hex::decode(hex).unwrap(),
        None => text("body").unwrap_or_default().as_bytes().to_vec(),
    };
    (head(text("request").unwrap(), &headers), body)
}

#[test]
fn every_request_is_read_as_the_server_read_it() {
    let mut wrong = Vec::new();
    for row in [rows(KUBECTL), rows(HELM)].concat() {
        let (head, body) = recorded(&row);
        let expected = row["facts"].as_str().unwrap();
        let found = line(&describe(&head, Content::Whole(&body)));
        if found != expected {
            wrong.push(format!("{}: {}\n  found    {found}\n  expected {expected}", row["command"], row["request"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Helm keeps a release, with all values of its chart, in a Secret; its release's name is all that a card has of it.
#[test]
fn no_value_of_a_chart_is_shown_of_helms_secrets() {
    let releases = rows(HELM).into_iter().filter(|row| row["facts"].as_str().unwrap().contains(" secrets "));
    let (mut seen, rules) = (0, Rules::default());
    for row in releases {
        let (head, body) = recorded(&row);
        let shown = shown(&head, Content::Whole(&body), &rules, None);
        let text = format!("{:?}", shown.unwrap().shown);
        let values: Vec<&str> =
            ["hunter2", "aHVudGVyMg", "H4sI", "SDRzS"].into_iter().filter(|v| text.contains(v)).collect();
        assert!(values.is_empty(), "{}: {values:?} in {text}", row["request"]);
        seen += usize::from(!body.is_empty());
    }
    assert!(seen >= 30, "{seen}");
}

#[test]
fn the_table_is_as_large_as_it_says() {
    check_size(KUBECTL, 120, 230);
    check_size(HELM, 15, 190);
}

fn check_size(recorded: &str, commands_min: usize, requests_min: usize) {
    let mut commands: Vec<String> = rows(recorded).iter().map(|row| row["command"].to_string()).collect();
    commands.dedup();
    assert!(commands.len() >= commands_min, "{} commands", commands.len());
    assert!(rows(recorded).len() >= requests_min, "{} requests", rows(recorded).len());
}
