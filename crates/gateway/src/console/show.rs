//! How text from elsewhere gets onto a page: escaped, and with nothing in it that cannot be seen.
//!
//! Everything that an agent, a person or an upstream wrote passes through here. Characters that reorder, hide or imitate
//! text (bidirectional and other controls, zero-width and odd spaces) become badges that name them, so that what a
//! reviewer reads is what would run (threat 3). Colours follow PostgreSQL's own lexical rules ([`sql`]); text is never left out
//! or changed for their sake.

use std::fmt::{self, Write as _};

use askama::filters::HtmlSafe;
use countersign_core::action::Timestamp;
use countersign_core::action::redact::{Shown, ShownStream};
use countersign_core::card::Card;
use countersign_core::card::unseen::badge;

use super::sql::{self, Kind};

/// Markup that was built here, and may stand in a page as it is. Only this module makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// Text that belongs on one line: line breaks are shown as badges too.
pub(super) fn line(raw: &str) -> Html {
    let mut out = Writer::default();
    raw.chars().for_each(|c| out.put(c));
    out.finish()
}

/// The first `chars` characters of a text on one line, runs of white space folded, and whether something is missing.
pub(super) fn excerpt(raw: &str, chars: usize) -> (Html, bool) {
    let mut out = Writer::default();
    let mut count = 0;
    let mut space = false;
    for c in raw.trim().chars() {
        if count >= chars {
            return (out.finish(), true);
        }
        let is_space = matches!(c, ' ' | '\n' | '\t');
        if !(is_space && space) {
            out.put(if is_space { ' ' } else { c });
            count += 1;
        }
        space = is_space;
    }
    (out.finish(), false)
}

/// Text of several lines.
pub(super) fn block(raw: &str) -> Html {
    let mut out = Writer::default();
    lines(raw, &mut out);
    out.finish()
}

/// A statement as a card shows it, and whether its own text imitates the placeholders of what was hidden.
pub(super) struct Statement {
    /// The text, keywords bold, placeholders marked.
    pub(super) text: Html,
    /// The bind parameters; `None` is NULL.
    pub(super) parameters: Vec<Option<Html>>,
    /// More placeholders stand there than values were hidden: some of them were written by the requester.
    pub(super) imitated: bool,
}

impl Statement {
    /// Markup that hides nothing.
    pub(super) fn plain(text: Html) -> Self {
        Self { text, parameters: Vec::new(), imitated: false }
    }

    /// Of a card.
    pub(super) fn of(card: &Card) -> Self {
        match card.resource.kind.as_str() {
            "gate" => Self::plain(difference(&card.statement.text)),
            kind => Self::shown(&card.statement, kind == "database"),
        }
    }

    #[cfg(test)]
    fn sql(shown: &Shown) -> Self {
        Self::shown(shown, true)
    }

    fn shown(shown: &Shown, is_sql: bool) -> Self {
        let texts =
            || std::iter::once(shown.text.as_str()).chain(shown.parameters.iter().flatten().map(String::as_str));
        let marked: usize = texts().map(|text| pieces(text).filter(|piece| piece.is_placeholder()).count()).sum();
        let imitated = shown.imitated || marked > shown.redacted;
        let value = |text: &str| statement_text(text, !imitated, false);
        Self {
            text: statement_text(&shown.text, !imitated, is_sql),
            parameters: shown.parameters.iter().map(|shown| shown.as_deref().map(value)).collect(),
            imitated,
        }
    }
}

/// A change as a card tells it: lines that are new or gone are marked as what they are.
pub(super) fn difference(text: &str) -> Html {
    let mut out = Writer::default();
    for line in text.lines() {
        match line.get(..2) {
            Some("+ ") => out.wrap("ins", "", line),
            Some("- ") => out.wrap("del", "", line),
            Some("==") => out.wrap("b", "", line),
            _ => lines(line, &mut out),
        }
        out.plain('\n');
    }
    out.finish()
}

/// Data that comes with a statement.
pub(super) struct Data {
    /// Bytes and rows, in words.
    pub(super) size: String,
    /// The hash of all of it.
    pub(super) sha256: String,
    /// Its first rows.
    pub(super) sample: Html,
    /// Whether there are none to show.
    pub(super) empty: bool,
    /// How many values of the sample were hidden.
    pub(super) redacted: usize,
    /// How many bytes are not in the sample.
    pub(super) cut_bytes: u64,
    /// More placeholders stand there than values were hidden.
    pub(super) imitated: bool,
}

