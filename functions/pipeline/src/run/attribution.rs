//! Attribution: whether a window is at fault or the source, and which ledger of the window.
//!
//! A window that failed is tried again in parts, until the bad ledger is alone. Then a control decides: a ledger that is
//! loaded already is asked for again. If the source serves it, the window is at fault, and is recorded as failed; if not,
//! the source is, and nothing is recorded.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tonic::Code;

use super::context::Context;
use super::planner::Planned;
use crate::contract::tables::Table;
use crate::contract::window::{LedgerWindow, WindowLimits};
use crate::contract::wire::SourceRange;
use crate::database::Session;
use crate::database::progress;
use crate::error::{Error, Result};
use crate::source::{Drained, Offer, Trust, drain};

/// Windows that fail in a row, without one that the source serves between them, before the control is asked.
const SUSPICIOUS: u32 = 2;

/// As many end the run if no ledger is loaded yet that could be the control.
const HOPELESS: u32 = 8;

/// A run narrows this many windows at most: five or six bad ledgers. What fails then is recorded whole, and narrowed by
/// later runs.
const NARROWINGS: u32 = 32;

/// A window that failed faster is halved: a few short attempts find the ledger, and leave few small windows.
const QUICK: Duration = Duration::from_secs(1);

/// A slower one is cut into so many parts at once, so that its other ledgers wait for one such attempt only.
const PARTS: u32 = 64;

/// What the run knows about failures so far.
#[derive(Debug, Default)]
pub(super) struct Attribution {
    /// Windows that the source failed since it last served one.
    in_a_row: AtomicU32,
    /// Windows that were narrowed.
    narrowed: AtomicU32,
}

/// What to do about a window that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Try these parts of it.
    Narrow(Vec<LedgerWindow>),
    /// It cannot be narrowed. Whether it is at fault is decided at the end of the run, or once the source serves another.
    Suspect,
    /// The source is at fault: the run ends.
    BadSource,
}

