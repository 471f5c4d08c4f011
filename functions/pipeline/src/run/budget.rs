//! The budget: the largest window that the host's time allows, estimated from earlier windows.
//!
//! A run on a host that ends at a fixed time starts no window that it cannot finish. If a window takes longer than
//! estimated, it is cancelled before the host ends, and the next attempt loads half of its ledgers.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use super::pace::{OVERHEAD, Pace};
use super::stop::Stop;
use crate::contract::window::{LedgerWindow, WindowLimits};
use crate::database::hints::GivenUp;

/// A window may have this many times the rows of the slowest one seen.
const CAUTION: f64 = 2.0;

/// And it may take this many times as long as the fastest one seen, however short it is.
const CAUTION_AT_LEAST: f64 = 1.25;

/// A run that has loaded something leaves a window below one such part of the full length to the next run.
const SMALLEST_PART: u32 = 8;

/// The lifetime of a hint if the host's time is unlimited.
const LONGEST_HINT: Duration = Duration::from_secs(15 * 60);

/// The time that a run may still take after a stop request when no window is under way: to fold, to summarise, to
/// answer.
const AFTERWORK: Duration = Duration::from_secs(3);

/// The time budget of a run.
#[derive(Debug)]
pub(super) struct Budget {
    begun: Instant,
    stop: Option<Instant>,
    pace: Mutex<Pace>,
    /// Windows that earlier attempts cancelled or died on.
    given_up: OnceLock<Vec<GivenUp>>,
    /// The stop request that may end the run if the host's time is unlimited.
    asked: Option<Stop>,
    /// The hints of the windows under way.
    under_way: watch::Sender<Vec<Uuid>>,
}

impl Budget {
    /// Time until `until`, when the host ends, minus the time to cancel and answer; unlimited without `until`.
    pub(super) fn until(until: Option<Instant>) -> Self {
        let stop = until.map(|until| {
            let whole = until.saturating_duration_since(Instant::now());
            let margin = (whole / 10).clamp(Duration::from_secs(1), Duration::from_secs(10));
            until.checked_sub(margin).unwrap_or(until)
        });
        Budget {
            begun: Instant::now(),
            stop,
            pace: Mutex::default(),
            given_up: OnceLock::new(),
            asked: None,
            under_way: watch::Sender::default(),
        }
    }

    /// Unlimited time, until a stop request.
    pub(super) fn until_asked(stop: &Stop) -> Self {
        Budget { asked: Some(stop.clone()), ..Budget::until(None) }
    }