impl Data {
    /// Of a card.
    pub(super) fn new(stream: &ShownStream) -> Self {
        let marked = pieces(&stream.sample).filter(Piece::is_placeholder).count();
        let imitated = marked > stream.redacted;
        let mut out = Writer::default();
        pieces(&stream.sample).for_each(|piece| match piece {
            Piece::Placeholder(inner) if !imitated => out.wrap("mark", "hidden", inner),
            Piece::Placeholder(inner) => lines(&format!("‹{inner}›"), &mut out),
            Piece::Text(text) => lines(text, &mut out),
        });
        let rows = stream.rows.map_or_else(|| "rows not counted".to_owned(), |rows| format!("{rows} rows"));
        Self {
            size: format!("{} bytes, {rows}", stream.bytes),
            sha256: stream.sha256.clone(),
            sample: out.finish(),
            empty: stream.sample.is_empty(),
            redacted: stream.redacted,
            cut_bytes: stream.cut_bytes,
            imitated,
        }
    }
}

/// Strings, comments, numbers and keywords of SQL, each in their own way; placeholders stand before all of that.
fn statement_text(text: &str, mark: bool, is_sql: bool) -> Html {
    let parts = if is_sql { sql::parts(text) } else { vec![(0..text.len(), Kind::Other)] };
    let mut parts = parts.into_iter().peekable();
    let (mut out, mut at) = (Writer::default(), 0);
    for piece in pieces(text) {
        let end = at + piece.len();
        if let (Piece::Placeholder(inner), true) = (&piece, mark) {
            out.wrap("mark", "hidden", inner);
            at = end;
        }
        while at < end {
            while parts.next_if(|(range, _)| range.end <= at).is_some() {}
            let (to, kind) = parts.peek().map_or((end, Kind::Other), |(range, kind)| (range.end.min(end), *kind));
            part(&text[at..to], kind, &mut out);
            at = to;
        }
    }
    out.finish()
}

fn part(text: &str, kind: Kind, out: &mut Writer) {
    match kind {
        Kind::Keyword => out.wrap("b", "", text),
        Kind::Number => out.wrap("span", "num", text),
        Kind::Text => out.wrap("span", "str", text),
        Kind::Comment => out.wrap("span", "com", text),
        Kind::Word | Kind::Other => lines(text, out),
    }
}

/// A part of a shown statement.
enum Piece<'a> {
    /// Ordinary text.
    Text(&'a str),
    /// What stands between `‹` and `›` of a placeholder such as `‹email 1›`.
    Placeholder(&'a str),
}

impl Piece<'_> {
    /// How many bytes of the text it is.
    fn len(&self) -> usize {
        match self {
            Piece::Text(text) => text.len(),
            Piece::Placeholder(inner) => '‹'.len_utf8() + inner.len() + '›'.len_utf8(),
        }
    }

    fn is_placeholder(&self) -> bool {
        matches!(self, Piece::Placeholder(_))
    }
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((inner, after)) = placeholder(rest) {
            rest = after;
            return Some(Piece::Placeholder(inner));
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find('‹').map_or(rest.len(), |at| first + at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(piece))
    })
}

/// `‹kind n›` at the start of a text: what is inside it, and what follows.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (inner, after) = text.strip_prefix('‹')?.split_once('›')?;
    let typed = inner.rsplit_once(' ').is_some_and(|(kind, number)| {
        let letters = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c == ' ');
        letters && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
    });
    (typed || inner == "statement hidden").then_some((inner, after))
}

fn lines(raw: &str, out: &mut Writer) {
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.plain(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            _ => out.put(c),
        }
    }
}

/// Writes escaped text; consecutive characters that cannot be seen share one badge.
#[derive(Default)]
struct Writer {
    out: String,
    in_badge: bool,
}

impl Writer {
    fn put(&mut self, c: char) {
        match badge(c) {
            None => self.plain(c),
            Some(name) => {
                let lead = if self.in_badge { " " } else { "<i class=\"unseen\">" };
                self.in_badge = true;
                let _ = write!(self.out, "{lead}{name}"); // writing to a string does not fail
            }
        }
    }

    fn plain(&mut self, c: char) {
        self.leave_badge();
        match c {
            '&' => self.out.push_str("&amp;"),
            '<' => self.out.push_str("&lt;"),
            '>' => self.out.push_str("&gt;"),
            '"' => self.out.push_str("&#34;"),
            '\'' => self.out.push_str("&#39;"),
            _ => self.out.push(c),
        }
    }

    fn wrap(&mut self, element: &str, class: &str, inner: &str) {
        self.leave_badge();
        let _ = match class {
            "" => write!(self.out, "<{element}>"),
            class => write!(self.out, "<{element} class=\"{class}\">"),
        };
        lines(inner, self);
        self.leave_badge();
        let _ = write!(self.out, "</{element}>");
    }

    fn leave_badge(&mut self) {
        if std::mem::take(&mut self.in_badge) {
            self.out.push_str("</i>");
        }
    }

    fn finish(mut self) -> Html {
        self.leave_badge();
        Html(self.out)
    }
}

/// A point in time: relative to now for reading, exact in its title and for machines.
pub(super) fn when(at: Timestamp, now: Timestamp) -> Html {
    let (distance, past) = (span((at.seconds_since(now)).abs()), at <= now);
    let words = match (at.seconds_since(now).abs() < 2, past) {
        (true, _) => "just now".to_owned(),
        (false, true) => format!("{distance} ago"),
        (false, false) => format!("in {distance}"),
    };
    Html(format!("<time datetime=\"{at}\" title=\"{}\">{words}</time>", exact(at)))
}

