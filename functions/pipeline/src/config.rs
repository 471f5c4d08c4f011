//! Configuration: all variables, read in one place.
//!
//! Values come from a lookup function, so that flags can override the environment and tests need none. No `Debug` shows
//! a secret.

use std::time::Duration;

use crate::aws::Aws;
use crate::contract::network::Network;
use crate::error::{Error, Result};

mod database;
mod dsn;
mod flight;
mod staging;
mod values;
pub use database::{DatabaseConfig, SslMode};
pub(crate) use database::{LoginSource, without_brackets};
pub(crate) use flight::ClientIdentity;
pub use flight::FlightConfig;
pub use staging::StagingConfig;
use values::{at_least_one, duration, parse};

/// The complete configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database to load into.
    pub database: DatabaseConfig,
    /// The source of the rows.
    pub flight: FlightConfig,
    /// The object store for staging and archive.
    pub staging: StagingConfig,
    /// `NETWORK` and `NETWORK_PASSPHRASE`.
    pub network: Network,
    /// `START_LEDGER`: where the schedule begins; the first run stores it.
    pub start_ledger: StartLedger,
    /// `WINDOW_LEDGERS`: the most ledgers of one window.
    pub window_ledgers: u32,
    /// `MAX_WINDOWS`: the most windows of one scheduled run.
    pub max_windows: Option<u32>,
    /// `BATCH_SIZE`: rows per buffered batch and Parquet row group, at most; both also end at 8 MiB.
    pub batch_rows: usize,
    /// `COMMIT_INTERVAL`: the longest a closed ledger waits for a fuller window.
    pub commit_interval: Duration,
    /// `MAX_RETRIES`: retries of a step after a transient error.
    pub max_retries: u32,
    /// `PARTITION_LEDGERS`, if set: stored by the first migrate, checked from then on.
    pub partition_ledgers: Option<u32>,
    /// `RETAIN_LEDGERS`, if set: maintenance keeps this many of the newest ledgers, and drops partitions below.
    pub retain_ledgers: Option<u32>,
    /// `RETAIN_DAYS`, if set: likewise, the ledgers that closed within this many days before the newest.
    pub retain_days: Option<u32>,
    /// `METRICS_NAMESPACE`: the CloudWatch namespace of the functions' metrics.
    pub metrics_namespace: String,
    /// `METRICS_PORT`: the port of `ingestctl serve`; 0 picks a free one.
    pub metrics_port: u16,
    /// `LOG_LEVEL` and `LOG_FORMAT`.
    pub log: LogConfig,
}

/// A buffered batch ends at this many bytes, 8 MiB, even with fewer than `BATCH_SIZE` rows.
pub(crate) const BATCH_BYTES: usize = 8 << 20;

/// The default of `PARTITION_LEDGERS`.
pub(crate) const DEFAULT_PARTITION_LEDGERS: u32 = 100_000;

/// Where the schedule begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLedger {
    /// At the first ledger the source has.
    First,
    /// At the source's latest ledger at the time of the first scheduled run.
    Latest,
    /// At this ledger.
    Ledger(u32),
    /// With the state at the newest checkpoint that the source has, and then at the ledger after it.
    Snapshot,
}

/// How the host logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_LEVEL`: a level, or directives such as `info,pipeline=debug`.
    pub level: String,
    /// `LOG_FORMAT`: `None` means text on a terminal and JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Config {
    /// Reads the process environment.
    ///
    /// # Errors
    /// As [`from_lookup`](Self::from_lookup).
    pub fn from_env() -> Result<Self> {
        Self::with_overrides(&[])
    }

    /// Reads the process environment; `overrides` (pairs of variable and value) take precedence.
    ///
    /// # Errors
    /// As [`from_lookup`](Self::from_lookup).
    pub fn with_overrides(overrides: &[(&str, String)]) -> Result<Self> {
        Self::from_lookup(|name| {
            let overridden = overrides.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
            #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
            overridden.or_else(|| std::env::var(name).ok())
        })
    }

    /// Reads variables through `lookup`. An empty value counts as unset.
    ///
    /// # Errors
    /// [`Error::Config`], naming the variable whose value does not parse or is not allowed.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let aws = Aws::from_lookup(&get);
        let network = get("NETWORK").unwrap_or_else(|| "pubnet".to_owned());
        Ok(Config {
            database: DatabaseConfig::from_lookup(&get, &aws)?,
            flight: flight::from_lookup(&get, &aws)?,
            staging: staging::from_lookup(&get, &aws)?,
            network: Network::new(&network, get("NETWORK_PASSPHRASE").as_deref())?,
            start_ledger: start_ledger(get("START_LEDGER"))?,
            window_ledgers: at_least_one(&get, "WINDOW_LEDGERS")?.unwrap_or(64),
            max_windows: at_least_one(&get, "MAX_WINDOWS")?,
            batch_rows: at_least_one::<usize>(&get, "BATCH_SIZE")?.unwrap_or(65_536),
            commit_interval: duration(&get, "COMMIT_INTERVAL")?.unwrap_or(Duration::from_secs(5)),
            max_retries: parse(&get, "MAX_RETRIES", "a whole number")?.unwrap_or(3),
            partition_ledgers: at_least_one(&get, "PARTITION_LEDGERS")?,
            retain_ledgers: at_least_one(&get, "RETAIN_LEDGERS")?,
            retain_days: at_least_one(&get, "RETAIN_DAYS")?,
            metrics_namespace: get("METRICS_NAMESPACE").unwrap_or_else(|| "ContractDataLoader".to_owned()),
            metrics_port: parse(&get, "METRICS_PORT", "a port from 0 to 65535")?.unwrap_or(9090),
            log: log(&get)?,
        })
    }
}

/// `START_LEDGER`.
fn start_ledger(value: Option<String>) -> Result<StartLedger> {
    match value.as_deref().map(str::trim) {
        None | Some("first") => Ok(StartLedger::First),
        Some("latest") => Ok(StartLedger::Latest),
        Some("snapshot") => Ok(StartLedger::Snapshot),
        Some(number) => number.parse().map(StartLedger::Ledger).map_err(|_| {
            Error::config(
                "START_LEDGER",
                format!("{number:?} is neither first, latest, snapshot nor a ledger number"),
            )
        }),
    }
}

/// `LOG_LEVEL` and `LOG_FORMAT`.
fn log(get: &impl Fn(&str) -> Option<String>) -> Result<LogConfig> {
    let format = match get("LOG_FORMAT").as_deref() {
        None => None,
        Some("text") => Some(LogFormat::Text),
        Some("json") => Some(LogFormat::Json),
        Some(other) => {
            return Err(Error::config("LOG_FORMAT", format!("{other:?} is neither text nor json")));
        }
    };
    Ok(LogConfig { level: get("LOG_LEVEL").unwrap_or_else(|| "info".to_owned()), format })
}

#[cfg(test)]
mod tests;
