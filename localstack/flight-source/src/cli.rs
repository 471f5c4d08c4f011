//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args, Parser, Subcommand};
use pipeline::PUBNET;
use pipeline::contract::wire::PORT;
use tracing::Level;

use crate::archive::{Archive, ArchiveOptions};
use crate::chain::{Chain, ChainSpec};
use crate::clock;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::lake::{Lake, LakeOptions};
use crate::parquet_files::ParquetFiles;
use crate::server::ServerOptions;
use crate::sources::Sources;

/// Heading of the options for every source.
const SERVER: &str = "Server options";

/// Serve Stellar contract data over Apache Arrow Flight.
///
/// GetFlightInfo for the path contract, data, START, END says which of these ledgers are available and exactly how many
/// rows they have; DoGet streams the rows. The path contract, data says which ledgers are available in all. The path contract,
/// state says which checkpoints are available, and contract, state, LEDGER how many entries the state at one of them has.
///
/// When ready, it prints one line to standard output: listening on HOST:PORT. Logs go to standard error.
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    override_usage = "flight-source [OPTIONS] [--ledgers <URL>] [--archive <URL>]\n       flight-source [OPTIONS] <COMMAND>",
    group = ArgGroup::new("stores").args(["ledgers", "archive"]).multiple(true).required(true),
    after_help = "Examples:
  flight-source synthetic --ledgers 2000
  flight-source --ledgers s3://aws-public-blockchain/v1.1/stellar/ledgers/pubnet --anonymous --ledgers-region us-east-2
  flight-source --archive https://history.stellar.org/prd/core-live/core_live_001
  flight-source --listen 127.0.0.1:0 parquet ./archive
  flight-source --token secret --endpoints 4 synthetic --seed 8
See also: flight-source synthetic --help, flight-source parquet --help"
)]
pub struct Cli {
    /// Address to listen on; port 0 takes a free one
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        value_name = "HOST:PORT",
        default_value_t = SocketAddr::from(([127, 0, 0, 1], PORT))
    )]
    listen: SocketAddr,
    /// Maximum rows per batch; a batch also ends at 2 MiB
    #[arg(long, global = true, help_heading = SERVER, value_name = "N", default_value_t = 4096,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    batch_rows: usize,
    /// Maximum endpoints per window: consecutive slices of its ledgers, in order
    #[arg(long, global = true, help_heading = SERVER, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    endpoints: u32,
    /// Require this bearer token with every request
    #[arg(long, global = true, help_heading = SERVER)]
    token: Option<String>,
    /// Log level: error, warn, info, debug or trace
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: Level,
    /// Keep the start of a synthetic chain in this file, so that a restart goes on with the same chain
    ///
    /// The first start writes the time; later ones read it. The other options must stay the same. Other sources do not use it.
    #[arg(long, global = true, help_heading = SERVER, value_name = "FILE")]
    clock: Option<PathBuf>,
    #[command(flatten)]
    stores: StoreArguments,
    #[command(subcommand)]
    source: Option<Source>,
}

/// Heading of the options for a lake and an archive.
const STORES: &str = "Options of a lake and an archive";

