//! The command line as an operator uses it: the real binary against a real PostgreSQL, a real object store and a
//! scripted source. After every fault, every ledger is there exactly once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests: what cannot be set up fails the test, and a seed is told"
)]

mod support;
mod oracle;

mod archive;
mod bad_data;
mod bad_objects;
mod cloud;
mod concurrency;
mod configuration;
mod crash;
mod database;
mod doubt;
mod flags;
mod force;
mod help;
mod http;
mod json;
mod left_overs;
mod lengths;
mod lock_order;
#[cfg(target_os = "linux")]
mod memory;
mod object_store;
mod restart;
mod restore;
mod retention;
mod retention_beside;
mod roles;
mod s3;
mod schedule;
mod secrets;
mod serve;
mod serve_end;
mod serve_page;
mod serve_trouble;
mod silence;
mod snapshot;
mod source;
mod stolen_login;
mod store_trouble;
mod tls;
mod trouble;
mod unread;
mod verify;
