//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};
use tracing::Level;

use crate::chain::{Chain, ChainSpec, PUBNET};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::lake::{Lake, LakeOptions};
use crate::parquet_files::ParquetFiles;
use crate::server::ServerOptions;

/// The heading of the options that all sources share.
const SERVER: &str = "Options of the server";

/// Serve Stellar contract data over Apache Arrow Flight.
///
/// The source is a declared one: GetFlightInfo for the path contract, data, START, END says which of these
/// ledgers it has, and exactly how many rows; DoGet streams them. The path contract, data says all that it has.
///
/// Once it is ready, it prints one line on standard output: listening on HOST:PORT. Logs go to standard
/// error.
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    override_usage = "flight-source [OPTIONS] --ledgers <URL>\n       flight-source [OPTIONS] <COMMAND>",
    after_help = "Examples:
  flight-source synthetic --ledgers 2000
  flight-source --ledgers s3://aws-public-blockchain/v1.1/stellar/ledgers/pubnet --anonymous --ledgers-region us-east-2
  flight-source --listen 127.0.0.1:0 parquet ./archive
  flight-source --token secret --endpoints 4 synthetic --seed 8
See also: flight-source synthetic --help, flight-source parquet --help"
)]
pub struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8816"
    )]
    listen: SocketAddr,
    /// Rows of a batch, at most; a batch ends at 2 MiB in any case
    #[arg(long, global = true, help_heading = SERVER, value_name = "N", default_value_t = 4096,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    batch_rows: usize,
    /// Endpoints of a window: consecutive slices of its ledgers, in order
    #[arg(long, global = true, help_heading = SERVER, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    endpoints: u32,
    /// Want this bearer token with every request
    #[arg(long, global = true, help_heading = SERVER)]
    token: Option<String>,
    /// How much to log: error, warn, info, debug or trace
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: Level,
    #[command(flatten)]
    lake: LakeArguments,
    #[command(subcommand)]
    source: Option<Source>,
}

/// The heading of the options of a lake.
const LAKE: &str = "Ledgers of a lake";

#[derive(Debug, Args)]
struct LakeArguments {
    /// Serve the ledgers of a lake that Galexie wrote: a directory, file:///path or s3://bucket/prefix
    ///
    /// Every ledger is read as it is asked for, and held against the hashes of its header. The login for a bucket is
    /// that of the environment, AWS_ACCESS_KEY_ID and so on.
    #[arg(long, help_heading = LAKE, value_name = "URL", required = true)]
    ledgers: Option<String>,
    /// The region of the bucket [default: AWS_REGION, or us-east-1]
    #[arg(long, help_heading = LAKE, value_name = "REGION", requires = "ledgers")]
    ledgers_region: Option<String>,
    /// Where the S3 API is, if not at AWS [default: AWS_ENDPOINT_URL]
    #[arg(long, help_heading = LAKE, value_name = "URL", requires = "ledgers")]
    ledgers_endpoint: Option<String>,
    /// Sign no request: the bucket is public
    #[arg(long, help_heading = LAKE, requires = "ledgers")]
    anonymous: bool,
    /// The network of the ledgers [default: the one of the lake's .config.json, or the public network]
    #[arg(long, help_heading = LAKE, value_name = "TEXT", requires = "ledgers")]
    network_passphrase: Option<String>,
    /// What rows may take in memory that were counted and are about to be asked for, in MiB
    #[arg(long, help_heading = LAKE, value_name = "MIB", default_value_t = 256, requires = "ledgers",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    ledgers_cache: usize,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// Serve Parquet files: their rows as they are, in the order of the files
    ///
    /// The columns are served as the files have them, and must be the same in all of them. The source vouches
    /// for the ledgers from the lowest to the highest ledger_sequence in them.
    #[command(after_help = "Examples:
  flight-source parquet pubnet-51340657-51340749.parquet
  flight-source parquet ./2024 ./2025 last.parquet")]
    Parquet {
        /// Files, and directories with *.parquet files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Serve a synthetic chain: the same seed and numbers give the same rows, in whatever windows
    ///
    /// 300 contracts, twelve of them Stellar asset contracts with thousands of holders; values up to 60 KiB;
    /// entries that change many times, are deleted and come back; ledgers without rows and ledgers with very
    /// many.
    #[command(after_help = "Examples:
  a chain of 40,000 ledgers, about a million rows:
    flight-source synthetic
  the same rows with the same times, whenever it starts:
    flight-source synthetic --seed 7 --tip-closed-at 2026-01-01T00:00:00Z
  a chain that grows as the public network does:
    flight-source synthetic --ledgers 1000 --tip-every 5s
  a chain of which half is still to come, in a hurry:
    flight-source synthetic --first-ledger 1000 --ledgers 2000 --tip 1999 --tip-every 100ms")]
    Synthetic(Synthetic),
}

#[derive(Debug, Args)]
struct Synthetic {
    /// Another seed is another chain
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The first ledger that there is
    #[arg(long, value_name = "LEDGER", default_value_t = 50_000_000)]
    first_ledger: u32,
    /// How many ledgers
    #[arg(long, value_name = "N", default_value_t = 40_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    ledgers: u32,
    /// The mean number of rows of a ledger
    #[arg(long, value_name = "N", default_value_t = 25,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rows_per_ledger: u32,
    /// When the tip closed with which the chain starts: now, or a time like 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = time)]
    tip_closed_at: DateTime<Utc>,
    /// Seconds between the close times of two ledgers
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    ledger_seconds: u32,
    /// Let the tip move on by one ledger each time: 5s, 100ms; without --tip, the chain grows for ever
    #[arg(long, value_name = "DURATION")]
    tip_every: Option<humantime::Duration>,
    /// The tip at the start; it moves up to the last of the ledgers [default: the last ledger]
    #[arg(long, value_name = "LEDGER")]
    tip: Option<u32>,
    /// The network, which decides the contract ids of assets
    #[arg(long, value_name = "TEXT", default_value = PUBNET)]
    network_passphrase: String,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    match text {
        "now" => Ok(Utc::now()),
        _ => DateTime::parse_from_rfc3339(text)
            .map(Into::into)
            .map_err(|error| format!("{error}; it is now, or a time like 2026-01-01T00:00:00Z")),
    }
}

impl Cli {
    /// How much to log.
    pub fn log_level(&self) -> Level {
        self.log_level
    }

