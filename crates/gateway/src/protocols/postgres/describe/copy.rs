//! What a `COPY … FROM STDIN` says of the data that will follow it.
//!
//! The options are those of `ProcessCopyOptions` in `copy.c`. An option that is not understood makes the rows unreadable
//! for us ([`CopyIn::readable`]), never for the server: they are then counted and shown as bytes alone.

use pg_query::protobuf::CopyStmt;
use pg_query::{Node, NodeEnum};

use super::{Name, TableColumns, builtin::settings, names, text};

/// How the rows of a stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// One row a line, fields between delimiters, backslash escapes.
    Text,
    /// Comma-separated values; a quoted field may hold line breaks.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
}

/// A stream that a statement reads from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyIn {
    /// How rows are written.
    pub format: CopyFormat,
    /// The table that the rows go to.
    pub table: Option<Name>,
    /// The columns that the statement lists; none of them when it fills all of the table's.
    pub columns: Vec<String>,
    /// What stands between fields.
    pub delimiter: u8,
    /// What stands around a field of [`CopyFormat::Csv`].
    pub quote: u8,
    /// What stands before a quote inside a field.
    pub escape: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Whether rows can be told apart by the above: not when the data is in another encoding.
    pub readable: bool,
}

impl CopyIn {
    pub(super) fn of(statement: &CopyStmt) -> Self {
        let mut copy = Self {
            format: CopyFormat::Text,
            table: statement.relation.as_ref().map(Name::relation),
            columns: statement.attlist.iter().map(|name| names::string(name).unwrap_or_default().to_owned()).collect(),
            delimiter: b'\t',
            quote: b'"',
            escape: b'"',
            header: false,
            readable: true,
        };
        let (mut delimiter, mut escape) = (None, None);
        for option in &statement.options {
            let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
            let value = option.arg.as_deref();
            match option.defname.as_str() {
                "format" => copy.format = copy.format_of(value),
                "delimiter" => delimiter = copy.byte(value),
                "quote" => copy.quote = copy.byte(value).unwrap_or(copy.quote),
                "escape" => escape = copy.byte(value),
                "header" => copy.header = copy.header_of(value),
                "encoding" => copy.readable = false,
                _ => {} // changes which values rows mean, not where they end
            }
        }
        let csv = copy.format == CopyFormat::Csv;
        copy.delimiter = delimiter.unwrap_or(if csv { b',' } else { b'\t' });
        copy.escape = escape.unwrap_or(copy.quote);
        copy
    }

    /// The columns that a row's fields go to, in order: those that are listed, or else the table's own but the computed ones.
    /// None of them where the table is not known.
    pub fn filled<'c>(&'c self, columns: &'c TableColumns) -> Vec<&'c str> {
        if !self.columns.is_empty() {
            return self.columns.iter().map(String::as_str).collect();
        }
        let known = self.table.as_ref().and_then(|table| columns.get(table)).into_iter().flatten();
        known.filter(|column| !column.generated).map(|column| column.name.as_str()).collect()
    }

    fn format_of(&mut self, value: Option<&Node>) -> CopyFormat {
        match value.and_then(text::constant).as_deref() {
            Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            _ => {
                self.readable = false; // the server will refuse it
                CopyFormat::Text
            }
        }
    }

    fn byte(&mut self, value: Option<&Node>) -> Option<u8> {
        let value = value.and_then(text::constant);
        match value.as_deref().map(str::as_bytes) {
            Some(&[byte]) => Some(byte),
            _ => {
                self.readable = false;
                None
            }
        }
    }

    /// `HEADER`, `HEADER true`, `HEADER match`.
    fn header_of(&mut self, value: Option<&Node>) -> bool {
        let Some(value) = value else { return true };
        let Some(value) = text::constant(value) else {
            self.readable = false;
            return false;
        };
        match settings::boolean(&value) {
            Some(header) => header,
            None if value == "match" => true,
            None => {
                self.readable = false;
                false
            }
        }
    }
}
