//! Coverage: which ledgers are loaded. PostgreSQL counts any number of windows into the requested number of bins.

use serde::Serialize;

use super::status::Status;
use crate::contract::window::LedgerWindow;
use crate::contract::wire::SourceRange;
use crate::database::{Client, get, sql};
use crate::error::{DatabaseContext, Result};

/// A range of ledgers in bins of equal length, within one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The ledgers.
    #[serde(flatten)]
    pub window: LedgerWindow,
    /// The contiguous bins, lowest first.
    pub bins: Vec<Bin>,
}

/// The state of the ledgers of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// Its ledgers.
    #[serde(flatten)]
    pub window: LedgerWindow,
    /// Loaded ledgers.
    pub completed: u64,
    /// Ledgers in failed windows.
    pub failed: u64,
    /// Ledgers in windows under way.
    pub under_way: u64,
}

impl Bin {
    /// Number of ledgers that are not loaded.
    pub fn missing(&self) -> u64 {
        self.window.ledgers().saturating_sub(self.completed)
    }
}

impl Coverage {
    /// Number of ledgers of the range that are not loaded.
    pub fn missing(&self) -> u64 {
        self.bins.iter().map(Bin::missing).sum()
    }
}

/// Counts the expected ledgers into bins: from the start of the schedule, or the first loaded ledger, or the first
/// retained one, to the tip of the source, or the last loaded one.
pub(super) async fn coverage(client: &Client, status: &Status, bins: u16) -> Result<Option<Coverage>> {
    let Some(window) = range_of(status) else { return Ok(None) };
    let bins = window.ledgers().min(u64::from(bins).max(1));
    let first = |bin: u64| window.start() + (bin * window.ledgers() / bins) as u32; // a ledger of the window
    let mut coverage = Coverage { window, bins: Vec::new() };
    for bin in 0..bins {
        let end = if bin + 1 == bins { window.end() } else { first(bin + 1) - 1 };
        let window = LedgerWindow::new(first(bin), end)?;
        coverage.bins.push(Bin { window, completed: 0, failed: 0, under_way: 0 });
    }
    let (start, end, bins) = (i64::from(window.start()), i64::from(window.end()), i64::from(bins as u32));
    let rows = client
        .query(sql::COVERAGE_BINS, &[&start, &end, &bins])
        .await
        .database("count the ledgers into bins")?;
    for row in &rows {
        let place: i64 = get(row, "bin")?;
        if let Some(bin) = usize::try_from(place).ok().and_then(|place| coverage.bins.get_mut(place)) {
            bin.completed = get::<i64>(row, "completed")?.unsigned_abs();
            bin.failed = get::<i64>(row, "failed")?.unsigned_abs();
            bin.under_way = get::<i64>(row, "under_way")?.unsigned_abs();
        }
    }
    Ok(Some(coverage))
}

/// The range of the coverage.
fn range_of(status: &Status) -> Option<LedgerWindow> {
    let source = status.source.as_ref().and_then(SourceRange::ledgers);
    let begun = [status.schedule_start, status.first_ledger].into_iter().flatten().min();
    let start = begun.or_else(|| source.map(LedgerWindow::start))?.max(status.retained_from.unwrap_or(0));
    let end = [source.map(LedgerWindow::end), status.last_ledger].into_iter().flatten().max()?;
    LedgerWindow::new(start, end).ok()
}
