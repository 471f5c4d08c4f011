//! What a run reports: events during the run, and a report at the end.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::contract::evidence::RowSource;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

/// A progress event of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The number of missing ledgers, which are loaded as far as the source has them.
    Planned(u64),
    /// A window is done.
    Window(&'a WindowReport),
    /// Loaded windows are being folded into the current state.
    Folding,
    /// The number of entries of a checkpoint.
    Counted(u64),
    /// So many more entries of a checkpoint have arrived.
    Entries(u64),
    /// A staged checkpoint is being loaded.
    Loading,
    /// A window was compared.
    Verified(LedgerWindow),
}

/// An observer of a run's events: called from the run's tasks, must not block.
pub type Watch = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// How a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowStatus {
    /// Loaded by this run.
    Completed,
    /// Another process loaded it first.
    AlreadyLoaded,
    /// Another process loaded a part of it first; the rest is planned again.
    PartlyLoaded,
    /// Loaded by this run and replaced the completed window.
    Replaced,
    /// Not loaded: it is now below the retention boundary.
    NotRetained,
    /// Not loaded: it has bad data, or the source fails it while others pass. Recorded, and retried later.
    Failed,
}

/// A window of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowReport {
    /// First ledger.
    pub start_ledger: u32,
    /// Last ledger.
    pub end_ledger: u32,
    /// Rows that this run loaded.
    pub rows: u64,
    /// How it ended.
    pub status: WindowStatus,
    /// Where the rows came from.
    pub source: RowSource,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it failed because of bad data.
    #[serde(skip)]
    pub bad_data: bool,
}

impl WindowReport {
    /// A window that is loaded.
    pub(crate) fn completed(window: LedgerWindow, rows: u64, source: RowSource) -> Self {
        WindowReport {
            start_ledger: window.start(),
            end_ledger: window.end(),
            rows,
            status: WindowStatus::Completed,
            source,
            error: None,
            bad_data: false,
        }
    }

    /// A window that failed.
    pub(crate) fn failed(window: LedgerWindow, error: &Error) -> Self {
        WindowReport {
            status: WindowStatus::Failed,
            error: Some(error.chain()),
            bad_data: matches!(error, Error::BadData { .. }),
            ..WindowReport::completed(window, 0, RowSource::Flight)
        }
    }

    /// Its ledgers.
    pub(crate) fn window(&self) -> Result<LedgerWindow> {
        LedgerWindow::new(self.start_ledger, self.end_ledger)
    }
}

/// The result of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The windows, in order.
    pub windows: Vec<WindowReport>,
    /// Another scheduled run was active; this one did nothing.
    pub busy: bool,
    /// For a scheduled run: everything from the schedule's start to the tip is loaded, or too recent. For a replay:
    /// everything that can be loaded is.
    pub caught_up: bool,
    /// The first ledger that is not loaded, for a scheduled run; for a replay, the ledger to continue from if the
    /// host's time ended it.
    pub next_ledger: Option<u32>,
    /// Set by a replay if the source lacks ledgers of the range: the last ledger that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ends_at: Option<i64>,
    /// Set by a replay from the archive: the missing ledgers that no object of it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_in_archive: Vec<LedgerWindow>,
    /// Set by a forced replay that was widened to whole windows: the widened range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widened: Option<(u32, u32)>,
    /// Set by a replay if some requested ledgers are not retained: the first retained one, where it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_from: Option<u32>,
    /// Time from the first plan to the end.
    #[serde(skip)]
    pub duration: Duration,
    /// `MAX_WINDOWS` or the host's time ended the run.
    #[serde(skip)]
    pub(crate) stopped_early: bool,
}

impl Report {
    /// Rows that this run loaded.
    pub fn rows(&self) -> u64 {
        self.windows.iter().map(|w| w.rows).sum()
    }

    /// The first of these ranges without a failed window.
    pub(crate) fn without_failed(&self, missing: &[LedgerWindow]) -> Option<LedgerWindow> {
        let failed: Vec<LedgerWindow> = self.failed().filter_map(|window| window.window().ok()).collect();
        missing.iter().find(|free| !failed.iter().any(|window| window.overlaps(**free))).copied()
    }

    /// The first ledger of a range that no window of this run covers; the windows are in order.
    pub(crate) fn first_not_done(&self, range: LedgerWindow) -> Option<u32> {
        let mut next = range.start();
        for window in &self.windows {
            if window.start_ledger <= next && next <= window.end_ledger {
                next = window.end_ledger.checked_add(1)?;
            }
        }
        range.contains(next).then_some(next)
    }

    /// Windows that failed.
    pub fn failed(&self) -> impl Iterator<Item = &WindowReport> {
        self.windows.iter().filter(|window| window.status == WindowStatus::Failed)
    }
}
