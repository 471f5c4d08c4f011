//! Status: loaded, missing and current windows.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::Config;
use crate::contract::window::LedgerWindow;
use crate::contract::wire::SourceRange;
use crate::database::settings::Settings;
use crate::database::{Client, connect, get, ledger, snapshot, sql, window};
use crate::error::{DatabaseContext, Result};
use crate::source::Flight;

/// The state of a database and its distance to the source.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The network's name.
    pub network: String,
    /// First ledger of the schedule, once a scheduled run has stored it.
    pub schedule_start: Option<u32>,
    /// First retained ledger, if retention has set one; windows, ledgers, rows and the first ledger count from there.
    pub retained_from: Option<u32>,
    /// Completed windows.
    pub windows: i64,
    /// Ledgers in them.
    pub ledgers: i64,
    /// Rows in them.
    pub rows: i64,
    /// First completed ledger.
    pub first_ledger: Option<u32>,
    /// Last completed ledger.
    pub last_ledger: Option<u32>,
    /// Ledgers between completed windows that none covers, lowest first, at most [`Status::GAPS_SHOWN`].
    pub gaps: Vec<LedgerWindow>,
    /// Number of gaps.
    pub gap_count: i64,
    /// The source's ledgers; `None` if it did not declare them.
    pub source: Option<SourceRange>,
    /// Why the source's ledgers are unknown.
    pub source_error: Option<String>,
    /// Ledgers from the last completed one to the source's tip.
    pub lag_ledgers: Option<i64>,
    /// Seconds from the newest row's ledger to now.
    pub lag_seconds: Option<i64>,
    /// Completed windows that are not in `current_states` yet.
    pub unfolded_windows: i64,
    /// Completed windows whose object is not in the archive yet.
    pub unarchived_windows: i64,
    /// The ledger from which on every change of a time to live is known, if that of the newest folded ledger is.
    pub ttls_whole_from: Option<u32>,
    /// The snapshot that this database began with.
    pub snapshot: Option<Base>,
    /// The ledger at which the state is complete; `None` if it is not.
    pub state_complete_at: Option<u32>,
    /// Why the state is complete, or why it is not.
    pub state: String,
    /// Windows under way.
    pub under_way: Vec<UnderWay>,
    /// Windows that failed, lowest first, at most [`Status::FAILED_SHOWN`].
    pub failed: Vec<FailedWindow>,
    /// Number of failed windows.
    pub failed_count: i64,
    /// The last completed windows, newest first.
    pub last_windows: Vec<LastWindow>,
}

/// The state at a checkpoint that a database began with.
#[derive(Debug, Clone, Serialize)]
pub struct Base {
    /// The checkpoint.
    pub ledger: u32,
    /// Hex hash of the whole state of the network after it.
    pub bucket_list_hash: String,
    /// The version of the network's protocol there.
    pub protocol: u32,
    /// Contract data entries.
    pub rows: u64,
}

/// A window under way, or recently so.
#[derive(Debug, Clone, Serialize)]
pub struct UnderWay {
    /// Its ledgers.
    #[serde(flatten)]
    pub window: LedgerWindow,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

/// A window that failed.
#[derive(Debug, Clone, Serialize)]
pub struct FailedWindow {
    /// Its ledgers.
    #[serde(flatten)]
    pub window: LedgerWindow,
    /// Number of attempts.
    pub attempts: i32,
    /// Ledger, column and cause.
    pub error_message: Option<String>,
}

/// A completed window.
#[derive(Debug, Clone, Serialize)]
pub struct LastWindow {
    /// Its ledgers.
    #[serde(flatten)]
    pub window: LedgerWindow,
    /// Rows.
    pub rows: i64,
    /// When it was completed.
    pub completed_at: DateTime<Utc>,
    /// Where the rows came from.
    pub source: Option<String>,
    /// Size of its object.
    pub object_bytes: Option<i64>,
    /// Milliseconds to drain and stage it.
    pub drain_ms: Option<i64>,
    /// Milliseconds to load it.
    pub load_ms: Option<i64>,
}

impl Status {
    /// The number of gaps listed.
    pub const GAPS_SHOWN: i64 = 100;

