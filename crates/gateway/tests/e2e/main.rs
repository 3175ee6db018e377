//! End to end: real servers, real clients, and the gateway between them as its users run it.
//!
//! Each test builds a world of its own (a private PostgreSQL, a gateway process, people, an agent) and shares nothing with
//! the others, so that they run in any order and at the same time. Nothing waits by sleeping: every wait polls for what it
//! needs, within a bound. `cargo xtask tools` installs the clients; a missing client is a failure, not a skipped test.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: an unexpected answer ends the test")]

mod harness;

mod attackers;
mod attempts;
mod bad_input;
mod break_glass;
mod builtins;
mod callback;
mod channels;
mod cloud;
mod console;
mod copy;
mod crash;
mod credentials;
mod duties;
mod emulated;
mod escalation;
mod faithful;
mod feedback;
mod gate_change;
mod gate_people;
mod gate_targets;
mod github;
mod grpc;
mod helm;
mod hostile;
mod impact;
mod incidents;
mod kubernetes;
mod ledger;
mod looks;
mod mail;
mod main_job;
mod mask;
mod names;
mod oracle;
mod passkeys;
mod patterns;
mod personal;
mod pods;
mod policy;
mod protocol;
mod provisioning;
mod raw;
mod redaction;
mod relay;
mod secrets;
mod self_approval;
mod separation;
mod sessions;
mod sign_in;
mod signed_glass;
mod slack;
mod slack_linking;
mod slack_shown;
mod slack_socket;
mod smuggling;
mod stages;
mod stewardship;
mod streams;
mod teams;
mod teams_hostile;
mod teams_shown;
mod threats;
mod vault;
mod watch;
mod webhook;
mod workload;
