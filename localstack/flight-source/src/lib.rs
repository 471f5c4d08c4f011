//! A declared Arrow Flight source of Stellar contract data: Parquet files, a synthetic chain, or the
//! ledgers of a lake.
//!
//! A [`Dataset`] counts and streams the rows of a [`Window`] of ledgers; [`ParquetFiles`], [`Chain`] and
//! [`Lake`] are the kinds of it. A [`Server`] offers one dataset under the Flight contract:
//!
//! - `GetFlightInfo` with the path `contract, data, <start>, <end>` answers the exact number of rows, and the
//!   ledgers that the source vouches for, as JSON in `app_metadata`: `start_ledger`, `end_ledger`, and
//!   `latest_closed_at`, the close time of the latter. A window past the tip ends at the tip; one that begins
//!   before the first ledger begins there.
//! - `GetFlightInfo` with the path `contract, data` answers the same for all that there is, without
//!   endpoints.
//! - `DoGet` streams the rows of an endpoint's ticket.
#![forbid(unsafe_code)]

mod asset;
mod chain;
mod cli;
mod dataset;
mod error;
mod lake;
mod parquet_files;
mod schema;
mod server;
mod service;
mod ticket;
mod trouble;

pub use chain::{Chain, ChainSpec, PUBNET};
pub use cli::Cli;
pub use dataset::{Batches, Count, Dataset, Window};
pub use error::Error;
pub use lake::{Lake, LakeOptions};
pub use parquet_files::ParquetFiles;
pub use schema::contract_data_schema;
pub use server::{Server, ServerOptions};
pub use service::OpenStreams;
pub use trouble::Trouble;
