//! `cargo xtask peers postgres`: the field's own client suites, directly against PostgreSQL and through the gateway.
//!
//! What is compared is each test by its name. A test that passes direct and fails through the gateway fails the run,
//! unless `xtask/peers/known.json` lists it with a reason.

mod known;
mod memory;
mod programs;
mod regress;
mod results;
mod stage;
mod suites;
mod table;
mod tools;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use xtask::trouble::{Doing, Result};

use crate::voice::Voice;
use known::Known;
use results::{Comparison, Results};
use stage::Stage;
use suites::{ALL, Job, Suite};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Only what takes a few minutes.
    pub(crate) quick: bool,
    /// Only these suites; all when empty.
    pub(crate) only: Vec<String>,
    /// The comparison as JSON instead of a table.
    pub(crate) json: bool,
    /// Whether missing tools are installed.
    pub(crate) install: bool,
}

impl Wishes {
    /// `peers postgres [--quick] [--only NAME]… [--json] [--no-install]`
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut wishes = Self { quick: false, only: Vec::new(), json: false, install: true };
        let mut words = words.iter();
        if *words.next()? != "postgres" {
            return None;
        }
        while let Some(word) = words.next() {
            match *word {
                "--quick" => wishes.quick = true,
                "--json" => wishes.json = true,
                "--no-install" => wishes.install = false,
                "--only" => wishes.only.push((*words.next()?).to_owned()),
                _ => return None,
            }
        }
        Some(wishes)
    }

    fn suites(&self) -> Result<Vec<&'static Suite>> {
        if let Some(unknown) = self.only.iter().find(|name| !ALL.iter().any(|suite| suite.name == name.as_str())) {
            let names: Vec<_> = ALL.iter().map(|suite| format!("{} ({})", suite.name, suite.about)).collect();
            xtask::fail!("there is no suite `{unknown}`; there is: {}", names.join(", "));
        }
        let wanted = |suite: &&Suite| match self.only.is_empty() {
            true => suite.quick || !self.quick,
            false => self.only.iter().any(|name| name == suite.name),
        };
        Ok(ALL.iter().filter(wanted).collect())
    }
}

pub(crate) fn run(wishes: &Wishes) -> Result<ExitCode> {
    let (voice, known, suites) = (Voice::new(), Known::load()?, wishes.suites()?);
    tools::install(wishes.install)?;
    if suites.iter().any(|suite| suite.name == "regress") {
        regress::install(wishes.install)?;
    }
    stage::build()?;
    let stage = Stage::set()?;
    let mut comparisons = Vec::new();
    for suite in suites {
        let comparison = compare(&stage, suite, wishes.quick, &known).unwrap_or_else(|trouble| {
            eprintln!("  {}: {trouble}\n{}", suite.name, stage.gateway_log());
            Comparison::new(suite.name, &Results::new(), &Results::new(), &known) // fails the run
        });
        table::progress(voice, &comparison);
        comparisons.push(comparison);
    }
    stage.strike();
    if wishes.json {
        let all: serde_json::Value = comparisons.iter().map(Comparison::json).collect();
        println!("{all:#}");
    } else {
        table::print(voice, &comparisons);
    }
    Ok(if comparisons.iter().any(Comparison::failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One suite on both sides, each with databases made anew.
fn compare(stage: &Stage, suite: &Suite, quick: bool, known: &Known) -> Result<Comparison> {
    stage.reset()?;
    let [direct, gateway] = stage.sides().map(|side| {
        let dir = tools::home().join("runs").join(suite.name).join(side.name);
        let _ = fs::remove_dir_all(&dir); // of an earlier run
        fs::create_dir_all(&dir).doing(format!("creating {}", dir.display()))?;
        let begun = Instant::now();
        let results = (suite.run)(&Job { stage, side: &side, quick, dir })?;
        Ok((results, begun.elapsed()))
    });
    let ((direct, direct_took), (gateway, gateway_took)) = (direct?, gateway?);
    let comparison = Comparison::new(suite.name, &direct, &gateway, known);
    Ok(comparison.took(direct_took, gateway_took))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_a_part_of_a_whole_one() {
        let count = |words: &[&str]| Wishes::parse(words).unwrap().suites().unwrap().len();
        assert!(count(&["postgres", "--quick"]) < count(&["postgres"]));
        assert_eq!(count(&["postgres", "--only", "pgbench", "--only", "copy"]), 2);
    }

    #[test]
    fn what_is_not_understood_is_not_run() {
        for words in [&[][..], &["mysql"], &["postgres", "--only"], &["postgres", "--fast"]] {
            assert!(Wishes::parse(words).is_none(), "{words:?}");
        }
        assert!(Wishes::parse(&["postgres", "--only", "nothing"]).unwrap().suites().is_err());
    }
}
