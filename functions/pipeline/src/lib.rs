//! Loads changes of smart-contract state from Arrow Flight into PostgreSQL, every ledger exactly once.
//!
//! ```text
//! run        window    the next closed range of ledgers that is not loaded      run::planner
//! source     drain     that range from Flight, proven complete                  source::drain
//! store      stage     as one sealed Parquet object that describes itself       store::stage
//! database   load      COPY BINARY in one transaction with ...                  database::load
//!            progress  ... the row that says the window is there                database::progress
//!            fold      the current state follows                                database::fold
//! store      archive   the object joins the dataset of completed windows        store::archive
//! ```
//!
//! A schedule calls [`run()`], an operator calls [`replay`]; `run::window` takes one window through all steps. The
//! library depends on no host: a command line, a function or a service calls it with its [`Clients`].
//!
//! Each room depends only on those declared above it in this file.
#![forbid(unsafe_code)]

#[macro_use]
mod failpoint;

mod error;
mod metrics;
mod retry;
mod aws;
mod secret;
pub mod contract;
mod spill;
mod config;
mod source;
mod store;
mod database;
mod report;
mod run;
mod operate;

pub use crate::metrics::{begin_metrics, count_failure, describe_metrics, record_success};
pub use config::{
    Config, DatabaseConfig, FlightConfig, LogConfig, LogFormat, SslMode, StagingConfig, StartLedger,
};
pub use contract::evidence::{Evidence, RowSource};
pub use contract::network::{Network, PUBNET};
pub use contract::tables::Table;
pub use contract::window::{LedgerWindow, WindowLimits};
pub use contract::wire::SourceRange;
pub use database::{Migration, check, migrate};
pub use error::{BoxError, Error, Result, chain};
pub use operate::{
    Adoption, Base, Bin, CheckpointVerification, Coverage, Difference, DroppedPartition, FailedWindow,
    Finding, KnownAsset, LastWindow, LeftOver, Maintenance, Observer, Overview, Postponed, Pulse, Reachable,
    Status, Stray, StrayKind, TableSize, Throughput, UnderWay, Verification, add_assets, adopt_archive,
    list_assets, maintain, status, status_in_bins, verify, verify_checkpoint,
};
pub use report::{Event, Report, Watch, WindowReport, WindowStatus};
pub use run::{
    Clients, Plan, PlannedReplay, ReplayKind, ReplayOptions, SnapshotOptions, SnapshotReport, Stop, plan,
    replay, run, run_until_stopped, snapshot,
};

/// Arms the failpoints named in `FAILPOINTS`, until the returned guard is dropped. Without the feature `failpoints`, which only
/// tests have, it does nothing.
pub fn failpoints() -> impl Sized {
    #[cfg(feature = "failpoints")]
    return fail::FailScenario::setup();
}
