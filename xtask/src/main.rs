//! Commands for people who work on Countersign: `cargo demo`, `cargo xtask test`, `cargo xtask screens`,
//! `cargo xtask tidy`.

mod demo;
mod peers;
mod screens;
mod test;
mod tidy;
mod voice;

use std::process::ExitCode;

use voice::Voice;
use xtask::trouble::Result;

const USAGE: &str = "\
Commands of the workshop:

  cargo demo                  a private PostgreSQL, the gateway, sample people: see an action allowed, refused and paused
      --auto                  unattended: does every step itself and exits 0 only if all went as it should
      --yes                   installs what is missing without asking (needs root and apt)
      --keep                  leaves the demo's directory when it ends
      --http                  on a small service over HTTP, as where no PostgreSQL is installed

  cargo xtask test            everything CI runs, in its order
      --quick                 only formatting, house rules, lints and unit tests
      --no-install            names what is missing instead of installing it
      --fuzz                  builds every fuzz target too and runs each for 10 seconds

  cargo xtask tools           only installs what the tests need (or names it, with --no-install)

  cargo xtask peers postgres  the field's own client suites, directly against PostgreSQL and through the gateway
      --quick                 only what takes a few minutes (part of `cargo xtask test`)
      --only NAME             only this suite; may be repeated
      --json                  the comparison as JSON
      --no-install            names what is missing instead of installing it

  cargo xtask screens         every page of the console with data on it: pictures under docs/screens, flaws, bytes
      --lighthouse            asks Lighthouse too, which takes minutes and a machine that does nothing else
      --no-install            names what is missing instead of installing it

  cargo xtask tidy            the house rules: directions between folders, module docs, file lengths, links, error pages
";

fn main() -> ExitCode {
    // `cargo demo -- --auto` hands the separator on
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--").collect();
    match command(&args) {
        Ok(code) => code,
        Err(trouble) => {
            eprintln!("error: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: &[String]) -> Result<ExitCode> {
    let flags: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match args.first().map(String::as_str) {
        Some("demo") if known(&flags, &["--auto", "--yes", "--keep", "--http"]) => demo::run(&demo::Wishes {
            auto: flags.contains(&"--auto"),
            yes: flags.contains(&"--yes"),
            keep: flags.contains(&"--keep"),
            http: flags.contains(&"--http"),
        }),
        Some("test") if known(&flags, &["--quick", "--no-install", "--fuzz"]) => test::run(&test::Wishes {
            quick: flags.contains(&"--quick"),
            install: !flags.contains(&"--no-install"),
            fuzz: flags.contains(&"--fuzz"),
        }),
        Some("tools") if known(&flags, &["--no-install"]) => {
            test::tools::for_everything(!flags.contains(&"--no-install"), false, Voice::new())?;
            Ok(ExitCode::SUCCESS)
        }
        Some("peers") if peers::Wishes::parse(&flags).is_some() => {
            peers::Wishes::parse(&flags).map_or(Ok(ExitCode::from(2)), |wishes| peers::run(&wishes))
        }
        Some("screens") if known(&flags, &["--lighthouse", "--no-install"]) => {
            screens::run(flags.contains(&"--lighthouse"), !flags.contains(&"--no-install"))
        }
        Some("tidy") if flags.is_empty() => tidy::run(),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

fn known(flags: &[&str], allowed: &[&str]) -> bool {
    flags.iter().all(|flag| allowed.contains(flag))
}
