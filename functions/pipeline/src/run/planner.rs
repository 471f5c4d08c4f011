//! The planner: chooses the next window and where its rows come from.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::restore::Piece;
use crate::contract::evidence::RowSource;
use crate::contract::tables::Table;
use crate::contract::window::{LedgerWindow, WindowLimits};
use crate::database::Session;
use crate::database::progress::{self, CompletedWindow};
use crate::error::{Error, Result};
use crate::source::Offer;
use crate::store::StagedObject;
use crate::store::archive::remove_staged;

/// The scope of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The range; only missing ledgers are loaded.
    pub(super) range: LedgerWindow,
    /// A scheduled run: a window cut short by the tip waits for `COMMIT_INTERVAL`, a failed one for its next retry.
    pub(super) scheduled: bool,
    /// The largest number of windows.
    pub(super) max_windows: Option<u32>,
    /// The largest number of ledgers per window.
    pub(super) window_ledgers: u32,
}

/// A window and the origin of its rows.
#[derive(Debug, Clone)]
pub(super) enum Planned {
    /// From Flight.
    Drain(LedgerWindow),
    /// From Flight, in one attempt: it is a part of a window that failed, or failed in an earlier run.
    DrainOnce(LedgerWindow),
    /// From a sealed object of an earlier attempt.
    Sealed(StagedObject),
    /// From the archive.
    Archived(Piece),
    /// From Flight, to replace a completed window.
    Replace(CompletedWindow),
}

impl Planned {
    /// The ledgers.
    pub(super) fn window(&self) -> Result<LedgerWindow> {
        match self {
            Planned::Drain(window) | Planned::DrainOnce(window) => Ok(*window),
            Planned::Sealed(object) => object.window(),
            Planned::Archived(piece) => Ok(piece.window),
            Planned::Replace(completed) => Ok(completed.window),
        }
    }

    /// The origin of the rows.
    pub(super) fn source(&self) -> RowSource {
        match self {
            Planned::Drain(_) | Planned::DrainOnce(_) | Planned::Replace(_) => RowSource::Flight,
            Planned::Sealed(_) => RowSource::Staging,
            Planned::Archived(_) => RowSource::Archive,
        }
    }
}

/// Hands out each window once.
pub(super) struct Planner<'a> {
    context: &'a Context,
    wanted: Wanted,
    limits: WindowLimits,
    missing: VecDeque<LedgerWindow>,
    /// Windows that failed in earlier runs and are due: apart from the others, which they must not delay.
    retries: VecDeque<LedgerWindow>,
    sealed: Vec<StagedObject>,
    given: VecDeque<Planned>,
    windows: u32,
    /// Windows that workers have taken and not finished.
    under_way: usize,
    stopped_early: bool,
}

impl<'a> Planner<'a> {
    /// A planner for the missing ledgers of a range, from sealed objects where they fit; completed windows in
    /// `replaced` are replaced first.
    pub(super) async fn missing(
        context: &'a Context,
        wanted: Wanted,
        sealed: Vec<StagedObject>,
        replaced: Vec<CompletedWindow>,
    ) -> Result<Self> {
        let mut planner = Self::empty(context, wanted);
        planner.retries = planner.plan(wanted.range).await?.into();
        planner.sealed = sealed;
        planner.given = replaced.into_iter().map(Planned::Replace).collect();
        Ok(planner)
    }

    /// A planner for pieces of the archive only.
    pub(super) fn archived(context: &'a Context, wanted: Wanted, pieces: Vec<Piece>) -> Self {
        let mut planner = Self::empty(context, wanted);
        planner.given = pieces.into_iter().map(Planned::Archived).collect();
        planner
    }

    /// A planner without windows.
    fn empty(context: &'a Context, wanted: Wanted) -> Self {
        let limits = WindowLimits {
            window_ledgers: wanted.window_ledgers,
            partition_ledgers: context.settings.partition_ledgers,
        };
        Planner {
            context,
            wanted,
            limits,
            missing: VecDeque::new(),
            retries: VecDeque::new(),
            sealed: Vec::new(),
            given: VecDeque::new(),
            windows: 0,
            under_way: 0,
            stopped_early: false,
        }
    }

    /// The number of planned ledgers.
    pub(super) fn ledgers(&self) -> u64 {
        let given = self.given.iter().filter_map(|planned| planned.window().ok());
        let missing = self.missing.iter().chain(&self.retries).copied();
        missing.chain(given).map(LedgerWindow::ledgers).sum()
    }

    /// Whether `max_windows` or the host's time ended the planning.
    pub(super) fn stopped_early(&self) -> bool {
        self.stopped_early
    }

