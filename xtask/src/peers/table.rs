//! The comparison as a person reads it.

use crate::voice::{Tone, Voice};

use super::results::{Comparison, Counts};

/// Differences of one suite that are told by name; the rest is counted.
const NAMES_MAX: usize = 400;

/// One line as soon as a suite is done. Standard error, so that standard output is the result alone.
pub(super) fn progress(voice: Voice, comparison: &Comparison) {
    let word = if comparison.failed() { voice.paint(Tone::Bad, "differs") } else { "done".to_owned() };
    let (direct, gateway) = (comparison.direct_took, comparison.gateway_took);
    eprintln!(
        "  {}: {word}, {:.0} s direct, {:.0} s through the gateway",
        comparison.suite,
        direct.as_secs_f64(),
        gateway.as_secs_f64()
    );
}

/// The table, then every difference.
pub(super) fn print(voice: Voice, comparisons: &[Comparison]) {
    voice.heading("PostgreSQL's clients, direct and through the gateway");
    println!("  {:<12} {:>22} {:>22}  same?", "suite", "direct", "gateway");
    println!("  {:<12} {:>22} {:>22}", "", "passed failed skipped", "passed failed skipped");
    for comparison in comparisons {
        let counts = |counts: Counts| format!("{} {:>6} {:>7}", counts.passed, counts.failed, counts.skipped);
        println!(
            "  {:<12} {:>22} {:>22}  {}",
            comparison.suite,
            counts(comparison.direct),
            counts(comparison.gateway),
            word(voice, comparison)
        );
    }
    comparisons.iter().for_each(|comparison| differences(voice, comparison));
}

fn word(voice: Voice, comparison: &Comparison) -> String {
    let counted = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let parts = [
        counted(comparison.lost.len(), "lost"),
        counted(comparison.known.len(), "known"),
        counted(comparison.other.len(), "otherwise"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match (comparison.failed(), parts.is_empty()) {
        (true, _) => voice.paint(Tone::Bad, &format!("no: {}", parts.join(", "))),
        (false, true) => voice.paint(Tone::Good, "yes"),
        (false, false) => voice.paint(Tone::Waiting, &format!("but {}", parts.join(", "))),
    }
}

fn differences(voice: Voice, comparison: &Comparison) {
    let told = |heading: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        voice.heading(&format!("{}: {heading}", comparison.suite));
        lines.iter().take(NAMES_MAX).for_each(|line| voice.say(line));
        if lines.len() > NAMES_MAX {
            voice.say(&format!("and {} more", lines.len() - NAMES_MAX));
        }
    };
    let pair = |(name, why): &(String, String)| format!("{name}: {}", why.replace('\n', " "));
    told("passed direct, not through the gateway", comparison.lost.iter().map(pair).collect());
    told("known differences", comparison.known.iter().map(pair).collect());
    told("ended otherwise, not worse", comparison.other.clone());
    told("listed as different, and not", comparison.stale.clone());
}
