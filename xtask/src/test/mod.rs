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
}

pub(crate) fn run(wishes: &Wishes) -> Result<ExitCode> {
    let voice = Voice::new();
    let begun = Instant::now();
    let mut times = Vec::new();
    prepare(wishes, voice)?;
    times.push(("tools", begun.elapsed()));
    for step in steps::all(wishes.quick) {
        let begun = Instant::now();
        voice.heading(&format!("{}: {}", step.name, step.shown()));
        let outcome = carry_out(&step);
        times.push((step.name, begun.elapsed()));
        if let Err(trouble) = outcome {
            voice.bad(&format!("{} failed after {}: {trouble}", step.name, seconds(begun.elapsed())));
            voice.say(&step.repeat());
            return Ok(ExitCode::FAILURE);
        }
        voice.good(&format!("{} took {}", step.name, seconds(begun.elapsed())));
    }
    summary(voice, &times, begun.elapsed());
    Ok(ExitCode::SUCCESS)
}

fn prepare(wishes: &Wishes, voice: Voice) -> Result<()> {
    voice.heading("tools");
    if wishes.quick { tools::for_building(wishes.install) } else { tools::for_everything(wishes.install, voice) }
}

fn carry_out(step: &Step) -> Result<()> {
    let Some(mut command) = step.command() else {
        return if tidy::run()? == ExitCode::SUCCESS { Ok(()) } else { Err(Trouble("house rules are broken".into())) };
    };
    let status = command.status().map_err(|error| Trouble(format!("cannot start: {error}")))?;
    if status.success() { Ok(()) } else { Err(Trouble(status.to_string())) }
}

fn summary(voice: Voice, times: &[(&str, Duration)], total: Duration) {
    voice.heading("All steps passed");
    for (name, time) in times {
        println!("  {:<24} {:>8}", name, seconds(*time));
    }
    println!("  {:<24} {}", "total", voice.paint(Tone::Strong, &format!("{:>8}", seconds(total))));
    println!("{} passed, 0 failed", times.len());
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
