//! Showing a result with its masked columns replaced.
//!
//! Which column is which is not taken from the proof: the server's `RowDescription` names each output's table and number,
//! and must name exactly the masked columns that the proof foresaw. A replaced value is valid for its column's type, in
//! both formats: a hash or a rest is shown of texts (and a hash of UUIDs, as a UUID); of every other type NULL is shown.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, BytesMut};
use countersign_core::policy::Mask;

use super::catalog::Catalog;
use super::key::Key;
use crate::protocols::postgres::wire::{Format, WireError, backend};

/// Hexadecimal digits of a hash: 128 bits.
const HASH_CHARS: usize = 32;
/// The fewest digits a column must have room for; a hash that is cut shorter would make different values look equal.
const HASH_CHARS_MIN: usize = 16;
/// Characters that a rest shows, and the shortest text that has a rest.
const REST_CHARS: usize = 4;
const REST_OF_CHARS_MIN: usize = 12;
/// What a type modifier counts besides the characters (`VARHDRSZ`).
const TYPMOD_HEADER: i32 = 4;

/// `text`, `bpchar`, `varchar`.
const TEXTS: &[u32] = &[25, 1042, 1043];
const UUID: u32 = 2950;

/// What was proved of a statement: which masked columns come out of it.
#[derive(Debug, Clone)]
pub(in crate::protocols::postgres) struct Plan {
    /// Every table that it may show columns of.
    tables: BTreeSet<u32>,
    masked: BTreeMap<(u32, i16), Mask>,
    /// Sorted, each as often as it comes out.
    outputs: Vec<(u32, i16)>,
}

/// The server describes another result than the one that was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream describes other columns than the statement was taken to have")]
pub(in crate::protocols::postgres) struct Unproved;

/// The columns of a result, and what is done with each.
#[derive(Debug, Clone)]
pub(in crate::protocols::postgres) struct Columns(Vec<Option<Column>>);

#[derive(Debug, Clone, Copy)]
struct Column {
    mask: Mask,
    type_oid: u32,
    type_modifier: i32,
    format: Format,
}

impl Plan {
    pub(super) fn new(catalog: &Catalog, outputs: Vec<(u32, i16)>) -> Self {
        let (mut tables, mut masked) = (BTreeSet::new(), BTreeMap::new());
        for (_, relation) in catalog.relations() {
            tables.insert(relation.oid);
            for column in &relation.columns {
                if let Some(mask) = column.mask {
                    masked.insert((relation.oid, column.attribute), mask);
                }
            }
        }
        Self { tables, masked, outputs }
    }

    /// Holds the server's description against the proof.
    ///
    /// # Errors
    /// [`Unproved`]: nothing of the result may be shown.
    pub(in crate::protocols::postgres) fn columns(&self, described: &[backend::Column]) -> Result<Columns, Unproved> {
        if described.iter().any(|column| column.table != 0 && !self.tables.contains(&column.table)) {
            return Err(Unproved);
        }
        let column = |column: &backend::Column| {
            let &mask = self.masked.get(&(column.table, column.attribute))?;
            let backend::Column { type_oid, type_modifier, format, .. } = *column;
            Some(Column { mask, type_oid, type_modifier, format })
        };
        let origin = described.iter().map(|column| (column.table, column.attribute));
        let mut found: Vec<(u32, i16)> = origin.filter(|origin| self.masked.contains_key(origin)).collect();
        found.sort_unstable();
        if found != self.outputs {
            return Err(Unproved);
        }
        Ok(Columns(described.iter().map(column).collect()))
    }
}

impl Columns {
    /// Appends a `DataRow` with the masked values replaced.
    ///
    /// # Errors
    /// The row does not have these columns.
    pub(in crate::protocols::postgres) fn write(
        &self,
        key: &Key,
        body: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        let malformed = WireError::BadValue("row");
        let (count, mut rest) = body.split_first_chunk::<2>().ok_or(malformed.clone())?;
        if usize::from(u16::from_be_bytes(*count)) != self.0.len() {
            return Err(malformed);
        }
        let start = out.len();
        out.put_u8(b'D');
        out.put_u32(0);
        out.put_slice(count);
        for column in &self.0 {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(malformed.clone())?;
            let length = i32::from_be_bytes(*length);
            let (value, after) = match usize::try_from(length) {
                Ok(length) => after.split_at_checked(length).map(|(value, after)| (Some(value), after)),
                Err(_) => Some((None, after)),
            }
            .ok_or(malformed.clone())?;
            rest = after;
            match (column, value) {
                (None, Some(value)) => put(out, value),
                (Some(column), Some(value)) => match column.show(key, value) {
                    Some(shown) => put(out, &shown),
                    None => out.put_i32(-1),
                },
                (_, None) => out.put_i32(-1),
            }
        }
        let length = u32::try_from(out.len() - start - 1).map_err(|_| malformed.clone())?;
        out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
        if rest.is_empty() { Ok(()) } else { Err(malformed) }
    }
}

fn put(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX)); // never longer than the row it came in
    out.put_slice(value);
}

impl Column {
    /// What is shown in the place of a value; `None` is NULL.
    fn show(&self, key: &Key, value: &[u8]) -> Option<Vec<u8>> {
        match self.mask {
            Mask::Drop => None,
            Mask::Hash if self.type_oid == UUID => self.uuid(key, value),
            Mask::Hash if TEXTS.contains(&self.type_oid) => {
                let chars = self.room().min(HASH_CHARS);
                let digits = hex::encode(key.hash(value));
                (chars >= HASH_CHARS_MIN).then(|| digits.as_bytes()[..chars].to_vec())
            }
            Mask::Partial if TEXTS.contains(&self.type_oid) && self.room() >= 2 * REST_CHARS => Some(rest(value)),
            Mask::Hash | Mask::Partial => None,
        }
    }

    /// How many characters the type has room for.
    fn room(&self) -> usize {
        usize::try_from(self.type_modifier - TYPMOD_HEADER).unwrap_or(usize::MAX)
    }

    /// The same UUID has the same hash in both formats.
    fn uuid(&self, key: &Key, value: &[u8]) -> Option<Vec<u8>> {
        let value = match self.format {
            Format::Text => uuid::Uuid::try_parse_ascii(value).ok()?,
            Format::Binary => uuid::Uuid::from_slice(value).ok()?,
        };
        let (hash, _) = key.hash(value.as_bytes()).split_first_chunk::<16>().map(|(head, rest)| (*head, rest.len()))?;
        let shown = uuid::Builder::from_custom_bytes(hash).into_uuid();
        Some(match self.format {
            Format::Text => shown.to_string().into_bytes(),
            Format::Binary => shown.as_bytes().to_vec(),
        })
    }
}

/// Stars and the last characters; of a short text stars alone. How long the text is does not show.
fn rest(value: &[u8]) -> Vec<u8> {
    let stars = "*".repeat(REST_CHARS);
    let text = String::from_utf8_lossy(value);
    let chars = text.chars().count();
    let rest: String = text.chars().skip(chars.saturating_sub(REST_CHARS)).collect();
    let shown = if chars >= REST_OF_CHARS_MIN { format!("{stars}{rest}") } else { stars };
    shown.into_bytes()
}