    /// Stops planning: a step fails in a way that affects all windows.
    pub(super) fn stop(&mut self) {
        self.missing.clear();
        self.retries.clear();
        self.given.clear();
    }

    /// The source has ended: later ledgers are not planned.
    pub(super) fn source_ended(&mut self) {
        self.missing.clear();
    }

    /// Plans parts of a window that failed, before new windows; those of one length before shorter ones.
    pub(super) fn narrow(&mut self, parts: Vec<LedgerWindow>) {
        self.given.extend(parts.into_iter().map(Planned::DrainOnce));
    }

    /// A worker has finished a window, and narrowed it if need be.
    pub(super) fn finished(&mut self) {
        self.under_way -= 1;
    }

    /// Whether a window is under way: if it fails, its parts will be planned.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way > 0
    }

    /// The next window; `None` if none is left now, or there is no time for it.
    pub(super) async fn next(&mut self) -> Result<Option<Planned>> {
        let planned = self.choose().await?;
        self.under_way += usize::from(planned.is_some());
        self.windows += u32::from(planned.is_some());
        Ok(planned)
    }

    /// Parts of failed windows come first. Between two new windows comes at most one that failed in an earlier run.
    async fn choose(&mut self) -> Result<Option<Planned>> {
        if let Some(planned) = self.given.pop_front() {
            return self.afford(planned);
        }
        if self.windows % 2 == 1
            && let Some(planned) = self.retry()
        {
            return self.afford(planned);
        }
        if let Some(planned) = self.next_missing().await? {
            return Ok(Some(planned));
        }
        match self.retry() {
            Some(planned) => self.afford(planned),
            None => Ok(None),
        }
    }

    /// The next window that failed in an earlier run.
    fn retry(&mut self) -> Option<Planned> {
        if self.wanted.max_windows.is_some_and(|max| self.windows >= max) {
            return None;
        }
        let window = self.retries.pop_front()?;
        Some(self.take_sealed(window).map_or(Planned::DrainOnce(window), Planned::Sealed))
    }

    /// The window, if there is time for it.
    fn afford(&mut self, planned: Planned) -> Result<Option<Planned>> {
        if !self.context.budget.affords(planned.window()?, self.windows) {
            return Ok(self.stop_early());
        }
        Ok(Some(planned))
    }

    /// The next of the missing ledgers.
    async fn next_missing(&mut self) -> Result<Option<Planned>> {
        while let Some(free) = self.missing.pop_front() {
            if self.wanted.max_windows.is_some_and(|max| self.windows >= max) {
                return Ok(self.stop_early());
            }
            let Some(limits) = self.context.budget.limits(self.limits, free.start(), self.windows) else {
                return Ok(self.stop_early());
            };
            let window = limits.first_window(free);
            // Another process may have loaded it meanwhile; do not drain it in vain.
            if self.missing_in(window).await? != [window] {
                let rest = LedgerWindow::new(free.start(), self.wanted.range.end())?;
                self.plan(rest).await?;
                continue;
            }
            let planned = match self.sealed(free).await? {
                Some(object) if !self.context.budget.affords(object.window()?, self.windows) => {
                    return Ok(self.stop_early());
                }
                Some(object) => Planned::Sealed(object),
                None => {
                    if self.wanted.scheduled && !ripe(self.context, limits, window).await? {
                        self.source_ended();
                        return Ok(None);
                    }
                    Planned::Drain(window)
                }
            };
            let end = planned.window()?.end();
            if end < free.end() {
                self.missing.push_front(LedgerWindow::new(end + 1, free.end())?);
            }
            return Ok(Some(planned));
        }
        Ok(None)
    }

    /// The sealed object that is the next window of `free`, if any. If its load alone ran out of time before, the
    /// object is removed: its ledgers are drained again in shorter windows.
    async fn sealed(&mut self, free: LedgerWindow) -> Result<Option<StagedObject>> {
        let Some(object) = self.take_sealed(free) else { return Ok(None) };
        if !self.context.budget.has_given_up_staged(object.window()?) {
            return Ok(Some(object));
        }
        tracing::info!(object = %object.path, "removed: loading it takes too long; draining its ledgers in shorter windows");
        remove_staged(self.context.store(), &object.path).await?;
        Ok(None)
    }

    /// Takes the sealed object that is the next window of `free` out of the list.
    fn take_sealed(&mut self, free: LedgerWindow) -> Option<StagedObject> {
        let place = self.sealed.iter().position(|object| fits(object, free, self.limits))?;
        Some(self.sealed.remove(place))
    }

    /// Stops planning although windows are left.
    fn stop_early(&mut self) -> Option<Planned> {
        self.stop();
        self.stopped_early = true;
        None
    }

    /// Plans the missing ledgers of a range, and returns those that failed in earlier runs, in windows of their own.
    async fn plan(&mut self, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
        let mut retries = Vec::new();
        self.missing.clear();
        let mut missing = self.missing_in(range).await?;
        if self.wanted.scheduled {
            let failed = |client: Session, _| async move { progress::failed(&client, range).await };
            for failed in self.context.retry_on_session("plan", failed).await? {
                let (due, others) = part(&missing, failed);
                retries.extend(due.into_iter().flat_map(|due| self.limits.windows(due)));
                missing = others;
            }
        }
        self.missing = missing.into();
        Ok(retries)
    }

    /// The missing ledgers of a range.
    async fn missing_in(&self, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
        let scheduled = self.wanted.scheduled;
        let ask = |client: Session, _| async move {
            if scheduled {
                progress::due(&client, range).await
            } else {
                progress::uncovered(&client, range).await
            }
        };
        self.context.retry_on_session("plan", ask).await
    }
}