/// A point in time, exactly: `2026-11-21 09:30:00 UTC`.
pub(super) fn exact(at: Timestamp) -> String {
    let iso = at.to_string();
    match (iso.get(..10), iso.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => iso,
    }
}

/// A length of time in the two largest units that matter.
pub(super) fn span(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 if minutes % 60 == 0 => format!("{hours} h"),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ if days == 1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_and_the_unseen_is_named() {
        assert_eq!(line("<script>\"'&").to_string(), "&lt;script&gt;&#34;&#39;&amp;");
        assert_eq!(
            line("a\u{202E}\u{200B}b\n").to_string(),
            "a<i class=\"unseen\">U+202E U+200B</i>b<i class=\"unseen\">␊</i>"
        );
        assert_eq!(block("a\r\nb\rc").to_string(), "a\nb<i class=\"unseen\">␍</i>c");
    }

    #[test]
    fn nothing_unseen_is_left() {
        let all: String = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
        for shown in [line(&all).to_string(), block(&all).to_string(), excerpt(&all, usize::MAX).0.to_string()] {
            let text = shown.replace("<i class=\"unseen\">", "").replace("</i>", "");
            assert!(text.chars().all(|c| badge(c).is_none() || matches!(c, '\n' | '\t')));
        }
    }

    #[test]
    fn placeholders_are_marked_unless_imitated() {
        let real = Shown { text: "SELECT ‹email 1›".to_owned(), redacted: 1, ..Shown::default() };
        let statement = Statement::sql(&real);
        assert_eq!(statement.text.to_string(), "<b>SELECT</b> <mark class=\"hidden\">email 1</mark>");
        assert!(!statement.imitated);
        assert!(Statement::sql(&Shown { imitated: true, redacted: 5, ..real.clone() }).imitated);
        let forged = Statement::sql(&Shown { redacted: 0, ..real });
        assert!(forged.imitated);
        assert_eq!(forged.text.to_string(), "<b>SELECT</b> ‹email <span class=\"num\">1</span>›");
    }

    #[test]
    fn a_statement_is_coloured_and_unchanged() {
        let text = "SELECT 'a ‹email 1› -- b', 1 -- c 'd'\nFROM \"x\"";
        let shown = Shown { text: text.to_owned(), redacted: 1, ..Shown::default() };
        let expected = "<b>SELECT</b> <span class=\"str\">&#39;a </span><mark class=\"hidden\">email 1</mark>\
            <span class=\"str\"> -- b&#39;</span>, <span class=\"num\">1</span> <span class=\"com\">-- c &#39;d&#39;</span>\n\
            <b>FROM</b> &#34;x&#34;";
        assert_eq!(Statement::sql(&shown).text.to_string(), expected);
        let value = Shown { parameters: vec![Some("'--x' OR 1".to_owned())], ..shown };
        assert_eq!(Statement::sql(&value).parameters, [Some(line("'--x' OR 1"))], "a value is no SQL");
    }

    #[test]
    fn lines_that_differ_are_marked() {
        let text = "== p (changed)\n- a <b>\n+ \u{202E}a\n  - c";
        let expected =
            "<b>== p (changed)</b>\n<del>- a &lt;b&gt;</del>\n<ins>+ <i class=\"unseen\">U+202E</i>a</ins>\n  - c\n";
        assert_eq!(difference(text).to_string(), expected);
    }

    #[test]
    fn half_placeholders_are_text() {
        for text in ["‹", "‹x", "‹‹email 1››", "›‹", "‹ 1›", "‹E 1›"] {
            let shown = Shown { text: text.to_owned(), redacted: 9, ..Shown::default() };
            let plain =
                Statement::sql(&shown).text.to_string().replace("<mark class=\"hidden\">", "‹").replace("</mark>", "›");
            let plain = plain.replace("<span class=\"num\">", "").replace("</span>", "");
            assert_eq!(plain, text);
        }
    }

    #[test]
    fn times_read_well() {
        let now = Timestamp::from_seconds(1_790_000_000);
        let check = |seconds: i64, expected: &str| {
            let shown = when(now.plus_seconds(seconds), now).to_string();
            assert!(shown.contains(&format!(">{expected}</time>")), "{shown}");
        };
        check(0, "just now");
        check(-30, "30 s ago");
        check(29 * 60, "in 29 min");
        check(-3_600, "1 h ago");
        check(-5_460, "1 h 31 min ago");
        check(-86_400 * 3, "3 days ago");
        assert_eq!(exact(Timestamp::from_seconds(0)), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn an_excerpt_is_one_line() {
        assert_eq!(excerpt("  a\n\t b  c", 10), (Html("a b c".to_owned()), false));
        assert_eq!(excerpt("abcdef", 3), (Html("abc".to_owned()), true));
    }
}
