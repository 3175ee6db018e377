//! The API as its callers meet it, one request at a time, over the real store, policies and resolve function.

mod access;
mod operation;
mod read;
mod signed;
mod votes;
