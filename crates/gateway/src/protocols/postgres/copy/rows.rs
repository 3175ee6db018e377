//! Counting the rows of a COPY stream as it passes, in any cut.
//!
//! Text and CSV end their rows as `CopyReadLineText` finds them; a line `\.` ends the data. Binary is a header, tuples of
//! length-prefixed fields, and a trailer. What does not follow its format has no count: the server will say what is wrong.

use crate::protocols::postgres::describe::{CopyFormat, CopyIn};

/// Header of the binary format: 11 bytes of signature, flags, length of the extension.
const BINARY_HEADER_BYTES: usize = 11 + 4 + 4;
const BINARY_SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Counts rows.
#[derive(Debug)]
pub(super) enum Rows {
    Lines(Lines),
    Binary(Binary),
    /// They cannot be told apart.
    Unknown,
}

impl Rows {
    pub(super) fn new(copy: &CopyIn) -> Self {
        match copy.format {
            _ if !copy.readable => Rows::Unknown,
            CopyFormat::Text | CopyFormat::Csv => Rows::Lines(Lines::new(copy)),
            CopyFormat::Binary => Rows::Binary(Binary::default()),
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        match self {
            Rows::Lines(lines) => chunk.iter().for_each(|byte| lines.push(*byte)),
            Rows::Binary(binary) => binary.push(chunk),
            Rows::Unknown => {}
        }
    }

    /// The count; `None` when the data does not follow its format.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Rows::Lines(lines) => lines.count(),
            Rows::Binary(binary) => binary.count(),
            Rows::Unknown => None,
        }
    }
}

/// Rows of text and CSV.
#[derive(Debug)]
pub(super) struct Lines {
    csv: bool,
    quote: u8,
    /// `None` when it is the quote itself, which two quotes in a row then stand for.
    escape: Option<u8>,
    header: bool,
    lines: u64,
    quoted: bool,
    escaped: bool,
    after_cr: bool,
    /// Bytes of the line so far, and whether they are the beginning of `\.`.
    length: u64,
    marker: bool,
    ended: bool,
}

impl Lines {
    fn new(copy: &CopyIn) -> Self {
        Self {
            csv: copy.format == CopyFormat::Csv,
            quote: copy.quote,
            escape: (copy.escape != copy.quote).then_some(copy.escape),
            header: copy.header,
            lines: 0,
            quoted: false,
            escaped: false,
            after_cr: false,
            length: 0,
            marker: false,
            ended: false,
        }
    }

    fn push(&mut self, byte: u8) {
        if self.ended {
            return;
        }
        let after_cr = std::mem::take(&mut self.after_cr);
        if byte == b'\n' && after_cr {
            return; // the second half of a line end
        }
        let escaped = std::mem::take(&mut self.escaped);
        if self.csv {
            self.note_quotes(byte, escaped);
        } else {
            self.escaped = byte == b'\\' && !escaped;
        }
        let data = if self.csv { self.quoted } else { escaped };
        if matches!(byte, b'\n' | b'\r') && !data {
            self.after_cr = byte == b'\r';
            self.end_line();
            return;
        }
        self.marker = match self.length {
            0 => byte == b'\\',
            1 => self.marker && byte == b'.',
            _ => false,
        };
        self.length += 1;
    }

    fn note_quotes(&mut self, byte: u8, escaped: bool) {
        if self.quoted && Some(byte) == self.escape {
            self.escaped = !escaped;
        }
        if byte == self.quote && !escaped {
            self.quoted = !self.quoted;
        }
    }

    fn end_line(&mut self) {
        if self.marker && self.length == 2 {
            self.ended = true;
        } else {
            self.lines += 1;
        }
        (self.length, self.marker) = (0, false);
    }

    fn count(&self) -> Option<u64> {
        let last = !self.ended && self.length > 0 && !(self.marker && self.length == 2);
        let lines = self.lines + u64::from(last);
        (!self.quoted).then(|| lines.saturating_sub(u64::from(self.header)))
    }
}

/// Tuples of the binary format.
#[derive(Debug, Default)]
pub(super) struct Binary {
    step: Step,
    /// The bytes of a fixed part so far, at most [`BINARY_HEADER_BYTES`].
    part: Vec<u8>,
    rows: u64,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Header,
    /// So many fields to come in this tuple; 0: a tuple.
    Length(u16),
    /// So many bytes of a field (or the header's extension), then so many fields.
    Skip(u64, u16),
    End,
    Broken,
}

