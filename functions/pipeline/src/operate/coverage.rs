//! Coverage: which ledgers are loaded. PostgreSQL counts any number of windows into the requested number of bins.

use serde::Serialize;
use tokio_postgres::Client;

use super::status::Status;
use crate::database::{get, sql};
use crate::error::{DatabaseContext, Result};

/// A range of ledgers in bins of equal length, within one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// First ledger of the first bin.
    pub start_ledger: i64,
    /// Last ledger of the last bin.
    pub end_ledger: i64,
    /// The contiguous bins, lowest first.
    pub bins: Vec<Bin>,
}

/// The state of the ledgers of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// First ledger.
    pub start_ledger: i64,
    /// Last ledger.
    pub end_ledger: i64,
    /// Loaded ledgers.
    pub completed: i64,
    /// Ledgers in failed windows.
    pub failed: i64,
    /// Ledgers in windows under way.
    pub under_way: i64,
}

impl Bin {
    /// Number of ledgers.
    pub fn ledgers(&self) -> i64 {
        self.end_ledger - self.start_ledger + 1
    }

    /// Number of ledgers that are not loaded.
    pub fn missing(&self) -> i64 {
        (self.ledgers() - self.completed).max(0)
    }
}

impl Coverage {
    /// Number of ledgers of the range that are not loaded.
    pub fn missing(&self) -> i64 {
        self.bins.iter().map(Bin::missing).sum()
    }
}

/// Counts the expected ledgers into bins: from the start of the schedule, or the first loaded ledger, or the first
/// retained one, to the tip of the source, or the last loaded one.
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

/// The range of the coverage.
fn range_of(status: &Status) -> Option<(i64, i64)> {
    let source = status.source.as_ref().filter(|source| source.start_ledger <= source.end_ledger);
    let begun = [status.schedule_start.map(i64::from), status.first_ledger];
    let start = begun.into_iter().flatten().min().or_else(|| source.map(|source| source.start_ledger))?;
    let start = start.max(status.retained_from.unwrap_or(start));
    let end = [source.map(|source| source.end_ledger), status.last_ledger].into_iter().flatten().max()?;
    (start <= end).then_some((start, end))
}
