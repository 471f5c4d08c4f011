//! Shared test infrastructure of the loader, without any code under test.
//!
//! - [`rows`], [`schema`]: contract data made by hand, with valid strkeys, XDR and key hashes
//! - [`flight`]: a Flight server on a real socket that follows a script, including faults
//! - [`pyarrow`]: a Flight server that is not of this project
//! - [`network`]: a network of ledgers, as a Galexie lake and as a history archive, and its state after each ledger
//! - [`database`]: an empty database per test; [`postgres`]: a private PostgreSQL to stop and to kill
//! - [`s3`]: a bucket per test; [`secret`]: a secret per test
//! - [`lambda`]: invokes a function, and receives its answer
//! - [`certificates`]: authorities, and valid and invalid certificates
//! - [`process`]: the real binary in an empty environment, to run, to wait for and to kill
//! - [`port`]: addresses that refuse connections, or never answer
//! - [`proxy`]: proxies between the loader and PostgreSQL, S3 or the source, to cut connections at chosen points
//!
//! It knows nothing of `pipeline`: an oracle that shares code with its subject shares its mistakes. It panics instead
//! of returning errors: a test that cannot set up its environment has failed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests only: a failed set-up fails the test, and environment variables locate the servers"
)]

pub mod asset;
pub mod certificates;
pub mod database;
pub mod flight;
pub mod lambda;
pub mod network;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod pyarrow;
pub mod rows;
pub mod s3;
pub mod schema;
pub mod secret;
mod servers;
pub mod sides;
pub mod xdr;

pub use asset::Asset;
pub use certificates::{Authority, Certificate, Flaw};
pub use database::Database;
pub use flight::{Answer, Chain, Info, Request, Source, State, Step, WireSource};
pub use postgres::{PrivateServer, Stop};
pub use process::{Output, Program, Running};
pub use proxy::postgres::PostgresProxy;
pub use proxy::s3::S3Proxy;
pub use proxy::tcp::TcpProxy;
pub use pyarrow::Pyarrow;
pub use rows::Row;
pub use s3::Bucket;
pub use secret::Secret;
pub use sides::{Named, Ttl};
