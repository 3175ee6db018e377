//! Requests over HTTP on the line: captured, described by their target's dialect, held, and sent as they were approved.
//!
//! The dialects live with the protocols (`protocols/{http,kubernetes,aws}`); whatever they have in common is here.

pub mod dialect;
pub mod head;
