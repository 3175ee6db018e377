//! The console against a real store, ledger and policies, by requests to its router.

mod decide;
mod hostile;
mod pages;
mod policies;
mod rings;
mod sign_in;
mod world;
