//! What PostgreSQL brings along, reviewed: functions, operators, types, settings, catalogs. Everything else is unknown.

pub(super) mod catalogs;
pub(super) mod functions;
pub(super) mod operators;
pub(super) mod settings;
pub(super) mod types;
