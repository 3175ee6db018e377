//! `countersign describe postgres`: what the gateway understands of a statement, without running anything.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countersign_core::action::sql::SqlFacts;
use serde::Deserialize;

use super::{Context, output};
use crate::protocols::postgres::describe::{self, NoSession};

#[derive(Debug, Subcommand)]
pub(super) enum DescribeCommand {
    /// A PostgreSQL message
    Postgres(PostgresArgs),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct PostgresArgs {
    /// The text
    #[arg(long)]
    sql: Option<String>,
    /// A file of JSON lines {"id", "sql"}; prints one line each, with its id. `-` reads standard input
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Line {
    id: serde_json::Value,
    sql: String,
}

pub(super) fn run(context: &Context, command: DescribeCommand) -> anyhow::Result<ExitCode> {
    let DescribeCommand::Postgres(args) = command;
    match (args.sql, args.file) {
        (Some(sql), _) => one(context, &sql)?,
        (None, Some(file)) => many(&file)?,
        (None, None) => anyhow::bail!("give --sql or --file"),
    }
    Ok(ExitCode::SUCCESS)
}

fn one(context: &Context, sql: &str) -> anyhow::Result<()> {
    let description = describe::describe(sql, &NoSession);
    if context.json {
        output::line(&serde_json::to_string(&description.facts)?);
        return Ok(());
    }
    if let Some(error) = &description.parse_error {
        output::line(&format!("cannot be parsed: {}", output::safe(error)));
    }
    print(&description.facts);
    Ok(())
}

fn print(facts: &SqlFacts) {
    output::line(&format!("class  {}", facts.class.name()));
    let join = |names: &std::collections::BTreeSet<String>| {
        output::safe(&names.iter().cloned().collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<Vec<String>> = facts
        .statements
        .iter()
        .map(|s| {
            let (read, write) = (join(&s.tables.read), join(&s.tables.write));
            vec![s.verb.clone(), s.class.name().to_owned(), read, write, s.has_where.to_string(), join(&s.functions)]
        })
        .collect();
    output::table(&["VERB", "CLASS", "READS", "WRITES", "WHERE", "FUNCTIONS"], &rows);
}

fn many(file: &std::path::Path) -> anyhow::Result<()> {
    let input: Box<dyn std::io::Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?)
    };
    for (number, line) in std::io::BufReader::new(input).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read `{}`", file.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { id, sql } = serde_json::from_str(&line).with_context(|| {
            format!("`{}` line {}: not a JSON object with `id` and `sql`", file.display(), number + 1)
        })?;
        let facts = describe::describe(&sql, &NoSession).facts;
        let mut value = serde_json::json!({"id": id});
        if let (Some(value), serde_json::Value::Object(facts)) = (value.as_object_mut(), serde_json::to_value(facts)?) {
            value.extend(facts);
        }
        output::line(&value.to_string());
    }
    Ok(())
}
