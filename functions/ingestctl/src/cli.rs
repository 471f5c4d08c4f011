//! The command line.

use clap::{Args, Parser, Subcommand};

/// Loads every change of Stellar smart-contract data, window by window, from Arrow Flight into PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "ingestctl",
    version,
    arg_required_else_help = true,
    after_long_help = EXAMPLES,
    after_help = "`ingestctl --help` shows examples, the environment variables and the exit codes."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Settings that also come from the environment.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The examples, variables and exit codes under the long help.
const EXAMPLES: &str = "\
EXAMPLES
  # once per database, and after every upgrade
  ingestctl migrate

  # begin with the whole state of the network at its newest checkpoint
  ingestctl snapshot

  # load two days by hand; completed windows are left alone
  ingestctl replay --start-ledger 53312000 --end-ledger 53346559

  # load these windows again and replace the old rows
  ingestctl replay -s 53312000 -e 53312063 --force

  # rebuild an empty database from the archive alone, eight windows in parallel
  ingestctl replay -s 0 -e 4294967295 --from-archive --parallel 8

  # one scheduled run: from the first missing ledger to the tip
  ingestctl run

  # the same continuously, with a status page on http://localhost:9090
  ingestctl serve

  # is everything loaded, and does it match the source?
  ingestctl status
  ingestctl verify

  # and does the state at a checkpoint equal the network's?
  ingestctl verify --checkpoint latest

ENVIRONMENT (flags override it)
  DATABASE_URL       or DB_HOST DB_PORT DB_NAME DB_USER DB_PASSWORD DB_SSLMODE
                     DB_CA_CERT, or PG*
  FLIGHT_ENDPOINT    localhost:8816; grpc+tls://host:port for TLS
  FLIGHT_TOKEN       sent as bearer token;  FLIGHT_CA_CERT, FLIGHT_TIMEOUT
  STAGING_URL        file://./staging or s3://bucket/prefix, with AWS_REGION,
                     AWS_ENDPOINT_URL, …
  NETWORK            pubnet; testnet, futurenet, or a name with NETWORK_PASSPHRASE
  START_LEDGER       first; latest, a number, or snapshot: where the schedule begins
  WINDOW_LEDGERS     64 ledgers per window;  MAX_WINDOWS: windows per run
  BATCH_SIZE         65536 rows;  COMMIT_INTERVAL 5s;  MAX_RETRIES 3
  PARTITION_LEDGERS  100000, stored by the first migrate
  METRICS_PORT       9090: the port of serve; 0 picks a free one
  RETAIN_LEDGERS     unset: maintain keeps all;  RETAIN_DAYS: likewise
  LOG_LEVEL          info;  LOG_FORMAT: text on a terminal, json elsewhere

EXIT CODES
  0 done, or nothing to do     1 unexpected     2 usage or configuration
  3 source     4 staging     5 database     6 bad data
  7 verify found a difference";

