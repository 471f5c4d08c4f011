//! How `serve` stands: what the loop does, what was last observed. Written by the loop and the observers, read by the
//! endpoints, which never wait for anything else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use pipeline::{Config, Overview, Reachable, Stop};
use serde::Serialize;

/// An observation older than this says nothing any more.
pub(super) const OBSERVATION_LIFE: Duration = Duration::from_secs(15);

/// What all parts of `serve` share.
#[derive(Debug)]
pub(super) struct Standing {
    /// Whether and by when the process is to end.
    pub(super) stop: Stop,
    /// Since when it runs.
    pub(super) started_at: DateTime<Utc>,
    /// The network's name.
    pub(super) network: String,
    /// Ledgers of a full window: a lag of one or two of them is none.
    pub(super) window_ledgers: u32,
    /// The pause of a loop that has caught up.
    pub(super) commit_interval: Duration,
    now: Mutex<Now>,
}

/// What changes.
#[derive(Debug, Default)]
struct Now {
    loading: Loading,
    seen: Option<(Instant, Arc<Seen>)>,
    is_ready: bool,
    overview: Option<Arc<Overview>>,
    overview_error: Option<String>,
}

/// What the loop does, and how its runs ended.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Loading {
    /// What it does now.
    pub(super) phase: Phase,
    /// When the last run ended well.
    pub(super) last_success_at: Option<DateTime<Utc>>,
    /// Whether that run left nothing that the source has; unknown before the first.
    pub(super) caught_up: Option<bool>,
    /// The last run that failed. It stays after runs that went well.
    pub(super) last_error: Option<Failure>,
    /// How many runs have failed since one ended well.
    pub(super) failures_in_a_row: u32,
    /// The signal to end has come.
    pub(super) ending: bool,
}

/// What the loop does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// The first run is being prepared.
    #[default]
    Starting,
    /// A run is at work.
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

/// What was seen of database and source, and when.
#[derive(Debug)]
pub(super) struct Seen {
    /// When it was seen.
    pub(super) at: DateTime<Utc>,
    /// What.
    pub(super) reachable: Reachable,
}

/// One consistent reading of everything.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The loop.
    pub(super) loading: Loading,
    /// The last observation, if it is not too old to mean anything.
    pub(super) seen: Option<Arc<Seen>>,
    /// Whether the schema was found to be right once.
    pub(super) is_ready: bool,
    /// The last overview.
    pub(super) overview: Option<Arc<Overview>>,
    /// Why a newer overview could not be read.
    pub(super) overview_error: Option<String>,
}

impl Standing {
    /// At the start.
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

    /// Changes what is said of the loop.
    pub(super) fn loading(&self, change: impl FnOnce(&mut Loading)) {
        change(&mut self.lock().loading);
    }

    /// Takes note of an observation.
    pub(super) fn saw(&self, reachable: Reachable) {
        let mut now = self.lock();
        now.is_ready |= reachable.database_error.is_none() && reachable.schema_error.is_none();
        now.seen = Some((Instant::now(), Arc::new(Seen { at: Utc::now(), reachable })));
    }

    /// Takes note of an overview, or that there is no newer one.
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

    /// Everything, as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let now = self.lock();
        let seen = now.seen.as_ref().filter(|(at, _)| at.elapsed() <= OBSERVATION_LIFE);
        Snapshot {
            loading: Loading { ending: self.stop.is_asked(), ..now.loading.clone() },
            seen: seen.map(|(_, seen)| Arc::clone(seen)),
            is_ready: now.is_ready,
            overview: now.overview.clone(),
            overview_error: now.overview_error.clone(),
        }
    }
}

impl Snapshot {
    /// Whether database and source were there a short while ago.
    pub(super) fn is_healthy(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            seen.reachable.database_error.is_none() && seen.reachable.source_error.is_none()
        })
    }

    /// Whether the schema is known and the loop runs.
    pub(super) fn may_be_sent_traffic(&self) -> bool {
        self.is_ready && !self.loading.ending
    }
}