impl Attribution {
    /// The source served a window with rows.
    pub(super) fn served(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// The verdict on a window that the source failed after this time.
    pub(super) async fn failed(
        &self,
        context: &Context,
        planned: &Planned,
        window: LedgerWindow,
        error: &Error,
        took: Duration,
    ) -> Result<Verdict> {
        let failures = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= SUSPICIOUS {
            match is_served(context, window).await? {
                Some(true) => self.served(),
                Some(false) => return Ok(Verdict::BadSource),
                None if failures >= HOPELESS => return Ok(Verdict::BadSource),
                None => {}
            }
        }
        if !can_be_narrowed(planned, window) {
            return Ok(Verdict::Suspect);
        }
        // A source that does not answer this either is no reason to send more requests.
        let Ok(range) = context.flight.range().await else { return Ok(Verdict::Suspect) };
        if !is_provable(context, range.as_ref()) {
            return Ok(Verdict::Suspect);
        }
        let first = range.as_ref().and_then(SourceRange::ledgers).map_or(0, LedgerWindow::start);
        if first > window.end() {
            return Ok(Verdict::Suspect); // it no longer has any of them
        }
        let parts = if first > window.start() {
            cut(window, first)
        } else if !depends_on_ledgers(error) {
            return Ok(Verdict::Suspect);
        } else {
            let parts = if took < QUICK { 2 } else { PARTS };
            let length = u32::try_from(window.ledgers().div_ceil(parts.into())).unwrap_or(u32::MAX);
            let limits = WindowLimits { window_ledgers: length, partition_ledgers: u32::MAX };
            limits.windows(window).collect()
        };
        Ok(self.narrow(parts))
    }

    /// The verdict on a window with bad data in this ledger; 0 if the ledger is unknown.
    pub(super) async fn bad_data(
        &self,
        context: &Context,
        planned: &Planned,
        window: LedgerWindow,
        ledger: u32,
    ) -> Verdict {
        let range = context.flight.range().await;
        if !can_be_narrowed(planned, window) || !range.is_ok_and(|range| is_provable(context, range.as_ref()))
        {
            return Verdict::Suspect;
        }
        self.narrow(around(window, ledger))
    }

    /// Narrows, unless the run has done so too often.
    fn narrow(&self, parts: Vec<LedgerWindow>) -> Verdict {
        if self.narrowed.fetch_add(1, Ordering::Relaxed) >= NARROWINGS {
            return Verdict::Suspect;
        }
        Verdict::Narrow(parts)
    }
}

/// Whether parts of a window can be loaded by themselves: not those of a window to replace, nor of an archived object.
fn can_be_narrowed(planned: &Planned, window: LedgerWindow) -> bool {
    window.ledgers() > 1 && matches!(planned, Planned::Drain(_) | Planned::DrainOnce(_) | Planned::Sealed(_))
}

/// Whether the error may be that of some ledgers only: a refused token or a missing column is that of all.
fn depends_on_ledgers(error: &Error) -> bool {
    const OF_LEDGERS: [Code; 3] = [Code::NotFound, Code::OutOfRange, Code::FailedPrecondition];
    let Error::Source { transient, status, .. } = error else { return false };
    *transient || status.is_some_and(|status| OF_LEDGERS.contains(&status))
}

/// Whether a single ledger can be proven complete: not if the source declares nothing, and only a later ledger proves it.
fn is_provable(context: &Context, range: Option<&SourceRange>) -> bool {
    range.is_some() || context.trust != Trust::BeforeLast
}

/// Whether the source serves a loaded ledger, the nearest to `failed`; `None` if there is none to ask for.
pub(super) async fn is_served(context: &Context, failed: LedgerWindow) -> Result<Option<bool>> {
    let available = match context.flight.range().await {
        Ok(Some(range)) => match range.ledgers() {
            Some(available) => available,
            None => return Ok(Some(false)),
        },
        Ok(None) => LedgerWindow::new(0, u32::MAX)?,
        Err(_) => return Ok(Some(false)),
    };
    let ask = |client: Session, _| async move { progress::control_ledger(&client, failed, available).await };
    let Some(ledger) = context.retry_on_session("attribute the failure", ask).await? else { return Ok(None) };
    match drain_ledger(context, ledger).await {
        Ok(served) => Ok(Some(served)),
        Err(Error::Source { .. }) => Ok(Some(false)),
        Err(Error::BadData { .. }) => Ok(Some(true)), // it was sent
        Err(error) => Err(error),
    }
}

/// Drains one ledger that has rows, and discards them. False if the source does not offer it, or says that it has none.
async fn drain_ledger(context: &Context, ledger: u32) -> Result<bool> {
    let Offer::Ledgers(offered) =
        context.flight.offer(Table::Data, LedgerWindow::single(ledger), context.trust).await?
    else {
        return Ok(false);
    };
    let mut drain = drain(&context.flight, *offered);
    let mut rows = 0;
    loop {
        match drain.next().await? {
            Drained::Batch(batch) | Drained::OutOfOrder(batch) => rows += batch.num_rows(),
            Drained::Complete(..) => return Ok(rows > 0),
        }
    }
}

/// The window in two, the second from `ledger` on.
fn cut(window: LedgerWindow, ledger: u32) -> Vec<LedgerWindow> {
    let below = ledger.checked_sub(1).and_then(|last| window.until(last));
    below.into_iter().chain(window.from(ledger)).collect()
}

/// The window in up to three parts: what is below the ledger, the ledger, what is above; or two halves if the ledger is not
/// in the window.
fn around(window: LedgerWindow, ledger: u32) -> Vec<LedgerWindow> {
    if !window.contains(ledger) {
        return cut(window, window.start() + (window.end() - window.start()).div_ceil(2));
    }
    let above = ledger.checked_add(1).and_then(|next| window.from(next));
    let upto = window.until(ledger).into_iter().flat_map(|upto| cut(upto, ledger));
    upto.chain(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(start: u32, end: u32, ledger: u32) -> Vec<String> {
        let window = LedgerWindow::new(start, end).unwrap();
        around(window, ledger).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_window_is_cut_around_a_ledger_or_in_half() {
        assert_eq!(parts(17, 32, 21), ["17-20", "21-21", "22-32"]);
        assert_eq!(parts(17, 32, 17), ["17-17", "18-32"]);
        assert_eq!(parts(17, 32, 32), ["17-31", "32-32"]);
        assert_eq!(parts(17, 18, 0), ["17-17", "18-18"]);
        assert_eq!(parts(17, 19, 0), ["17-17", "18-19"]);
        assert_eq!(parts(0, 1, 0), ["0-0", "1-1"]);
        assert_eq!(
            parts(u32::MAX - 1, u32::MAX, u32::MAX),
            ["4294967294-4294967294", "4294967295-4294967295"]
        );
    }
}
