//! Redacts statements by the default rules, for `benches/redaction`: a JSON object with `id` and `sql` a line in, one with
//! `id`, `shown`, `hidden` and `micros` a line out.

use std::io::{self, BufRead as _, Write as _};
use std::time::Instant;

use countersign::protocols::postgres::describe::{NoSession, TableColumns, describe, show};
use countersign_core::action::redact::Redactor;
use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line?)?;
        let sql = case["sql"].as_str().unwrap_or_default();
        let description = describe(sql, &NoSession);
        let began = Instant::now();
        let mut redactor = Redactor::default();
        let shown = show(&mut redactor, sql, &description, &TableColumns::default());
        let micros = began.elapsed().as_micros();
        let redacted = redactor.finish(shown);
        let hidden: Vec<&str> = redacted.values.iter().map(|(_, value)| value).collect();
        let answer =
            json!({ "id": case["id"], "shown": redacted.shown.text, "hidden": hidden, "micros": micros as u64 });
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
