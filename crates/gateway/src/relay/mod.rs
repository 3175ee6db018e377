//! Requests over HTTP on the line: captured, described by their target's dialect, held, and sent as they were approved.
//!
//! A target is reached at `/t/<target>/…`, or by a name of its own. [`head`] and [`headers`] say what of a request is taken
//! and what reaches the upstream; [`capture`] binds it; [`call`] walks it down the line; [`upstream`] sends it with the
//! gateway's [`credential`]; [`body`] sees that no client hears of an end that is not recorded; [`tenure`] ends what its requester may not go
//! on with. The dialects live with the protocols (`protocols/{http,kubernetes,aws}`). Specifications: RFC 9110, 9112, 9113, 7240, 9457.

mod access_key;
mod answer;
mod before;
mod body;
mod call;
mod capture;
mod content;
mod credential;
pub mod dialect;
mod grpc;
pub mod head;
mod headers;
mod idempotency;
pub mod json;
mod link;
mod location;
mod oauth;
mod outcome;
pub mod page;
mod rehearse;
mod serve;
mod subject;
mod tenure;
mod tunnel;
mod upstream;

pub use access_key::AccessKey;
pub use answer::{Problem, RETRY_SECONDS, problem, refusing};
pub use body::{Answering, Error};
pub use serve::{Dialects, Relay};
pub use upstream::{TargetError, check};
