//! `cargo xtask test`: everything CI runs, in its order, with the time each step took.

mod steps;
pub(crate) mod tools;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use steps::Step;
use xtask::trouble::{Result, Trouble};

use crate::tidy;
use crate::voice::{Tone, Voice};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Only what takes a few minutes and needs nothing installed.
    pub(crate) quick: bool,
    /// Whether missing tools are installed.
    pub(crate) install: bool,
    /// Whether every fuzz target is built and run for a few seconds too.
    pub(crate) fuzz: bool,
}

/// Runs every step, the later ones too when one fails: one run tells all that is wrong.
pub(crate) fn run(wishes: &Wishes) -> Result<ExitCode> {
    let voice = Voice::new();
    let begun = Instant::now();
    prepare(wishes, voice)?;
    let mut done = vec![Done { name: "tools", took: begun.elapsed(), failed: None }];
    for step in steps::all(wishes) {
        let begun = Instant::now();
        voice.heading(&format!("{}: {}", step.name, step.shown()));
        let failed = carry_out(&step).err().map(|trouble| format!("{trouble}; {}", step.repeat()));
        let took = begun.elapsed();
        match &failed {
            None => voice.good(&format!("{} took {}", step.name, seconds(took))),
            Some(words) => voice.bad(&format!("{} failed after {}: {words}", step.name, seconds(took))),
        }
        done.push(Done { name: step.name, took, failed });
    }
    Ok(summary(voice, &done, begun.elapsed()))
}

/// A step that was carried out.
struct Done {
    name: &'static str,
    took: Duration,
    failed: Option<String>,
}

fn prepare(wishes: &Wishes, voice: Voice) -> Result<()> {
    voice.heading("tools");
    if wishes.quick {
        tools::for_building(wishes.install)
    } else {
        tools::for_everything(wishes.install, wishes.fuzz, voice)
    }
}

fn carry_out(step: &Step) -> Result<()> {
    let Some(mut command) = step.command() else {
        return if tidy::run()? == ExitCode::SUCCESS { Ok(()) } else { Err(Trouble("house rules are broken".into())) };
    };
    let status = command.status().map_err(|error| Trouble(format!("cannot start: {error}")))?;
    if status.success() { Ok(()) } else { Err(Trouble(status.to_string())) }
}

fn summary(voice: Voice, done: &[Done], total: Duration) -> ExitCode {
    voice.heading("Steps");
    for Done { name, took, failed } in done {
        let line = format!("{name:<24} {:>8}", seconds(*took));
        if failed.is_none() { voice.good(&line) } else { voice.bad(&line) }
    }
    println!("  {}", voice.paint(Tone::Strong, &format!("  {:<24} {:>8}", "total", seconds(total))));
    let failed: Vec<_> = done.iter().filter_map(|step| Some((step.name, step.failed.as_ref()?))).collect();
    for (name, words) in &failed {
        voice.bad(&format!("{name}: {words}"));
    }
    println!("{} passed, {} failed", done.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
