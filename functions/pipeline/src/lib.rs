//! Window, drain, stage, load, progress: changes of smart-contract state from Arrow Flight into PostgreSQL, every ledger
//! exactly once.
//!
//! The library knows no host: a command line, a function or a service calls [`run`] or [`replay`] with its [`Clients`].
#![forbid(unsafe_code)]

#[macro_use]
mod failpoint;

mod config;
mod clients;
mod window;
mod network;
mod dataset;
mod migrate;
mod ingest;
mod drain;
mod columns;
mod contract_key;
mod stage;
mod staging;
mod object;
mod load;
mod copy;
mod progress;
mod fold;
mod archive;
mod fingerprint;
mod maintain;
mod health;
mod observe;
mod assets;
mod status;
mod verify;
mod database;
mod secret;
mod retry;
mod error;

pub use assets::{KnownAsset, add_assets, list_assets};
pub use clients::Clients;
pub use config::{
    Config, DatabaseConfig, FlightConfig, LogConfig, LogFormat, SslMode, StagingConfig, StartLedger,
};
pub use dataset::Evidence;
pub use drain::SourceRange;
pub use error::{BoxError, Error, Result};
pub use ingest::{
    Event, Plan, PlannedReplay, ReplayOptions, Report, Stop, Watch, WindowReport, WindowStatus, plan, replay,
    run, run_until_stopped,
};
pub use maintain::{DroppedPartition, LeftOver, Maintenance, Postponed, maintain};
pub use migrate::{Migration, check, migrate};
pub use network::Network;
pub use observe::{begin_metrics, describe_metrics, observe_failure, observe_success};
pub use progress::RowSource;
pub use status::{
    Bin, Coverage, FailedWindow, Gap, LastWindow, Observer, Overview, Pulse, Reachable, Status, TableSize,
    Throughput, UnderWay, status, status_in_bins,
};
pub use verify::{Finding, Verification, verify};
pub use window::{LedgerWindow, WindowLimits};

/// Arms the failpoints named in `FAILPOINTS`, until what is returned is dropped.
#[cfg(feature = "failpoints")]
pub fn failpoints() -> impl Drop {
    fail::FailScenario::setup()
}
