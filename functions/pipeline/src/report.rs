//! What a run tells: while it goes, and at the end.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::contract::evidence::RowSource;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

/// Something that happened, for whoever watches.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So many ledgers are missing and will be loaded as far as the source has them.
    Planned(u64),
    /// A window is done.
    Window(&'a WindowReport),
    /// Loaded windows are being folded into the current state.
    Folding,
    /// A window has been compared.
    Verified(LedgerWindow),
}

/// Whoever watches a run: called from its tasks, must not block.
pub type Watch = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// How a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowStatus {
    /// Loaded by this run.
    Completed,
    /// Somebody else loaded it first.
    AlreadyLoaded,
    /// Somebody else loaded a part of it first; what is left of it is planned again.
    PartlyLoaded,
    /// Loaded by this run in place of what was there.
    Replaced,
    /// Not loaded: retention has passed it meanwhile.
    NotRetained,
    /// Not loaded: what it holds cannot be, or the source fails it while others pass. Recorded, and tried again later.
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
    /// Whether it failed for a value that cannot be loaded.
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

/// What a run has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The windows, in order.
    pub windows: Vec<WindowReport>,
    /// Another scheduled run was at work; this one has done nothing.
    pub busy: bool,
    /// Everything the source has from the schedule's start on is loaded, or too young; everything that can be of a replay is.
    pub caught_up: bool,
    /// The first ledger that is not loaded, for a scheduled run; for a replay, the one to go on from when the host's time
    /// ended it.
    pub next_ledger: Option<u32>,
    /// Set by a replay when ledgers of the range are not there: the last ledger that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ends_at: Option<i64>,
    /// Set by a forced replay that was widened to whole windows: what it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widened: Option<(u32, u32)>,
    /// Set by a replay of ledgers some of which are not retained: the first one that is, where it began.
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

    /// The first of these ranges that no failed window explains.
    pub(crate) fn without_failed(&self, missing: &[LedgerWindow]) -> Option<LedgerWindow> {
        let failed: Vec<LedgerWindow> = self.failed().filter_map(|window| window.window().ok()).collect();
        missing.iter().find(|free| !failed.iter().any(|window| window.overlaps(**free))).copied()
    }

    /// The first ledger of a range that is in no window of this run; its windows are in order.
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
