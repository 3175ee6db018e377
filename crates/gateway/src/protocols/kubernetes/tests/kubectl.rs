//! What `kubectl` 1.32 really sends, command by command, and what a real API server made of it.
//!
//! `kubectl.jsonl` was recorded between `kubectl` and kube-apiserver 1.20 (`xtask/kubernetes/build.sh`). Verb, kind,
//! namespace and name are the server's own: they come from its audit log, not from here. The class is ours, and so is what
//! the server refused to read (YAML sent as JSON).

use serde_json::Value;

use super::*;

const RECORDED: &str = include_str!("kubectl.jsonl");

/// One line: a request of a command.
fn rows() -> Vec<Value> {
    RECORDED.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_request_is_read_as_the_server_read_it() {
    let mut wrong = Vec::new();
    for row in rows() {
        let text = |key: &str| row[key].as_str();
        let headers: Vec<(&str, &str)> = [("content-type", "type"), ("upgrade", "upgrade")]
            .iter()
            .filter_map(|(n, k)| Some((*n, text(k)?)))
            .collect();
        let body = match text("hex") {
            Some(hex) => hex::decode(hex).unwrap(),
            None => text("body").unwrap_or_default().as_bytes().to_vec(),
        };
        let head = head(text("request").unwrap(), &headers);
        let (found, expected) = (line(&describe(&head, Content::Whole(&body))), text("facts").unwrap());
        if found != expected {
            wrong.push(format!("{}: {}\n  found    {found}\n  expected {expected}", row["command"], row["request"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_is_as_large_as_it_says() {
    let mut commands: Vec<String> = rows().iter().map(|row| row["command"].to_string()).collect();
    commands.dedup();
    assert!(commands.len() >= 120, "{} commands", commands.len());
    assert!(rows().len() >= 230, "{} requests", rows().len());
}
