//! The first rows of a COPY stream as a reviewer sees them, field by field redacted.
//!
//! Fields are found well enough to judge each on its own; which value a field means is the server's business. Nothing of
//! the binary format is shown: without the columns' types its bytes say nothing to a reader.

use countersign_core::action::redact::{Literal, Place, Position, Redactor, ShownStream};

use super::Summary;
use crate::protocols::postgres::describe::{CopyFormat, CopyIn, TableColumns};

/// The most bytes of a stream that are kept to be shown.
pub(super) const SAMPLE_BYTES_MAX: usize = 8 * 1024;
/// The most rows that are shown.
const SAMPLE_ROWS_MAX: usize = 10;

/// What a card shows of a stream that begins with `head`.
pub(super) fn shown(
    redactor: &mut Redactor<'_>,
    (copy, columns): (&CopyIn, &TableColumns),
    head: &[u8],
    summary: &Summary,
) -> ShownStream {
    let head = match copy.format {
        CopyFormat::Text | CopyFormat::Csv if copy.readable => first_rows(copy, head),
        CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary => "",
    };
    let before = redactor.redacted();
    let (sample, cut_bytes) = redactor.text(head, &fields(copy, &copy.filled(columns), head));
    ShownStream {
        bytes: summary.bytes,
        rows: summary.rows,
        sha256: hex::encode(summary.sha256),
        sample,
        redacted: redactor.redacted() - before,
        cut_bytes: summary.bytes - head.len() as u64 + cut_bytes as u64,
    }
}

/// As much of the beginning as is text, at most so many lines.
fn first_rows<'a>(copy: &CopyIn, head: &'a [u8]) -> &'a str {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    let lines = SAMPLE_ROWS_MAX + usize::from(copy.header);
    let end = text.match_indices('\n').nth(lines - 1).map_or(text.len(), |(at, _)| at + 1);
    &text[..end]
}

/// The fields of a text: what stands between delimiters and line ends that are not quoted.
fn fields(copy: &CopyIn, columns: &[&str], text: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let (mut start, mut index, mut quoted, mut escaped) = (0, 0, false, false);
    let mut heading = copy.header;
    for (at, byte) in text.bytes().enumerate() {
        let was_escaped = std::mem::take(&mut escaped);
        match copy.format {
            CopyFormat::Csv if byte == copy.quote => quoted = !quoted,
            CopyFormat::Text if byte == b'\\' => escaped = !was_escaped,
            _ => {}
        }
        let ends = byte == copy.delimiter || matches!(byte, b'\n' | b'\r');
        if ends && !quoted && !was_escaped {
            let column = columns.get(index).filter(|_| !heading).copied();
            found.push(field(copy, text, (start, at), column));
            (start, index) = (at + 1, index + 1);
            if byte != copy.delimiter {
                (index, heading) = (0, false);
            }
        }
    }
    found.push(field(copy, text, (start, text.len()), columns.get(index).filter(|_| !heading).copied()));
    found
}

fn field(copy: &CopyIn, text: &str, (start, end): (usize, usize), column: Option<&str>) -> Literal {
    let raw = text.get(start..end).unwrap_or_default();
    let quote = char::from(copy.quote);
    let csv = copy.format == CopyFormat::Csv;
    let value = raw.strip_prefix(quote).and_then(|raw| raw.strip_suffix(quote)).filter(|_| csv).unwrap_or(raw);
    let column = column.filter(|column| !column.is_empty()).map(str::to_owned);
    Literal { start, end, value: value.to_owned(), secret: false, place: Place { position: Position::Written, column } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::postgres::describe::{Effect, NoSession, describe};

    fn sample(sql: &str, data: &str) -> ShownStream {
        let effects = describe(sql, &NoSession).effects;
        let Some(Effect::CopyIn(copy)) = effects.into_iter().next() else { return ShownStream::default() };
        shown(
            &mut Redactor::default(),
            (&copy, &TableColumns::default()),
            data.as_bytes(),
            &Summary { bytes: data.len() as u64, rows: None, sha256: [0; 32] },
        )
    }

    #[test]
    fn fields_are_redacted_each_on_its_own() {
        let shown = sample("COPY t FROM STDIN", "1\tada@example.org\tpaid\n2\tada@example.org\topen\n");
        assert_eq!(shown.sample, "1\t‹email 1›\tpaid\n2\t‹email 1›\topen\n");
        assert_eq!((shown.redacted, shown.cut_bytes), (2, 0));
        let shown = sample("COPY t FROM STDIN CSV", "1,\"4111 1111 1111 1111\"\n2,\"a,\nb\"\n");
        assert_eq!(shown.sample, "1,‹card number 1›\n2,\"a,\nb\"\n");
    }

    #[test]
    fn columns_tell_what_has_no_format() {
        let shown = sample("COPY t (id, surname) FROM STDIN CSV HEADER", "id,surname\n1,Lovelace\n2,\"Curie\"\n");
        assert_eq!(shown.sample, "id,surname\n1,‹name 1›\n2,‹name 2›\n");
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let shown = sample("COPY t FROM STDIN", &"1234\n".repeat(100));
        assert_eq!((shown.sample.lines().count(), shown.cut_bytes), (10, 450));
        let shown = sample("COPY t FROM STDIN BINARY", "PGCOPY");
        assert_eq!((shown.sample.as_str(), shown.cut_bytes), ("", 6));
    }
}