/// Parts ranges into the ledgers inside a window and those outside.
fn part(ranges: &[LedgerWindow], window: LedgerWindow) -> (Vec<LedgerWindow>, Vec<LedgerWindow>) {
    let below = |range: &LedgerWindow| window.start().checked_sub(1).and_then(|last| range.until(last));
    let above = |range: &LedgerWindow| window.end().checked_add(1).and_then(|next| range.from(next));
    let within = |range: &LedgerWindow| range.until(window.end())?.from(window.start());
    let inside = ranges.iter().filter_map(within).collect();
    (inside, ranges.iter().flat_map(|range| [below(range), above(range)]).flatten().collect())
}

/// Whether a sealed object is the next window of `free`: it starts there, and keeps within it and within a partition.
fn fits(object: &StagedObject, free: LedgerWindow, limits: WindowLimits) -> bool {
    let footer = &object.footer;
    footer.start_ledger == free.start()
        && footer.end_ledger <= free.end()
        && footer.start_ledger / limits.partition_ledgers == footer.end_ledger / limits.partition_ledgers
}

/// Whether a planned window is full or has waited long enough at the tip.
async fn ripe(context: &Context, limits: WindowLimits, planned: LedgerWindow) -> Result<bool> {
    let full = limits.first_window(LedgerWindow::new(planned.start(), u32::MAX)?);
    if planned == full {
        return Ok(true);
    }
    let first = LedgerWindow::new(planned.start(), planned.start())?;
    match context.flight.offer(Table::Data, first, context.trust).await {
        Ok(Offer::NothingYet) => Ok(false),
        Ok(Offer::Ledgers(offered)) => {
            Ok(is_ripe(offered.latest_closed_at, context.clients.config.commit_interval))
        }
        // The drain is tried, so that the ledger can be told from the source.
        Err(Error::Source { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a window below full length should be loaded now: its first ledger closed long enough ago. A ledger that closes
/// ahead of this clock is loaded too: one of the clocks is wrong, and waiting does not tell which.
fn is_ripe(first_closed_at: Option<DateTime<Utc>>, commit_interval: Duration) -> bool {
    first_closed_at.is_none_or(|closed| {
        let age = Utc::now().signed_duration_since(closed);
        age.to_std().map_or(true, |age| age >= commit_interval)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_before_is_parted_from_the_rest() {
        let window = |start, end| LedgerWindow::new(start, end).unwrap();
        let (inside, outside) = part(&[window(1, 9), window(12, 20)], window(8, 12));
        assert_eq!(
            (inside, outside),
            (vec![window(8, 9), window(12, 12)], vec![window(1, 7), window(13, 20)])
        );
        assert_eq!(part(&[window(0, 3)], window(0, 3)), (vec![window(0, 3)], vec![]));
        assert_eq!(part(&[window(5, 6)], window(7, 9)), (vec![], vec![window(5, 6)]));
        assert_eq!(part(&[window(5, 6)], window(1, 4)), (vec![], vec![window(5, 6)]));
    }

    #[test]
    fn a_window_at_the_tip_is_ripe_by_the_age_of_its_first_ledger_whatever_the_clocks_say() {
        let is_ripe =
            |age| is_ripe(Some(Utc::now() - chrono::TimeDelta::seconds(age)), Duration::from_secs(60));
        assert!(!is_ripe(50));
        assert!(is_ripe(70));
        assert!(is_ripe(-3_600), "a ledger that closes ahead of this clock");
        assert!(super::is_ripe(None, Duration::from_secs(60)), "the source does not say when it closed");
    }
}
