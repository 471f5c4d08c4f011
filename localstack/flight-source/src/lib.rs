//! An Arrow Flight server of Stellar contract data: Parquet files, a synthetic chain, or the ledgers of a lake; and the state at
//! the checkpoints of a history archive.
//!
//! A [`Dataset`] counts and streams the rows of a [`LedgerWindow`](pipeline::LedgerWindow), by [table](pipeline::Table).
//! There are three: [`ParquetFiles`], [`Chain`] and [`Lake`]. A [`Server`] serves one dataset, an [`Archive`], or both:
//!
//! - `GetFlightInfo` for the path `contract, <table>, <start>, <end>` returns the exact number of rows, and as JSON in
//!   `app_metadata` the ledgers they are from: `start_ledger`, `end_ledger`, `latest_closed_at` and `latest_hash`, the
//!   close time and the hash of `end_ledger`; and `tables`, those that the dataset has. A window that reaches beyond the
//!   tip ends at the tip, one that starts before the first ledger starts there.
//! - `GetFlightInfo` for the path `contract, <table>` returns the same for the whole dataset, without endpoints.
//! - `GetFlightInfo` for the path `contract, state` returns which checkpoints the archive has, and for
//!   `contract, state, <ledger>` how many entries the state at one of them has, once it is proven.
//! - `DoGet` streams the rows of a ticket.
#![forbid(unsafe_code)]

mod archive;
mod asset;
mod chain;
mod cli;
mod clock;
mod columns;
mod dataset;
mod entry;
mod error;
mod fault;
mod lake;
mod location;
mod parquet_files;
mod server;
mod service;
mod sources;
mod ticket;

pub use archive::{Archive, ArchiveOptions};
pub use chain::{Chain, ChainSpec};
pub use cli::Cli;
pub use dataset::{Batches, Close, Count, Dataset};
pub use error::{Error, Result};
pub use lake::{Lake, LakeOptions};
pub use parquet_files::ParquetFiles;
pub use server::{Server, ServerOptions};
pub use service::OpenStreams;
pub use sources::Sources;
