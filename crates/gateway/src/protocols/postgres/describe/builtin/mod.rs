//! What PostgreSQL brings along, reviewed: functions, operators, types, settings, catalogs. Everything else is unknown.

pub(in super::super) mod catalogs;
pub(super) mod functions;
pub(super) mod operators;
pub(in super::super) mod settings;
pub(super) mod types;
