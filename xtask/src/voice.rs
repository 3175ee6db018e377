//! How the commands speak: headings, steps and quoted output; colours only on a terminal that wants them.

use std::io::IsTerminal;

/// Writes to standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    colour: bool,
}

/// What a word means, which decides its colour.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Bad,
    Waiting,
    Faint,
    Strong,
}

impl Voice {
    /// Plain when output is not a terminal or `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: std::io::stdout().is_terminal() && !unwanted }
    }

    /// Words in a tone.
    pub(crate) fn paint(self, tone: Tone, words: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Waiting => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colour { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
    }

    pub(crate) fn heading(self, words: &str) {
        println!("\n{}", self.paint(Tone::Strong, words));
    }

    pub(crate) fn say(self, words: &str) {
        for line in words.lines() {
            println!("{}", format!("  {line}").trim_end());
        }
    }

    pub(crate) fn good(self, words: &str) {
        println!("  {} {words}", self.paint(Tone::Good, "✓"));
    }

    pub(crate) fn bad(self, words: &str) {
        println!("  {} {words}", self.paint(Tone::Bad, "✗"));
    }

    pub(crate) fn waiting(self, words: &str) {
        println!("  {} {words}", self.paint(Tone::Waiting, "…"));
    }

    /// A command as somebody would type it.
    pub(crate) fn typed(self, who: &str, command: &str) {
        println!("\n  {} {}", self.paint(Tone::Strong, &format!("{who} $")), command);
    }

    /// A request as somebody's program sends it.
    pub(crate) fn sent(self, who: &str, request: &str) {
        println!("\n  {} {}", self.paint(Tone::Strong, &format!("{who} →")), request);
    }

    /// What a program said.
    pub(crate) fn quote(self, output: &str) {
        for line in output.trim_end().lines() {
            println!("    {} {line}", self.paint(Tone::Faint, "│"));
        }
    }
}
