//! What a run tells: while it goes, and at the end.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::progress::RowSource;
use crate::window::{LedgerWindow, WindowLimits};

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
    pub(super) fn completed(window: LedgerWindow, rows: u64, source: RowSource) -> Self {
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
    pub(super) fn failed(window: LedgerWindow, error: &Error) -> Self {
        WindowReport {
            status: WindowStatus::Failed,
            error: Some(error.chain()),
            bad_data: matches!(error, Error::BadData { .. }),
            ..WindowReport::completed(window, 0, RowSource::Flight)
        }
    }

    /// Its ledgers.
    pub(super) fn window(&self) -> Result<LedgerWindow> {
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
    /// Everything the source has from the schedule's start on is loaded, or too young.
    pub caught_up: bool,
    /// The first ledger that is not loaded, for a scheduled run.
    pub next_ledger: Option<u32>,
    /// Set by a replay when ledgers of the range are not there: the last ledger that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ends_at: Option<i64>,
    /// Set by a forced replay that was widened to whole windows: what it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widened: Option<(u32, u32)>,
    /// Time from the first plan to the end.
    #[serde(skip)]
    pub duration: Duration,
    /// `MAX_WINDOWS` ended the run.
    #[serde(skip)]
    pub(super) stopped_early: bool,
}

impl Report {
    /// Rows that this run loaded.
    pub fn rows(&self) -> u64 {
        self.windows.iter().map(|w| w.rows).sum()
    }

    /// Windows that failed.
    pub fn failed(&self) -> impl Iterator<Item = &WindowReport> {
        self.windows.iter().filter(|window| window.status == WindowStatus::Failed)
    }
}

/// What a replay would do.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// First ledger asked for.
    pub start_ledger: u32,
    /// Last ledger asked for.
    pub end_ledger: u32,
    /// Ledgers that are missing and that the source has.
    pub ledgers: u64,
    /// Windows they are cut into.
    pub windows: u64,
    /// Completed windows that would be replaced.
    pub replaced: u64,
    /// The first of both, at most [`Plan::SHOWN`].
    pub first_windows: Vec<(u32, u32)>,
    /// The last ledger of the source; `None` when it has nothing.
    pub source_ends_at: Option<u32>,
}

impl Plan {
    /// How many windows a plan spells out.
    pub const SHOWN: usize = 20;

    /// Cuts the missing parts of a range into windows, by arithmetic.
    pub(super) fn new(
        range: LedgerWindow,
        replaced: Vec<LedgerWindow>,
        missing: Vec<LedgerWindow>,
        limits: WindowLimits,
        source_ends_at: Option<u32>,
    ) -> Self {
        let mut first_windows: Vec<(u32, u32)> =
            replaced.iter().take(Self::SHOWN).map(|window| (window.start(), window.end())).collect();
        for free in &missing {
            let mut rest = Some(*free);
            while let Some(part) = rest.filter(|_| first_windows.len() < Self::SHOWN) {
                let window = limits.first_window(part);
                first_windows.push((window.start(), window.end()));
                rest = window.end().checked_add(1).and_then(|next| LedgerWindow::new(next, part.end()).ok());
            }
        }
        Plan {
            start_ledger: range.start(),
            end_ledger: range.end(),
            ledgers: missing.iter().map(|free| free.ledgers()).sum(),
            windows: missing.iter().map(|free| limits.count(*free)).sum(),
            replaced: replaced.len() as u64,
            first_windows,
            source_ends_at,
        }
    }
}
