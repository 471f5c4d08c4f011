//! Configuration: every variable, read in one place.
//!
//! Values come through a lookup, so that flags may override the environment and tests need no environment at all. Nothing
//! here has a `Debug` that shows a secret.

use std::time::Duration;

use crate::aws::Aws;
use crate::contract::network::Network;
use crate::error::{Error, Result};

mod database;
mod flight;
mod staging;
mod values;
pub(crate) use database::LoginSource;
pub use database::{DatabaseConfig, SslMode};
pub(crate) use flight::ClientIdentity;
pub use flight::FlightConfig;
pub use staging::StagingConfig;
use values::{at_least_one, duration, parse};

/// Everything the loader is told. Passed as it is, field by field, to those who need it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to load to.
    pub database: DatabaseConfig,
    /// Where the rows come from.
    pub flight: FlightConfig,
    /// Where they are staged and archived.
    pub staging: StagingConfig,
    /// `NETWORK` and `NETWORK_PASSPHRASE`.
    pub network: Network,
    /// `START_LEDGER`: where the schedule begins, once.
    pub start_ledger: StartLedger,
    /// `WINDOW_LEDGERS`: the most ledgers of one window.
    pub window_ledgers: u32,
    /// `MAX_WINDOWS`: the most windows of one scheduled run.
    pub max_windows: Option<u32>,
    /// `BATCH_SIZE`: rows per buffered batch and Parquet row group, which also end at 8 MiB.
    pub batch_rows: usize,
    /// `COMMIT_INTERVAL`: the longest a closed ledger waits for a fuller window.
    pub commit_interval: Duration,
    /// `MAX_RETRIES`: how often a step is tried again after trouble that may pass.
    pub max_retries: u32,
    /// `PARTITION_LEDGERS`, if set: stored by the first migrate, checked ever after.
    pub partition_ledgers: Option<u32>,
    /// `RETAIN_LEDGERS`, if set: maintenance drops partitions of older ledgers than so many.
    pub retain_ledgers: Option<u32>,
    /// `RETAIN_DAYS`, if set: likewise, of ledgers that closed more than so many days before the newest.
    pub retain_days: Option<u32>,
    /// `METRICS_NAMESPACE`: where the metrics of the functions stand in CloudWatch.
    pub metrics_namespace: String,
    /// `METRICS_PORT`: where `ingestctl serve` answers; 0 is any free port.
    pub metrics_port: u16,
    /// `LOG_LEVEL` and `LOG_FORMAT`.
    pub log: LogConfig,
}

/// A buffered batch ends at so many bytes even when `BATCH_SIZE` rows are not reached: 8 MiB.
pub(crate) const BATCH_BYTES: usize = 8 << 20;

/// `PARTITION_LEDGERS` where nobody says otherwise.
pub(crate) const DEFAULT_PARTITION_LEDGERS: u32 = 100_000;

/// Where the schedule begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLedger {
    /// At the first ledger the source has.
    First,
    /// At the latest ledger of the source when the first scheduled run asks.
    Latest,
    /// At this ledger.
    Ledger(u32),
}

/// How the host logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_LEVEL`: a level, or directives such as `info,pipeline=debug`.
    pub level: String,
    /// `LOG_FORMAT`: `None` means text on a terminal and JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// A log line's shape.
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

    /// Reads the process environment, in which `overrides` (pairs of variable and value) win.
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

    /// Reads variables through `lookup`. An empty value counts as not set.
    ///
    /// # Errors
    /// [`Error::Config`], naming the variable whose value does not parse or must not be.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let aws = Aws::from_lookup(&get);
        let network = get("NETWORK").unwrap_or_else(|| "pubnet".to_owned());
        Ok(Config {
            database: DatabaseConfig::from_lookup(&get, &aws)?,
            flight: flight::from_lookup(&get, &aws)?,
            staging: staging::from_lookup(&get)?,
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
        Some(number) => number.parse().map(StartLedger::Ledger).map_err(|_| {
            Error::config("START_LEDGER", format!("{number:?} is neither first, latest nor a ledger number"))
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