/// Explains retention, below the help of `maintain`.
const RETENTION: &str = "\
Without --retain-ledgers and --retain-days, everything is kept. Both count back from the newest
loaded ledger; with both, whichever keeps more. Whole partitions are dropped for good: their
ledgers cannot be loaded into this database again. The current state, the windows' records and
the archive stay.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the database schema up to date.
    Migrate {
        /// Only show what is missing; exit with 5 if something is.
        #[arg(long)]
        check: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Do one scheduled run: load from the first missing ledger to the tip.
    Run {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Begin with the whole state of the network at a checkpoint; windows follow from the next ledger on.
    ///
    /// The source proves the state by the network's history archive (flight-source --archive). The database must have no
    /// window at or below the checkpoint. Everything is committed in one transaction; a second call changes nothing.
    Snapshot {
        /// The checkpoint: its ledger, or latest.
        #[arg(long, value_name = "LEDGER", default_value = "latest")]
        ledger: Checkpoint,
        /// Load it from the archive under STAGING_URL, without the source, to rebuild a database.
        #[arg(long)]
        from_archive: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Load the missing ledgers of a range.
    Replay {
        /// The ledgers.
        #[command(flatten)]
        range: Range,
        /// Only show what would be loaded.
        #[arg(long)]
        dry_run: bool,
        /// Widen the range to whole windows and replace completed ones, each in one transaction.
        #[arg(long, conflicts_with = "from_archive")]
        force: bool,
        /// Windows loaded in parallel, each on its own connection [default: 2].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
        parallel: Option<u16>,
        /// Load from the archive under STAGING_URL, without the source, to rebuild a database.
        #[arg(long, conflicts_with_all = ["trust_end", "dry_run"])]
        from_archive: bool,
        /// Accept a clean end of stream as complete if the source does not declare row counts.
        #[arg(long)]
        trust_end: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Create partitions ahead, apply retention, update statistics, and remove left-overs from staging.
    #[command(after_help = RETENTION)]
    Maintain {
        /// Keep the newest N ledgers (RETAIN_LEDGERS).
        #[arg(long, value_name = "N")]
        retain_ledgers: Option<String>,
        /// Keep the ledgers of the newest N days (RETAIN_DAYS).
        #[arg(long, value_name = "N")]
        retain_days: Option<String>,
        /// Only show what would be created, dropped and removed.
        #[arg(long)]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add or list the assets of Stellar asset contracts.
    Assets {
        /// What to do with them.
        #[command(subcommand)]
        command: AssetsCommand,
    },
    /// Manage the archive under STAGING_URL, which belongs to one database.
    Archive {
        /// What to do with it.
        #[command(subcommand)]
        command: ArchiveCommand,
    },
    /// Show coverage, gaps, lag, windows under way and the last windows.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run continuously, with a status page, metrics and health over HTTP.
    ///
    /// Repeats `run`, with a pause of COMMIT_INTERVAL once everything is loaded. It retries transient errors with
    /// growing pauses; errors at startup that only an operator can fix end it with their exit code. SIGTERM and SIGINT
    /// stop it within 25 seconds: the current window is finished, or cancelled and rolled back. A second signal stops
    /// it at once.
    ///
    /// On METRICS_PORT it serves / (the status page), /metrics (Prometheus), /health, /ready and /stats (JSON), without
    /// a login: nothing there is secret.
    Serve,
    /// Compare objects, entries, progress and current state; exit with 7 if they differ.
    ///
    /// With --checkpoint, compare the state that follows from the history with the network's at that ledger, entry by
    /// entry: this proves every loaded ledger up to it.
    Verify {
        /// Compare with the network's state at this checkpoint: its ledger, or latest.
        #[arg(long, value_name = "LEDGER", conflicts_with_all = ["start_ledger", "end_ledger"])]
        checkpoint: Option<Checkpoint>,
        /// First ledger to verify; default: all.
        #[arg(short, long, value_name = "LEDGER", requires = "end_ledger")]
        start_ledger: Option<u32>,
        /// Last ledger to verify, inclusive.
        #[arg(short, long, value_name = "LEDGER", requires = "start_ledger")]
        end_ledger: Option<u32>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Checkpoint {
    /// The newest.
    Latest,
    /// That of this ledger.
    At(u32),
}

impl Checkpoint {
    /// The ledger; `None` for the newest.
    pub(crate) fn ledger(self) -> Option<u32> {
        match self {
            Checkpoint::Latest => None,
            Checkpoint::At(ledger) => Some(ledger),
        }
    }
}

impl std::str::FromStr for Checkpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "latest" => Ok(Checkpoint::Latest),
            number => number.parse().map(Checkpoint::At).map_err(|_| "use the number of a ledger, or latest"),
        }
    }
}

/// What to do with assets.
#[derive(Debug, Subcommand)]
pub(crate) enum AssetsCommand {
    /// Add assets whose instance rows are missing; the balances of their contracts show them at once.
    Add {
        /// The assets, such as USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN.
        #[arg(required = true, value_name = "CODE:ISSUER")]
        assets: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the known assets.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with the archive.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Take the archive over for this database, after the database that it belonged to was lost.
    ///
    /// The objects stay. If the other database still exists, its next run is refused.
    Adopt {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A range of ledgers.
#[derive(Debug, Args)]
pub(crate) struct Range {
    /// First ledger, inclusive.
    #[arg(short, long, value_name = "LEDGER")]
    pub(crate) start_ledger: u32,
    /// Last ledger, inclusive.
    #[arg(short, long, value_name = "LEDGER")]
    pub(crate) end_ledger: u32,
}

/// Flags that override environment variables.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings (each overrides its environment variable)")]
pub(crate) struct Settings {
    /// PostgreSQL to load into (DATABASE_URL); keep a password in the environment instead.
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Flight source (FLIGHT_ENDPOINT).
    #[arg(long, global = true, value_name = "HOST:PORT")]
    flight_endpoint: Option<String>,
    /// Object store for staging and archive (STAGING_URL).
    #[arg(long, global = true, value_name = "URL")]
    staging_url: Option<String>,
    /// The network (NETWORK).
    #[arg(long, global = true, value_name = "NAME")]
    network: Option<String>,
    /// Ledgers per window (WINDOW_LEDGERS).
    #[arg(long, global = true, value_name = "N")]
    window_ledgers: Option<String>,
    /// Windows per scheduled run (MAX_WINDOWS).
    #[arg(long, global = true, value_name = "N")]
    max_windows: Option<String>,
    /// Port of serve's metrics, health and status page (METRICS_PORT).
    #[arg(long, global = true, value_name = "PORT")]
    metrics_port: Option<String>,
    /// Log level: error, warn, info, debug, trace (LOG_LEVEL).
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Cli {
    /// The given flags, by the variable that they override, including those of the command.
    pub(crate) fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut overrides = self.settings.overrides();
        if let Command::Maintain { retain_ledgers, retain_days, .. } = &self.command {
            overrides.extend(given([("RETAIN_LEDGERS", retain_ledgers), ("RETAIN_DAYS", retain_days)]));
        }
        overrides
    }
}

impl Settings {
    /// The given flags, by the variable that they override.
    fn overrides(&self) -> Vec<(&'static str, String)> {
        given([
            ("DATABASE_URL", &self.database_url),
            ("FLIGHT_ENDPOINT", &self.flight_endpoint),
            ("STAGING_URL", &self.staging_url),
            ("NETWORK", &self.network),
            ("WINDOW_LEDGERS", &self.window_ledgers),
            ("MAX_WINDOWS", &self.max_windows),
            ("METRICS_PORT", &self.metrics_port),
            ("LOG_LEVEL", &self.log_level),
        ])
        .collect()
    }
}

/// Filters the given flags.
fn given<'a, const N: usize>(
    flags: [(&'static str, &'a Option<String>); N],
) -> impl Iterator<Item = (&'static str, String)> + use<'a, N> {
    flags.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
