//! The function as it is deployed: its real binary, handed events over a real Runtime API, beside a real PostgreSQL and a
//! real source.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod events;
mod support;
mod time;
