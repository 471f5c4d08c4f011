//! An overview in bounded space: which ledgers are there, how fast they came, what the tables weigh. However many windows
//! there are, PostgreSQL counts them into as many bins as are asked for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Client;

use super::Status;
use crate::database::get;
use crate::error::{DatabaseContext, Result};

/// All that a page about one database shows.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// When it was read.
    pub read_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// Which ledgers are there; `None` when nothing says which should be.
    pub coverage: Option<Coverage>,
    /// What was loaded in the last hour, minute by minute.
    pub last_hour: Throughput,
    /// What was loaded in the last day, in quarters of an hour.
    pub last_day: Throughput,
    /// The tables, largest first; partitions are counted into theirs.
    pub tables: Vec<TableSize>,
}

/// A range of ledgers in bins of equal length, give or take one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// First ledger of the first bin.
    pub start_ledger: i64,
    /// Last ledger of the last bin.
    pub end_ledger: i64,
    /// The bins, lowest first, without a hole between them.
    pub bins: Vec<Bin>,
}

/// What became of the ledgers of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// First ledger.
    pub start_ledger: i64,
    /// Last ledger.
    pub end_ledger: i64,
    /// Ledgers that are loaded.
    pub completed: i64,
    /// Ledgers in windows that failed.
    pub failed: i64,
    /// Ledgers in windows that somebody works on.
    pub under_way: i64,
}

impl Bin {
    /// How many ledgers it spans.
    pub fn ledgers(&self) -> i64 {
        self.end_ledger - self.start_ledger + 1
    }

    /// How many of them are not loaded.
    pub fn missing(&self) -> i64 {
        (self.ledgers() - self.completed).max(0)
    }
}

impl Coverage {
    /// How many ledgers of the range are not loaded.
    pub fn missing(&self) -> i64 {
        self.bins.iter().map(Bin::missing).sum()
    }
}

/// What was loaded over a stretch of time that ends with the reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Throughput {
    /// Seconds of a bin.
    pub bin_seconds: i64,
    /// The bins, oldest first.
    pub bins: Vec<Pulse>,
}

/// What was completed in a bin of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pulse {
    /// Windows.
    pub windows: i64,
    /// Rows in them.
    pub rows: i64,
    /// Ledgers in them.
    pub ledgers: i64,
}

/// The size of a table on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// Its name, without the schema.
    pub table: String,
    /// Bytes with indexes, of all partitions together.
    pub bytes: i64,
}

/// Reads what a status leaves out.
pub(super) async fn overview(client: &Client, status: Status, bins: u16) -> Result<Overview> {
    Ok(Overview {
        read_at: Utc::now(),
        coverage: coverage(client, &status, bins).await?,
        last_hour: throughput(client, 60, 60).await?,
        last_day: throughput(client, 900, 96).await?,
        tables: table_sizes(client).await?,
        status,
    })
}

/// Counts the ledgers that should be there into bins: from where the schedule begins, or the first ledger that is loaded, or
/// the first that is retained, to the tip of the source, or the last one that is.
pub(super) async fn coverage(client: &Client, status: &Status, bins: u16) -> Result<Option<Coverage>> {
    let Some((start, end)) = range_of(status) else { return Ok(None) };
    let ledgers = end - start + 1;
    let bins = i64::from(bins).clamp(1, ledgers);
    let mut coverage = Coverage { start_ledger: start, end_ledger: end, bins: Vec::new() };
    for bin in 0..bins {
        coverage.bins.push(Bin {
            start_ledger: start + bin * ledgers / bins,
            end_ledger: start + (bin + 1) * ledgers / bins - 1,
            completed: 0,
            failed: 0,
            under_way: 0,
        });
    }
    let rows = client
        .query(include_str!("../../../../sql/loader/coverage_bins.sql"), &[&start, &end, &bins])
        .await
        .database("count the ledgers into bins")?;
    for row in &rows {
        let place: i64 = get(row, "bin")?;
        if let Some(bin) = usize::try_from(place).ok().and_then(|place| coverage.bins.get_mut(place)) {
            bin.completed = get(row, "completed")?;
            bin.failed = get(row, "failed")?;
            bin.under_way = get(row, "under_way")?;
        }
    }
    Ok(Some(coverage))
}

/// The ledgers that a picture of the coverage spans.
fn range_of(status: &Status) -> Option<(i64, i64)> {
    let source = status.source.as_ref().filter(|source| source.start_ledger <= source.end_ledger);
    let begun = [status.schedule_start.map(i64::from), status.first_ledger];
    let start = begun.into_iter().flatten().min().or_else(|| source.map(|source| source.start_ledger))?;
    let start = start.max(status.retained_from.unwrap_or(start));
    let end = [source.map(|source| source.end_ledger), status.last_ledger].into_iter().flatten().max()?;
    (start <= end).then_some((start, end))
}

/// What was completed in the last bins of so many seconds.
async fn throughput(client: &Client, bin_seconds: i32, bins: u16) -> Result<Throughput> {
    let mut pulses = vec![Pulse::default(); usize::from(bins)];
    let rows = client
        .query(
            include_str!("../../../../sql/loader/throughput.sql"),
            &[&f64::from(bin_seconds), &f64::from(bins)],
        )
        .await
        .database("read how fast windows came")?;
    for row in &rows {
        let ago: i64 = get(row, "ago")?;
        let place = usize::try_from(i64::from(bins) - 1 - ago).ok();
        if let Some(pulse) = place.and_then(|place| pulses.get_mut(place)) {
            *pulse = Pulse {
                windows: get(row, "windows")?,
                rows: get(row, "rows")?,
                ledgers: get(row, "ledgers")?,
            };
        }
    }
    Ok(Throughput { bin_seconds: bin_seconds.into(), bins: pulses })
}

/// What the tables weigh.
async fn table_sizes(client: &Client) -> Result<Vec<TableSize>> {
    let rows = client
        .query(
            "select table_name, total_bytes from contract_data.table_sizes order by total_bytes desc, table_name",
            &[],
        )
        .await
        .database("read the sizes of the tables")?;
    rows.iter()
        .map(|row| Ok(TableSize { table: get(row, "table_name")?, bytes: get(row, "total_bytes")? }))
        .collect()
}