#[derive(Debug, Args)]
struct StoreArguments {
    /// Serve the ledgers of a Galexie lake: a directory, file:///path or s3://bucket/prefix
    ///
    /// Ledgers are read on demand and checked against the hashes in their headers. Credentials for a bucket come from the
    /// environment: AWS_ACCESS_KEY_ID and so on.
    #[arg(long, help_heading = STORES, value_name = "URL")]
    ledgers: Option<String>,
    /// Serve the state at the checkpoints of a history archive: a directory, file:///path, s3://bucket/prefix or https://…
    ///
    /// A state is read on demand and proven by the hash in the header of its ledger, which must be the one in the lake where
    /// both are served. That takes minutes for a large network, and room for temporary files.
    #[arg(long, help_heading = STORES, value_name = "URL")]
    archive: Option<String>,
    /// Directory for the temporary files of a state [default: TMPDIR, or /tmp]
    #[arg(long, help_heading = STORES, value_name = "DIR", requires = "archive")]
    archive_temp: Option<PathBuf>,
    /// Region of the buckets [default: AWS_REGION, or us-east-1]
    #[arg(long, help_heading = STORES, value_name = "REGION", requires = "stores")]
    ledgers_region: Option<String>,
    /// URL of the S3 API, if it is not AWS [default: AWS_ENDPOINT_URL]
    #[arg(long, help_heading = STORES, value_name = "URL", requires = "stores")]
    ledgers_endpoint: Option<String>,
    /// Do not sign requests: the buckets are public
    #[arg(long, help_heading = STORES, requires = "stores")]
    anonymous: bool,
    /// Network of lake and archive [default: the one in the lake's .config.json, or the public network; without a lake, the one
    /// that the archive names]
    #[arg(long, help_heading = STORES, value_name = "TEXT", requires = "stores")]
    network_passphrase: Option<String>,
    /// Memory for rows that were counted and not yet requested, in MiB
    #[arg(long, help_heading = STORES, value_name = "MIB", default_value_t = 256, requires = "ledgers",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    ledgers_cache: usize,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// Serve Parquet files: their rows unchanged, in the order of the files
    ///
    /// All files must have the same columns. The available ledgers are those from the lowest to the highest
    /// ledger_sequence in the files.
    #[command(after_help = "Examples:
  flight-source parquet pubnet-51340657-51340749.parquet
  flight-source parquet ./2024 ./2025 last.parquet")]
    Parquet {
        /// Files, or directories with *.parquet files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Serve a synthetic chain: the same options give the same rows, however the ledgers are divided into windows
    ///
    /// 300 contracts, twelve of them Stellar asset contracts with thousands of holders; values up to 60 KiB; entries that
    /// change often, are deleted and are created again; ledgers without rows, and ledgers with very many.
    #[command(after_help = "Examples:
  a chain of 40,000 ledgers, about a million rows:
    flight-source synthetic
  the same rows with the same close times at every start:
    flight-source synthetic --seed 7 --tip-closed-at 2026-01-01T00:00:00Z
  a chain that grows like the public network, and is the same after a restart:
    flight-source --clock ./clock synthetic --ledgers 1000 --tip-every 5s
  a chain that starts at half its length and grows fast:
    flight-source synthetic --first-ledger 1000 --ledgers 2000 --tip 1999 --tip-every 100ms")]
    Synthetic(Synthetic),
}

#[derive(Debug, Args)]
struct Synthetic {
    /// A different seed gives a different chain
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// First ledger
    #[arg(long, value_name = "LEDGER", default_value_t = 50_000_000)]
    first_ledger: u32,
    /// Number of ledgers
    #[arg(long, value_name = "N", default_value_t = 40_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    ledgers: u32,
    /// Mean number of rows per ledger
    #[arg(long, value_name = "N", default_value_t = 25,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rows_per_ledger: u32,
    /// Close time of the tip at the start: now, which is the start itself, or a time like 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = time)]
    tip_closed_at: Time,
    /// Seconds between the close times of consecutive ledgers
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    ledger_seconds: u32,
    /// Advance the tip by one ledger at this interval, such as 5s or 100ms; without --tip, the chain grows without end
    #[arg(long, value_name = "DURATION")]
    tip_every: Option<humantime::Duration>,
    /// Tip at the start; it advances no further than the last ledger [default: the last ledger]
    #[arg(long, value_name = "LEDGER")]
    tip: Option<u32>,
    /// Network, which determines the contract ids of assets
    #[arg(long, value_name = "TEXT", default_value = PUBNET)]
    network_passphrase: String,
}

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    /// The chain's start.
    Now,
    At(DateTime<Utc>),
}

fn time(text: &str) -> Result<Time, String> {
    match text {
        "now" => Ok(Time::Now),
        _ => DateTime::parse_from_rfc3339(text)
            .map(|time| Time::At(time.into()))
            .map_err(|error| format!("{error}; use now, or a time like 2026-01-01T00:00:00Z")),
    }
}

impl Cli {
    /// The log level.
    pub fn log_level(&self) -> Level {
        self.log_level
    }

    /// The options of the server.
    pub fn server_options(&self) -> ServerOptions {
        ServerOptions {
            listen: self.listen,
            batch_rows: self.batch_rows,
            endpoints: self.endpoints,
            token: self.token.clone(),
        }
    }