    /// How to serve.
    pub fn server_options(&self) -> ServerOptions {
        ServerOptions {
            listen: self.listen,
            batch_rows: self.batch_rows,
            endpoints: self.endpoints,
            token: self.token.clone(),
        }
    }

    /// What to serve: opens the files or the lake, or makes the chain.
    ///
    /// # Errors
    /// Whatever keeps it from being served.
    pub async fn dataset(&self) -> Result<Arc<dyn Dataset>, Error> {
        match (&self.source, self.lake.options()) {
            (Some(_), Some(_)) => {
                Err(Error::Options("--ledgers is a source of its own: leave out the other one".to_owned()))
            }
            (Some(_), None) if self.lake.has_options() => Err(Error::Options(
                "options of --ledgers are given with another source: its own come after its name".to_owned(),
            )),
            (Some(Source::Parquet { paths }), None) => Ok(Arc::new(ParquetFiles::open(paths)?)),
            (Some(Source::Synthetic(chain)), None) => Ok(Arc::new(Chain::new(&chain.spec())?)),
            (None, Some(lake)) => Ok(Arc::new(Lake::open(&lake).await?)),
            (None, None) => Err(Error::Options("there is no source: see --help".to_owned())),
        }
    }
}

impl LakeArguments {
    /// Whether anything is said of a lake beside where it is.
    fn has_options(&self) -> bool {
        let Self {
            ledgers: _,
            ledgers_region,
            ledgers_endpoint,
            anonymous,
            network_passphrase,
            ledgers_cache: _,
        } = self;
        ledgers_region.is_some() || ledgers_endpoint.is_some() || *anonymous || network_passphrase.is_some()
    }

    fn options(&self) -> Option<LakeOptions> {
        Some(LakeOptions {
            url: self.ledgers.clone()?,
            region: self.ledgers_region.clone(),
            endpoint: self.ledgers_endpoint.clone(),
            anonymous: self.anonymous,
            network_passphrase: self.network_passphrase.clone(),
            cache_bytes: self.ledgers_cache << 20,
        })
    }
}

impl Synthetic {
    fn spec(&self) -> ChainSpec {
        ChainSpec {
            seed: self.seed,
            first_ledger: self.first_ledger,
            ledgers: self.ledgers,
            rows_per_ledger: self.rows_per_ledger,
            tip: self.tip,
            tip_every: self.tip_every.map(Into::into),
            tip_closed_at: self.tip_closed_at,
            ledger_seconds: self.ledger_seconds,
            network_passphrase: self.network_passphrase.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_and_after_the_source() {
        let cli =
            Cli::parse_from(["flight-source", "--endpoints", "3", "synthetic", "--listen", "127.0.0.1:0"]);
        let options = cli.server_options();
        assert_eq!((options.endpoints, options.listen.port(), options.token), (3, 0, None));
    }

    #[test]
    fn times_are_now_or_rfc_3339() {
        assert!((Utc::now() - time("now").unwrap()).num_seconds() < 5);
        assert_eq!(time("2026-01-01T01:00:00+01:00").unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert!(time("yesterday").unwrap_err().contains("like 2026-01-01T00:00:00Z"));
    }
}
