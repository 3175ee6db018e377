//! Masking: a read may run, and some of its columns are shown only as a hash, a rest, or not at all.
//!
//! A mask is worth nothing if the value gets out another way: through a condition, an expression, a cast, a join, an
//! aggregate, a whole row, an order. So a statement that reaches a masked column runs only if it is *proved* from its tree
//! ([`prove`]) that the column is used nowhere but as a plain output, with the columns of every relation as the catalog
//! of the executing session has them ([`catalog`]). The server's own `RowDescription` must then tell the same columns by
//! table and number, or nothing is shown ([`apply`]). What cannot be proved is refused with `mask_impossible`.
//!
//! Why so, and what it costs: `docs/adr/0005-masks-are-proved-or-refused.md`.

mod apply;
mod catalog;
mod check;
mod key;
mod prove;
#[cfg(test)]
mod tests;

pub(super) use apply::{Columns, Plan, Unproved};
pub(super) use catalog::{Catalog, QUESTION, parameter};
pub(super) use check::{Judged, judge, names};
pub(super) use key::Key;
pub use key::KeyError;
