//! The library against a real PostgreSQL, a real Flight server on a real socket, and real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and a seed is told"
)]

mod support;

mod doubt;
mod drain;
mod entry_change;
mod shapes;
mod lives;
mod network;
mod fold;
mod force;
mod hubble;
mod failures;
mod releases;
mod restore;
mod retention;
mod secret;
mod stock;
mod tables;
mod tokens;
mod queries;
mod real_data;
mod real_lake;
mod scval;
mod snapshot;
mod storage;
mod values;
mod wire;
