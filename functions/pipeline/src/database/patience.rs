//! Patience: how long statements may take, as learnt from the server's answers, and the sessions that were given up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::backend::Backend;

/// The longest limit of a loader's statement.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Each step allows four times as long.
const STEP: u32 = 4;

/// The limits that the server enforces for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// For each wait for a lock.
    pub(crate) lock: Duration,
    /// For each statement.
    pub(crate) statement: Duration,
}

impl Limits {
    /// Those of a loader at first.
    pub(super) const BRIEF: Limits =
        Limits { lock: Duration::from_secs(30), statement: Duration::from_secs(60) };

    /// The statements that set them.
    pub(super) fn sql(self) -> String {
        let (statement, lock) = (self.statement.as_millis(), self.lock.as_millis());
        format!("set statement_timeout = {statement}; set lock_timeout = {lock}")
    }
}

/// The limit of statements of the schema's owner and of `verify`, which may read or rewrite all history.
pub(crate) const LONG_WORK: Limits =
    Limits { lock: Limits::BRIEF.lock, statement: Duration::from_secs(6 * 60 * 60) };

/// Shared by the sessions of a process. Statements are given a minute, so that a silent connection is noticed soon. A server
/// that is slow, and says so by a timeout of its own, is given more from then on; after a second silence the next attempt is.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Steps that the server has shown to need.
    proven: AtomicU32,
    /// Silences since the last COMMIT.
    silences: AtomicU32,
    abandoned: Mutex<Vec<Backend>>,
}

impl Patience {
    /// The limits of a session now.
    pub(super) fn limits(&self) -> Limits {
        let silences = self.silences.load(Ordering::Relaxed);
        let steps = self.proven.load(Ordering::Relaxed) + silences.saturating_sub(1);
        Limits { statement: limit(steps), ..Limits::BRIEF }
    }

    /// Notes an answer, and whether it was the server's own timeout.
    pub(super) fn answered(&self, after: Duration, timed_out: bool) {
        let proven = self.proven.load(Ordering::Relaxed);
        if (timed_out || after > limit(proven)) && limit(proven) < LONGEST {
            // of several workers with the same experience, one counts
            let _ = self.proven.compare_exchange(proven, proven + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Notes that a session was given up.
    pub(super) fn fell_silent(&self) {
        self.silences.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps a session that has to be ended.
    pub(super) fn abandon(&self, backend: Backend) {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push(backend);
    }

    /// Notes that a transaction was committed.
    pub(super) fn committed(&self) {
        self.silences.store(0, Ordering::Relaxed);
    }

    /// Whether there are sessions that have to be ended.
    pub(super) fn has_abandoned(&self) -> bool {
        !self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes the sessions that have to be ended.
    pub(super) fn take_abandoned(&self) -> Vec<Backend> {
        std::mem::take(&mut *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The limit after some steps.
fn limit(steps: u32) -> Duration {
    first().saturating_mul(STEP.saturating_pow(steps)).min(LONGEST)
}

/// The limit at first. `FAILPOINTS=first_limit=return(2)` makes it 2 seconds.
fn first() -> Duration {
    fail::fail_point!("first_limit", |seconds| {
        seconds.and_then(|s| s.parse().ok()).map_or(Limits::BRIEF.statement, Duration::from_secs)
    });
    Limits::BRIEF.statement
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn minutes(patience: &Patience) -> u64 {
        patience.limits().statement.as_secs() / 60
    }

    #[test]
    fn a_slow_server_is_given_more_time_for_good() {
        let patience = Patience::default();
        patience.answered(MINUTE / 2, false);
        assert_eq!(minutes(&patience), 1);
        for expected in [4, 15, 15] {
            patience.answered(MINUTE, true);
            patience.committed();
            assert_eq!(minutes(&patience), expected);
        }
    }

    #[test]
    fn a_second_silence_gives_more_time_until_a_commit_unless_it_was_needed() {
        let patience = Patience::default();
        patience.fell_silent();
        assert_eq!(minutes(&patience), 1);
        patience.fell_silent();
        assert_eq!(minutes(&patience), 4);
        patience.committed();
        assert_eq!(minutes(&patience), 1);

        patience.fell_silent();
        patience.fell_silent();
        patience.answered(MINUTE * 2, false);
        patience.committed();
        assert_eq!(minutes(&patience), 4);
    }
}