impl Binary {
    fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let wanted = match self.step {
                Step::Header => BINARY_HEADER_BYTES,
                Step::Length(0) => 2,
                Step::Length(_) => 4,
                Step::Skip(left, fields) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                    chunk = &chunk[here..];
                    self.skip(left - here as u64, fields);
                    continue;
                }
                Step::End | Step::Broken => return,
            };
            let (taken, rest) = chunk.split_at((wanted - self.part.len()).min(chunk.len()));
            self.part.extend_from_slice(taken);
            chunk = rest;
            if self.part.len() == wanted {
                let part = std::mem::take(&mut self.part);
                self.step = self.next(&part);
            }
        }
    }

    fn skip(&mut self, left: u64, fields: u16) {
        self.step = if left > 0 { Step::Skip(left, fields) } else { Step::Length(fields) };
    }

    fn next(&mut self, part: &[u8]) -> Step {
        let skip = |bytes: i32, fields| u64::try_from(bytes).ok().map(|bytes| (bytes, fields));
        let (bytes, fields) = match (self.step, part) {
            (Step::Header, [.., a, b, c, d]) if part.starts_with(BINARY_SIGNATURE) => {
                match skip(i32::from_be_bytes([*a, *b, *c, *d]), 0) {
                    Some(skipped) => skipped,
                    None => return Step::Broken,
                }
            }
            (Step::Length(0), &[a, b]) => match i16::from_be_bytes([a, b]) {
                -1 => return Step::End,
                fields => {
                    self.rows += 1;
                    return u16::try_from(fields).map_or(Step::Broken, Step::Length);
                }
            },
            (Step::Length(fields), &[a, b, c, d]) => match i32::from_be_bytes([a, b, c, d]) {
                -1 => (0, fields - 1), // NULL
                bytes => match skip(bytes, fields - 1) {
                    Some(skipped) => skipped,
                    None => return Step::Broken,
                },
            },
            _ => return Step::Broken,
        };
        if bytes == 0 { Step::Length(fields) } else { Step::Skip(bytes, fields) }
    }

    fn count(&self) -> Option<u64> {
        let whole = self.step == Step::End || (self.step == Step::Length(0) && self.part.is_empty());
        whole.then_some(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::postgres::describe::{Effect, NoSession, describe};

    fn rows(sql: &str, data: &[u8]) -> Option<u64> {
        let Some(Effect::CopyIn(copy)) = describe(sql, &NoSession).effects.into_iter().next() else { return None };
        let count = |cut: usize| {
            let mut rows = Rows::new(&copy);
            data.chunks(cut).for_each(|chunk| rows.push(chunk));
            rows.count()
        };
        let whole = count(data.len().max(1));
        assert_eq!([count(1), count(3)], [whole, whole], "any cut gives the same");
        whole
    }

    #[test]
    fn lines_are_counted_as_the_server_does() {
        for (options, data, expected) in [
            ("", "1\ta\n2\tb\n", Some(2)),
            ("", "1\ta\n2\tb", Some(2)),
            ("", "", Some(0)),
            ("", "1\ta\r\n2\tb\r\n", Some(2)),
            ("", "1\ta\\\nb\n2\tc\n", Some(2)),
            ("", "1\n\\.\n2\n", Some(1)),
            ("", "1\n\\.", Some(1)),
            ("", "1\n\\.x\n", Some(2)),
            ("", "\\\\\n\\\\\n", Some(2)),
            ("WITH (FORMAT csv, HEADER)", "id,name\n1,a\n2,\"b\nc\"\n", Some(2)),
            ("WITH (FORMAT csv)", "1,\"a\"\"\nb\"\n", Some(1)),
            ("WITH (FORMAT csv, QUOTE '''', ESCAPE '\\')", "1,'a\\'\nb'\n2,c\n", Some(2)),
            ("WITH (FORMAT csv)", "1,\"never closed\n", None),
            ("WITH (FORMAT csv, HEADER MATCH)", "a\n1\n", Some(1)),
            ("WITH (ENCODING 'SJIS')", "1\n", None),
            ("WITH (DELIMITER 'ab')", "1\n", None),
        ] {
            assert_eq!(rows(&format!("COPY t FROM STDIN {options}"), data.as_bytes()), expected, "{options} {data:?}");
        }
    }

    #[test]
    fn binary_tuples_are_counted() {
        let mut data = BINARY_SIGNATURE.to_vec();
        data.extend([0, 0, 0, 0, 0, 0, 0, 2, 9, 9]);
        for _ in 0..3 {
            data.extend([0, 2, 0, 0, 0, 4, 1, 2, 3, 4, 255, 255, 255, 255]);
        }
        assert_eq!(rows("COPY t FROM STDIN BINARY", &data), Some(3));
        data.extend([255, 255]);
        assert_eq!(rows("COPY t FROM STDIN (FORMAT binary)", &data), Some(3));
        assert_eq!(rows("COPY t FROM STDIN BINARY", &data[..data.len() - 5]), None);
        assert_eq!(rows("COPY t FROM STDIN BINARY", b"1\ta\n and more than a header"), None);
    }
}