    /// Whether a stop was requested.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.asked.as_ref().is_some_and(Stop::is_asked)
    }

    /// Marks a window as under way, until it is [finished](Self::finished).
    pub(super) fn begun(&self, hint: Uuid) {
        self.under_way.send_modify(|hints| hints.push(hint));
    }

    /// Marks a window as no longer under way.
    pub(super) fn finished(&self, hint: Uuid) {
        self.under_way.send_modify(|hints| hints.retain(|other| *other != hint));
    }

    /// The hints of windows that were under way when the run was dropped.
    pub(super) fn left_under_way(&self) -> Vec<Uuid> {
        self.under_way.borrow().clone()
    }

    /// Sets the pace and the abandoned windows of earlier runs; once.
    pub(super) fn learn(&self, pace: Pace, given_up: Vec<GivenUp>) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
        self.given_up.get_or_init(|| given_up);
    }

    /// Whether the host's time is limited.
    pub(super) fn ends(&self) -> bool {
        self.stop.is_some()
    }

    /// How long the run has taken so far.
    pub(super) fn spent(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The lifetime of a hint for a window that starts now.
    pub(super) fn hint_lifetime(&self) -> Duration {
        self.left().map_or(LONGEST_HINT, |left| left.min(LONGEST_HINT))
    }

    /// Runs the work; `None` if the time ends first. The work is then dropped at any point.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = self.is_over() => None,
        }
    }

    /// Waits until the host's time ends or, after a stop request, the time of the windows under way.
    async fn is_over(&self) {
        match (self.stop, &self.asked) {
            (Some(stop), _) => tokio::time::sleep_until(stop.into()).await,
            (None, Some(asked)) => {
                let deadline = asked.asked().await;
                // A timeout error means that the deadline has passed.
                let _ = tokio::time::timeout_at(deadline.into(), self.has_come_to_rest()).await;
            }
            (None, None) => std::future::pending().await,
        }
    }

    /// Waits until no window is under way, and then for the time that the work after the last one may take.
    async fn has_come_to_rest(&self) {
        let mut under_way = self.under_way.subscribe();
        loop {
            // It only fails if the sender is dropped, and self owns the sender.
            let _ = under_way.wait_for(Vec::is_empty).await;
            tokio::time::sleep(AFTERWORK).await;
            if under_way.borrow_and_update().is_empty() {
                return;
            }
        }
    }

    /// Records the duration of a window.
    pub(super) fn note(&self, window: LedgerWindow, took: Duration) {
        let per_ledger = took.saturating_sub(OVERHEAD).as_secs_f64() / window.ledgers() as f64;
        let took = took.as_secs_f64();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.slowest = Some(pace.slowest.map_or(per_ledger, |slowest| slowest.max(per_ledger)));
        pace.quickest = Some(pace.quickest.map_or(took, |quickest| quickest.min(took)));
    }

    /// The limits of the window that starts at `start`, for a run that has started `windows` before it; `None` if the
    /// next run should do the rest, or a stop was requested. Otherwise a run always starts its first window, with a
    /// single ledger if necessary.
    pub(super) fn limits(&self, full: WindowLimits, start: u32, windows: u32) -> Option<WindowLimits> {
        if self.is_asked_to_stop() {
            return None;
        }
        let Some(left) = self.left() else { return Some(full) };
        let Pace { slowest, quickest } = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let at_least = OVERHEAD.as_secs_f64().max(quickest.unwrap_or_default()) * CAUTION_AT_LEAST;
        let seconds = left.as_secs_f64() - at_least;
        let affordable = match slowest {
            None => full.window_ledgers, // if it is too long, it is cancelled
            // as: saturates for a float, as intended
            Some(slowest) => (seconds / (CAUTION * slowest)) as u32,
        };
        let mut ledgers = full.window_ledgers.min(affordable);
        if windows == 0 {
            ledgers = ledgers.max(1);
        } else if ledgers < full.window_ledgers.div_ceil(SMALLEST_PART) || seconds < 0.0 {
            return None;
        }
        if let Some(half) = self.half_of_given_up(start) {
            ledgers = ledgers.min(half);
        }
        Some(WindowLimits { window_ledgers: ledgers, ..full })
    }

    /// Whether to start a window of this length, in a run that has started `windows` before it.
    pub(super) fn affords(&self, window: LedgerWindow, windows: u32) -> bool {
        let length = u32::try_from(window.ledgers()).unwrap_or(u32::MAX);
        let full = WindowLimits { window_ledgers: length, partition_ledgers: u32::MAX };
        !self.is_asked_to_stop()
            && (windows == 0
                || self.limits(full, u32::MAX, windows).is_some_and(|limits| limits.window_ledgers == length))
    }

    /// Whether an earlier attempt cancelled exactly this window although it was already staged, and a shorter one is
    /// possible. The attempt that staged it does not count: most of its time may have been the drain's.
    pub(super) fn has_given_up_staged(&self, window: LedgerWindow) -> bool {
        self.ends() && window.ledgers() > 1 && self.given_up().contains(&GivenUp { window, staged: true })
    }

    /// Half of the shortest abandoned window from `start`.
    fn half_of_given_up(&self, start: u32) -> Option<u32> {
        let given_up = self.given_up().iter().filter(|given_up| given_up.window.start() == start);
        let shortest = given_up.map(|given_up| given_up.window.ledgers()).min()?;
        u32::try_from((shortest / 2).max(1)).ok()
    }

    /// Windows that earlier attempts abandoned.
    fn given_up(&self) -> &[GivenUp] {
        self.given_up.get().map_or(&[], Vec::as_slice)
    }

    /// The remaining time.
    pub(super) fn left(&self) -> Option<Duration> {
        self.stop.map(|stop| stop.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: WindowLimits = WindowLimits { window_ledgers: 64, partition_ledgers: 1000 };

    fn budget(seconds: u64) -> Budget {
        Budget::until(Some(Instant::now() + Duration::from_secs(seconds)))
    }

    fn experienced(budget: Budget, slowest: f64, given_up: Vec<LedgerWindow>) -> Budget {
        let given_up = given_up.into_iter().map(|window| GivenUp { window, staged: window.start() == 100 });
        budget.learn(Pace { slowest: Some(slowest), quickest: None }, given_up.collect());
        budget
    }

    fn window(start: u32, end: u32) -> LedgerWindow {
        LedgerWindow::new(start, end).unwrap()
    }

    fn ledgers(budget: &Budget, windows: u32) -> Option<u32> {
        budget.limits(FULL, 100, windows).map(|limits| limits.window_ledgers)
    }

    #[test]
    fn a_host_without_end_takes_full_windows() {
        let endless = experienced(Budget::until(None), 1e9, vec![window(100, 163)]);
        assert_eq!(ledgers(&endless, 0), Some(64));
        assert!(endless.affords(window(0, u32::MAX), 7));
        assert!(!endless.has_given_up_staged(window(100, 163)));
    }

    #[test]
    fn without_a_measurement_the_first_window_is_a_full_one() {
        assert_eq!(ledgers(&budget(900), 0), Some(64));
    }

    #[test]
    fn windows_shrink_with_the_time_left() {
        // 54 seconds of work, at 2 seconds per ledger, with caution: 13 ledgers
        let slow = experienced(budget(60), 2.0, Vec::new());
        assert_eq!(ledgers(&slow, 0), Some(13));
        assert_eq!(ledgers(&slow, 5), Some(13));
        let quick = experienced(budget(60), 0.01, Vec::new());
        assert_eq!(ledgers(&quick, 5), Some(64));
    }

    #[test]
    fn what_a_window_took_counts_from_then_on() {
        let budget = experienced(budget(60), 0.01, Vec::new());
        budget.note(window(1, 10), Duration::from_millis(20_200));
        budget.note(window(11, 20), Duration::from_millis(300));
        assert_eq!(ledgers(&budget, 1), Some(13));
    }

    #[test]
    fn no_window_is_begun_in_less_time_than_the_quickest_took() {
        let pace = |quickest| Pace { slowest: Some(0.0), quickest: Some(quickest) };
        let budget = budget(10); // 9 seconds of work
        budget.learn(pace(7.0), Vec::new());
        assert_eq!(ledgers(&budget, 1), Some(64));
        budget.note(window(1, 1_000_000), Duration::from_secs(8));
        assert_eq!(ledgers(&budget, 1), Some(64), "another was faster");
        budget.learn(pace(8.0), Vec::new());
        assert_eq!((ledgers(&budget, 1), ledgers(&budget, 0)), (None, Some(1)));
    }

    #[test]
    fn a_rest_too_small_is_left_to_the_next_run_but_a_run_begins_something() {
        let slow = experienced(budget(60), 8.0, Vec::new());
        assert_eq!(ledgers(&slow, 1), None);
        assert_eq!(ledgers(&slow, 0), Some(3));
        let hopeless = experienced(budget(60), 1000.0, Vec::new());
        assert_eq!(ledgers(&hopeless, 0), Some(1));
        assert!(hopeless.affords(window(1, 64), 0));
        assert!(!hopeless.affords(window(1, 64), 1));
    }

    #[test]
    fn what_was_given_up_is_tried_by_half() {
        let given_up = vec![window(100, 163), window(100, 131), window(500, 563), window(7, 7)];
        let budget = experienced(budget(900), 0.001, given_up);
        assert_eq!(ledgers(&budget, 0), Some(16));
        assert_eq!(budget.limits(FULL, 500, 3).map(|limits| limits.window_ledgers), Some(32));
        assert_eq!(budget.limits(FULL, 501, 3).map(|limits| limits.window_ledgers), Some(64));
        assert!(budget.has_given_up_staged(window(100, 163)));
        assert!(!budget.has_given_up_staged(window(100, 164)));
        assert!(!budget.has_given_up_staged(window(500, 563)), "its drain may have taken the time");
        assert!(!budget.has_given_up_staged(window(7, 7)), "there is nothing shorter");
    }

    #[tokio::test]
    async fn work_is_given_up_before_the_host_ends() {
        let until = Instant::now() + Duration::from_millis(1_050);
        let outcome = Budget::until(Some(until)).bound(std::future::pending::<()>()).await;
        assert_eq!(outcome, None);
        assert!(Instant::now() < until);
        assert_eq!(Budget::until(Some(until)).bound(async { 7 }).await, Some(7));
    }
}
