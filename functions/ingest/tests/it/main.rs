//! The function as deployed: its real binary receives events over a real Runtime API, with a real PostgreSQL and a real
//! source.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod events;
mod support;
mod time;
