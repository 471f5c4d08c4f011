//! The state of `serve`: the loop's phase and the last observations. The loop and the observers write it; the endpoints
//! read it, and wait for nothing else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use pipeline::{Config, Overview, Reachable, Stop};
use serde::Serialize;

/// Observations older than this are ignored.
pub(super) const OBSERVATION_LIFE: Duration = Duration::from_secs(15);

/// A run that takes no step for longer than this stands still. Nothing that moves takes as long for one window.
pub(super) const STANDSTILL: Duration = Duration::from_secs(30 * 60);

/// The state shared by all parts of `serve`.
#[derive(Debug)]
pub(super) struct Standing {
    /// Whether and by when the process has to stop.
    pub(super) stop: Stop,
    /// When it started.
    pub(super) started_at: DateTime<Utc>,
    /// The network's name.
    pub(super) network: String,
    /// Ledgers of a full window: a lag of one or two windows is normal.
    pub(super) window_ledgers: u32,
    /// The pause of a loop that has caught up.
    pub(super) commit_interval: Duration,
    now: Mutex<Now>,
}

/// The changing part.
#[derive(Debug, Default)]
struct Now {
    loading: Loading,
    stepped: Option<Instant>,
    seen: Option<(Instant, Arc<Seen>)>,
    is_ready: bool,
    overview: Option<Arc<Overview>>,
    overview_error: Option<String>,
}

/// The loop's phase, and the results of its runs.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Loading {
    /// Its current phase.
    pub(super) phase: Phase,
    /// When the last successful run ended.
    pub(super) last_success_at: Option<DateTime<Utc>>,
    /// Whether that run loaded everything that the source has; unknown before the first run.
    pub(super) caught_up: Option<bool>,
    /// The last failed run. It stays after successful runs.
    pub(super) last_error: Option<Failure>,
    /// The number of failed runs since the last success.
    pub(super) failures_in_a_row: u32,
    /// Whether the process is stopping.
    pub(super) ending: bool,
}

/// The phases of the loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// The first run is being prepared.
    #[default]
    Starting,
    /// A run is active.
    Loading,
    /// Everything is loaded; the next run begins soon.
    Waiting,
    /// Another process loads; this one stands by.
    StandingBy,
    /// The last run failed; the next one begins after a pause.
    Pausing,
}

/// Why a run failed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Failure {
    /// When.
    pub(super) at: DateTime<Utc>,
    /// The error, with its causes.
    pub(super) message: String,
}

/// An observation of database and source.
#[derive(Debug)]
pub(super) struct Seen {
    /// When it was made.
    pub(super) at: DateTime<Utc>,
    /// Its result.
    pub(super) reachable: Reachable,
}

/// A consistent copy of the state.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The loop.
    pub(super) loading: Loading,
    /// The last observation, unless it is too old.
    pub(super) seen: Option<Arc<Seen>>,
    /// How long the loop has been standing still; `None` while it moves or waits.
    pub(super) standstill: Option<Duration>,
    /// Whether the schema has been checked successfully.
    pub(super) is_ready: bool,
    /// The last overview.
    pub(super) overview: Option<Arc<Overview>>,
    /// Why a newer overview could not be read.
    pub(super) overview_error: Option<String>,
}

impl Standing {
    /// The state at startup.
    pub(super) fn new(config: &Config, stop: Stop) -> Self {
        Standing {
            stop,
            started_at: Utc::now(),
            network: config.network.name.clone(),
            window_ledgers: config.window_ledgers,
            commit_interval: config.commit_interval,
            now: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the loop's state, and notes that it takes a step.
    pub(super) fn loading(&self, change: impl FnOnce(&mut Loading)) {
        let mut now = self.lock();
        now.stepped = Some(Instant::now());
        change(&mut now.loading);
    }

    /// Records an observation.
    pub(super) fn saw(&self, reachable: Reachable) {
        let mut now = self.lock();
        now.is_ready |= reachable.database_error.is_none() && reachable.schema_error.is_none();
        now.seen = Some((Instant::now(), Arc::new(Seen { at: Utc::now(), reachable })));
    }

    /// Records an overview, or why there is no newer one.
    pub(super) fn read(&self, overview: Result<Overview, String>) {
        let mut now = self.lock();
        match overview {
            Ok(overview) => {
                now.overview = Some(Arc::new(overview));
                now.overview_error = None;
            }
            Err(error) => now.overview_error = Some(error),
        }
    }

    /// A copy of the current state.
    pub(super) fn snapshot(&self) -> Snapshot {
        let now = self.lock();
        let seen = now.seen.as_ref().filter(|(at, _)| at.elapsed() <= OBSERVATION_LIFE);
        Snapshot {
            loading: Loading { ending: self.stop.is_asked(), ..now.loading.clone() },
            seen: seen.map(|(_, seen)| Arc::clone(seen)),
            standstill: standstill(now.loading.phase, now.stepped.map(|at| at.elapsed())),
            is_ready: now.is_ready,
            overview: now.overview.clone(),
            overview_error: now.overview_error.clone(),
        }
    }
}

/// How long a run has taken no step, if that is too long.
fn standstill(phase: Phase, since: Option<Duration>) -> Option<Duration> {
    since.filter(|since| phase == Phase::Loading && *since > STANDSTILL)
}

impl Snapshot {
    /// Whether database and source answered recently, and the loop moves.
    pub(super) fn is_healthy(&self) -> bool {
        self.standstill.is_none()
            && self.seen.as_ref().is_some_and(|seen| {
                seen.reachable.database_error.is_none() && seen.reachable.source_error.is_none()
            })
    }

    /// Whether the schema has been checked and the loop runs.
    pub(super) fn may_be_sent_traffic(&self) -> bool {
        self.is_ready && !self.loading.ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_takes_no_step_stands_still_and_a_pause_does_not() {
        let long = STANDSTILL + Duration::from_secs(1);
        assert_eq!(standstill(Phase::Loading, Some(STANDSTILL)), None);
        assert_eq!(standstill(Phase::Loading, Some(long)), Some(long));
        for phase in [Phase::Waiting, Phase::Pausing, Phase::StandingBy] {
            assert_eq!(standstill(phase, Some(long)), None, "{phase:?}");
        }
    }
}
