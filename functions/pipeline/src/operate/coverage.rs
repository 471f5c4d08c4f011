//! Coverage: which ledgers are there. However many windows there are, PostgreSQL counts them into as many bins as are asked
//! for.

use serde::Serialize;
use tokio_postgres::Client;

use super::status::Status;
use crate::database::{get, sql};
use crate::error::{DatabaseContext, Result};

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
        .query(sql::COVERAGE_BINS, &[&start, &end, &bins])
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
