//! Adapters of the store: SQLite for one gateway.

pub mod sqlite;
