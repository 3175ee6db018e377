//! `cargo demo`: on a private PostgreSQL, an agent's statements are allowed, refused, and paused until a person answers.
//! Where no PostgreSQL is installed, its requests to a small service over HTTP are.
//!
//! Everything lives in one temporary directory and on loopback; whatever ends the demo, nothing of it stays behind.

mod agent;
mod database;
pub(crate) mod gateway;
mod people;
mod sample;
mod scene;
mod shop;
mod tour;
mod world;

use std::io::Write;
use std::process::{Command, ExitCode};

use xtask::needs;
use xtask::process::as_typed;
use xtask::repository;
use xtask::trouble::{Doing, Result, Trouble};

use crate::voice::{Tone, Voice};
use world::World;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Nobody is there: do every step, and fail on any surprise.
    pub(crate) auto: bool,
    /// Install what is missing without asking.
    pub(crate) yes: bool,
    /// Leave the directory.
    pub(crate) keep: bool,
    /// The service over HTTP, where there is a PostgreSQL too.
    pub(crate) http: bool,
}

/// What the gateway is put in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upstream {
    Postgres,
    Http,
}

pub(crate) fn run(wishes: &Wishes) -> Result<ExitCode> {
    let voice = Voice::new();
    println!(
        "{}",
        voice.paint(Tone::Strong, "Countersign: the second signature between an agent's intent and its execution")
    );
    voice.heading("1. Getting ready");
    let upstream = upstream(wishes, voice);
    tools(upstream, wishes, voice)?;
    build(voice)?;
    let mut world = World::create(upstream, voice, wishes.keep)?;
    let toured = tour::walk(&mut world, wishes, voice);
    let toured = toured.map_err(|trouble| Trouble(format!("{trouble}\n{}", world.gateway_log())));
    world.close(voice);
    toured.map(|()| ExitCode::SUCCESS)
}

/// PostgreSQL where it is, or may be installed without asking.
fn upstream(wishes: &Wishes, voice: Voice) -> Upstream {
    let missing = needs::missing(&needs::DEMO_POSTGRES);
    if wishes.http {
        return Upstream::Http;
    }
    if missing.is_empty() || (wishes.yes && needs::installable()) {
        return Upstream::Postgres;
    }
    voice.say(&format!("not here: {}; a small service over HTTP takes its place", needs::names(&missing)));
    if let Some(line) = needs::line(&missing) {
        voice.say(&format!("(for the demo on PostgreSQL: {line})"));
    }
    Upstream::Http
}

fn tools(upstream: Upstream, wishes: &Wishes, voice: Voice) -> Result<()> {
    let (wanted, here) = match upstream {
        Upstream::Postgres => {
            ([needs::BUILD, needs::DEMO_POSTGRES].concat(), "C compiler, libclang, PostgreSQL and openssl are here")
        }
        Upstream::Http => (needs::BUILD.to_vec(), "C compiler and libclang are here"),
    };
    let missing = needs::missing(&wanted);
    if missing.is_empty() {
        voice.good(here);
        return Ok(());
    }
    let line = needs::line(&missing).unwrap_or_else(|| "your package manager".to_owned());
    voice.say(&format!("missing: {}", needs::names(&missing)));
    if !needs::installable() {
        xtask::fail!("install it, then run this again:\n\n    {line}\n");
    }
    if !(wishes.auto || wishes.yes || agreed(&format!("  install it now with `{line}`? [Y/n] "))?) {
        xtask::fail!("nothing was installed; the line is: {line}");
    }
    needs::install(&missing)
}

fn agreed(question: &str) -> Result<bool> {
    print!("{question}");
    std::io::stdout().flush().doing("asking")?;
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer).doing("reading your answer")?;
    Ok(read > 0 && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}

fn build(voice: Voice) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--package", "countersign", "--bin", "countersign"]).current_dir(repository());
    voice.waiting("building the gateway (the first time takes a few minutes: it compiles PostgreSQL's own parser)");
    let status = command.status().doing("starting cargo")?;
    if !status.success() {
        xtask::fail!("`{}` ended with {status}", as_typed(&command));
    }
    voice.good("the gateway is built");
    Ok(())
}
