//! `countersign review reveal` and `compare`: what a card hides.

use std::io::Read as _;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output::{self, Paint, REFUSED};
use super::review::{Api, path, text};

/// The longest expected value that is read from standard input: what the gateway takes.
const EXPECTED_BYTES_MAX: u64 = 16 * 1024;

/// Shows hidden values, each under its placeholder.
pub(super) async fn reveal(context: &Context, api: &Api, id: &str, marks: Vec<String>) -> anyhow::Result<ExitCode> {
    let marks: Vec<&str> = marks.iter().map(|mark| bare(mark)).collect();
    let revealed = api.call(Method::POST, &path(id, "/reveal")?, Some(json!({ "marks": marks }))).await?;
    if context.json {
        output::json(&revealed)?;
        return Ok(ExitCode::SUCCESS);
    }
    for value in revealed["values"].as_array().into_iter().flatten() {
        output::line(&output::painted(Paint::Strong, &words(value)));
        output::line(&output::safe(value["value"].as_str().unwrap_or_default()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares a hidden value. What is not as expected is no success.
pub(super) async fn compare(
    context: &Context,
    api: &Api,
    id: &str,
    mark: String,
    expected: Option<String>,
) -> anyhow::Result<ExitCode> {
    let expected = match expected {
        Some(expected) => expected,
        None => one_line()?,
    };
    let body = json!({ "mark": bare(&mark), "expected": expected });
    let compared = api.call(Method::POST, &path(id, "/compare")?, Some(body)).await?;
    let equal = compared["equal"] == true;
    if context.json {
        output::json(&compared)?;
    } else {
        let (paint, found) =
            if equal { (Paint::Good, "what you expected") } else { (Paint::Bad, "not what you expected") };
        output::line(&format!("‹{}› is {}", text(&compared, "mark"), output::painted(paint, found)));
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// One hidden value as a card tells of it.
pub(super) fn words(hidden: &Value) -> String {
    let column = text(hidden, "column");
    let place = match (text(hidden, "position").as_str(), column.as_str()) {
        ("written", "") => "written, or used in a way that cannot be told".to_owned(),
        ("written", column) => format!("written to {column}"),
        ("predicate", "") => "decides what is touched".to_owned(),
        ("predicate", column) => format!("compared with {column}"),
        ("output", _) => "only given back".to_owned(),
        _ => "in a remark".to_owned(),
    };
    let must = if hidden["must_look"] == true { "; reveal or compare it before you approve" } else { "" };
    format!("‹{}› {place}{must}", text(hidden, "mark"))
}

/// A mark with or without what stands around it on a card.
fn bare(mark: &str) -> &str {
    mark.trim().trim_start_matches('‹').trim_end_matches('›')
}

fn one_line() -> anyhow::Result<String> {
    let mut expected = String::new();
    std::io::stdin().take(EXPECTED_BYTES_MAX + 1).read_to_string(&mut expected)?;
    Ok(expected.trim_end_matches(['\r', '\n']).to_owned())
}