    /// What to serve: opens the files, the lake or the archive, or makes the chain.
    ///
    /// # Errors
    /// [`Error::Options`] for options that do not go together, and the errors of dataset and archive.
    pub async fn sources(&self) -> Result<Sources> {
        let stores = &self.stores;
        let dataset: Arc<dyn Dataset> = match &self.source {
            None => return stores.open().await,
            Some(_) if stores.ledgers.is_some() || stores.archive.is_some() => {
                return Err(Error::Options(
                    "--ledgers and --archive are themselves sources: leave out the other one".to_owned(),
                ));
            }
            Some(_) if stores.has_options() => {
                return Err(Error::Options(
                    "these options need --ledgers or --archive: options of another source come after its name"
                        .to_owned(),
                ));
            }
            Some(Source::Parquet { paths }) => Arc::new(ParquetFiles::open(paths)?),
            Some(Source::Synthetic(chain)) => {
                let started_at = self.clock.as_deref().map_or_else(|| Ok(Utc::now()), clock::started_at)?;
                Arc::new(Chain::new(&chain.spec(started_at))?)
            }
        };
        Ok(dataset.into())
    }
}

impl StoreArguments {
    /// Whether an option other than the addresses is given.
    fn has_options(&self) -> bool {
        let Self {
            ledgers: _,
            archive: _,
            archive_temp,
            ledgers_region,
            ledgers_endpoint,
            anonymous,
            network_passphrase,
            ledgers_cache: _,
        } = self;
        archive_temp.is_some()
            || ledgers_region.is_some()
            || ledgers_endpoint.is_some()
            || *anonymous
            || network_passphrase.is_some()
    }

    /// Opens the lake, the archive, or both.
    async fn open(&self) -> Result<Sources> {
        let mut sources = Sources::default();
        let mut network_passphrase = self.network_passphrase.clone();
        if let Some(url) = &self.ledgers {
            let options = LakeOptions {
                url: url.clone(),
                region: self.ledgers_region.clone(),
                endpoint: self.ledgers_endpoint.clone(),
                anonymous: self.anonymous,
                network_passphrase: network_passphrase.clone(),
                cache_bytes: self.ledgers_cache << 20,
            };
            let lake = Lake::open(&options).await?;
            network_passphrase = Some(lake.network_passphrase().to_owned());
            sources.ledgers = Some(Arc::new(lake));
        }
        if let Some(url) = &self.archive {
            let options = ArchiveOptions {
                url: url.clone(),
                region: self.ledgers_region.clone(),
                endpoint: self.ledgers_endpoint.clone(),
                anonymous: self.anonymous,
                network_passphrase,
                temporary: self.archive_temp.clone(),
                patience: None,
            };
            sources.state = Some(Arc::new(Archive::open(&options, sources.ledgers.clone()).await?));
        }
        match sources.ledgers.is_some() || sources.state.is_some() {
            true => Ok(sources),
            false => Err(Error::Options("no source is given: see --help".to_owned())),
        }
    }
}

impl Synthetic {
    fn spec(&self, started_at: DateTime<Utc>) -> ChainSpec {
        ChainSpec {
            started_at,
            seed: self.seed,
            first_ledger: self.first_ledger,
            ledgers: self.ledgers,
            rows_per_ledger: self.rows_per_ledger,
            tip: self.tip,
            tip_every: self.tip_every.map(Into::into),
            tip_closed_at: match self.tip_closed_at {
                Time::Now => started_at,
                Time::At(time) => time,
            },
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
    fn options_may_come_before_and_after_the_source() {
        let cli =
            Cli::parse_from(["flight-source", "--endpoints", "3", "synthetic", "--listen", "127.0.0.1:0"]);
        let options = cli.server_options();
        assert_eq!((options.endpoints, options.listen.port(), options.token), (3, 0, None));
    }

    #[test]
    fn times_are_now_or_rfc_3339() {
        let first = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        assert_eq!(time("now"), Ok(Time::Now));
        assert_eq!(time("2026-01-01T01:00:00+01:00"), Ok(Time::At(first)));
        assert!(time("yesterday").unwrap_err().contains("like 2026-01-01T00:00:00Z"));
    }
}
