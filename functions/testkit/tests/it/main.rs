//! The test kit itself: each test fails when its subject breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod database;
mod flight;
mod port;
mod postgres;
mod process;
mod proxy;
mod rows;
mod s3;