    /// The number of failed windows, and of windows under way, listed.
    pub const FAILED_SHOWN: i64 = 200;
}

/// The longest wait for the source.
const SOURCE_PATIENCE: Duration = Duration::from_secs(5);

/// Reads the status. An unreachable source is part of the status, not an error.
///
/// # Errors
/// [`crate::Error::Database`], [`crate::Error::Schema`], [`crate::Error::Config`].
pub async fn status(config: &Config) -> Result<Status> {
    let (client, source) = ask(config).await?;
    read(&client, config, source).await
}

/// The source's ledgers, or why they are unknown.
pub(super) type Answer = std::result::Result<Option<SourceRange>, String>;

/// A connection to the database, and the source's answer.
pub(super) async fn ask(config: &Config) -> Result<(Client, Answer)> {
    let client = connect(&config.database).await?;
    let mut flight = config.flight.clone();
    flight.timeout = flight.timeout.min(SOURCE_PATIENCE);
    let source = Flight::new(&flight)?.range().await.map_err(|error| error.chain());
    Ok((client, source))
}

/// The status, given the source's answer.
pub(super) async fn read(client: &Client, config: &Config, source: Answer) -> Result<Status> {
    let stored = Settings::checked(client, config).await?;
    let (source, source_error) = match source {
        Ok(range) => (range, None),
        Err(problem) => (None, Some(problem)),
    };
    let coverage = client.query_one(sql::COVERAGE, &[]).await.database("read the coverage")?;
    let last_ledger = ledger(&coverage, "last_ledger")?;
    let last_closed_at: Option<DateTime<Utc>> = get(&coverage, "last_closed_at")?;
    let tip = source.as_ref().map(|s| s.end_ledger);
    let (under_way, failed, failed_count) = open_windows(client).await?;
    let (gaps, gap_count) = gaps(client).await?;
    let snapshot = snapshot::stored(client).await?.map(|stored| Base {
        ledger: stored.ledger,
        bucket_list_hash: stored.bucket_list_hash,
        protocol: stored.protocol,
        rows: stored.rows,
    });
    let newest = last_ledger.max(snapshot.as_ref().map(|snapshot| snapshot.ledger));
    let unfolded_windows = get(&coverage, "unfolded")?;
    let missing = missing(snapshot.as_ref(), ledger(&coverage, "first_ledger")?, gap_count, unfolded_windows);
    let state_complete_at = newest.filter(|_| missing.is_none());
    let state = match (missing, newest, &snapshot) {
        (None, Some(newest), Some(base)) => {
            format!("complete at ledger {newest}: snapshot {} and no gap", base.ledger)
        }
        (Some(missing), ..) => format!("not complete: {missing}"),
        (None, ..) => "nothing is loaded".to_owned(),
    };
    Ok(Status {
        snapshot,
        state_complete_at,
        state,
        network: config.network.name.clone(),
        schedule_start: stored.schedule_start,
        retained_from: Some(stored.retained_from).filter(|ledger| *ledger > 0),
        windows: get(&coverage, "windows")?,
        ledgers: get(&coverage, "ledgers")?,
        rows: get(&coverage, "rows")?,
        first_ledger: ledger(&coverage, "first_ledger")?,
        last_ledger,
        gaps,
        gap_count,
        lag_ledgers: tip.zip(last_ledger).map(|(tip, last)| (tip - i64::from(last)).max(0)),
        lag_seconds: last_closed_at
            .map(|closed| Utc::now().signed_duration_since(closed).num_seconds().max(0)),
        source,
        source_error,
        unfolded_windows,
        unarchived_windows: get(&coverage, "unarchived")?,
        ttls_whole_from: ledger(&coverage, "ttls_whole_from")?,
        under_way,
        failed,
        failed_count,
        last_windows: last_windows(client).await?,
    })
}

/// What keeps the state from being complete.
fn missing(snapshot: Option<&Base>, first: Option<u32>, gaps: i64, unfolded: i64) -> Option<String> {
    match (snapshot, first) {
        (None, None) => None,
        (None, Some(first)) => {
            Some(format!("only what changed since ledger {first}, because there is no snapshot"))
        }
        (Some(base), _) if gaps > 0 => {
            let gaps = if gaps == 1 { "a gap".to_owned() } else { format!("{gaps} gaps") };
            Some(format!("{gaps} after snapshot {}", base.ledger))
        }
        (Some(_), _) if unfolded > 0 => Some(format!("{unfolded} windows are not folded yet")),
        (Some(_), _) => None,
    }
}

/// The gaps, lowest first, and their number.
async fn gaps(client: &Client) -> Result<(Vec<LedgerWindow>, i64)> {
    let rows = client
        .query(
            "select *, count(*) over () as gaps from contract_data.ledger_gaps order by start_ledger limit $1",
            &[&Status::GAPS_SHOWN],
        )
        .await
        .database("read the gaps")?;
    let count = rows.first().map(|row| get(row, "gaps")).transpose()?.unwrap_or(0);
    Ok((rows.iter().map(window).collect::<Result<_>>()?, count))
}

/// Windows under way, failed windows, and the number of the latter.
async fn open_windows(client: &Client) -> Result<(Vec<UnderWay>, Vec<FailedWindow>, i64)> {
    let rows = client
        .query(sql::OPEN_WINDOWS, &[&Status::FAILED_SHOWN])
        .await
        .database("read the windows under way")?;
    let mut under_way = Vec::new();
    let mut failed = Vec::new();
    let mut failed_count = 0;
    for row in &rows {
        let window = window(row)?;
        if get::<&str>(row, "status")? == "failed" {
            let (attempts, error_message) = (get(row, "attempts")?, get(row, "error_message")?);
            failed_count = get(row, "of_kind")?;
            failed.push(FailedWindow { window, attempts, error_message });
        } else {
            under_way.push(UnderWay { window, started_at: get(row, "started_at")? });
        }
    }
    Ok((under_way, failed, failed_count))
}

/// The last completed windows, newest first.
async fn last_windows(client: &Client) -> Result<Vec<LastWindow>> {
    let rows = client.query(sql::LAST_WINDOWS, &[]).await.database("read the last windows")?;
    rows.iter()
        .map(|row| {
            Ok(LastWindow {
                window: window(row)?,
                rows: get(row, "entries_processed")?,
                completed_at: get(row, "completed_at")?,
                source: get(row, "source")?,
                object_bytes: get(row, "object_bytes")?,
                drain_ms: get(row, "drain_ms")?,
                load_ms: get(row, "load_ms")?,
            })
        })
        .collect()
}
