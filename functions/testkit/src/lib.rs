//! What the tests of the loader stand on, and nothing that they test.
//!
//! - [`rows`], [`schema`]: contract data made by hand, with valid strkeys, XDR and key hashes
//! - [`flight`]: a Flight server on a real socket that does exactly what a script says, faults included
//! - [`database`]: an empty database per test; [`postgres`]: a PostgreSQL of one's own to stop and to kill
//! - [`s3`]: a bucket per test; [`secret`]: a secret per test
//! - [`lambda`]: what invokes a function, and hears its answer
//! - [`certificates`]: authorities, and certificates that are good or bad
//! - [`process`]: the real binary, hermetic, to run, to wait for and to kill
//! - [`port`]: addresses where nobody listens, or where nobody answers
//! - [`proxy`]: between the loader and PostgreSQL, S3 or the source, to cut where it hurts
//!
//! It knows nothing of `pipeline`: an oracle that shares code with its subject shares its mistakes.
//! It panics where a product returns errors: a test that cannot set up its world has failed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests only: what cannot be set up fails the test, and the environment says where the servers are"
)]

pub mod asset;
pub mod certificates;
pub mod database;
pub mod flight;
pub mod lambda;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod s3;
pub mod schema;
pub mod secret;
mod servers;
pub mod xdr;

pub use asset::Asset;
pub use certificates::{Authority, Certificate, Flaw};
pub use database::Database;
pub use flight::{Answer, Chain, Info, Request, Source, Step, WireSource};
pub use postgres::{PrivateServer, Stop};
pub use process::{Output, Program, Running};
pub use proxy::postgres::PostgresProxy;
pub use proxy::s3::S3Proxy;
pub use proxy::tcp::TcpProxy;
pub use rows::Row;
pub use s3::Bucket;
pub use secret::Secret;
