//! The loop: one run after another, until the process stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;
use pipeline::{Clients, Error, Event, Report, Result, Watch};

use super::standing::{Failure, Phase, Standing};

/// The shortest pause of an idle loop, even with a shorter `COMMIT_INTERVAL`.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause after a failed run.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Loads until a stop request.
///
/// # Errors
/// Permanent errors, as long as nothing was planned.
pub(super) async fn load_for_ever(clients: &Arc<Clients>, standing: &Arc<Standing>) -> Result<()> {
    let has_begun = Arc::new(AtomicBool::new(false));
    while !standing.stop.is_asked() {
        standing.loading(|loading| loading.phase = Phase::Loading);
        let outcome =
            Box::pin(pipeline::run_until_stopped(clients, &standing.stop, watch(&has_begun, standing))).await;
        let pause = match outcome {
            Ok(report) => {
                has_begun.store(true, Ordering::Relaxed);
                pause_after(&report, standing)
            }
            Err(error) if !has_begun.load(Ordering::Relaxed) && is_for_good(&error) => return Err(error),
            Err(error) => pause_after_failure(&error, standing),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = standing.stop.asked() => {}
        }
    }
    Ok(())
}

/// Notes every step of a run, and that it has passed its checks of schema, network and source.
fn watch(has_begun: &Arc<AtomicBool>, standing: &Arc<Standing>) -> Watch {
    let (has_begun, standing) = (Arc::clone(has_begun), Arc::clone(standing));
    Arc::new(move |event| {
        standing.loading(|_| {});
        if matches!(event, Event::Planned(_)) {
            has_begun.store(true, Ordering::Relaxed);
        }
    })
}

/// Records a successful run, and returns the pause: none if more can be loaded now.
fn pause_after(report: &Report, standing: &Standing) -> Duration {
    if standing.stop.is_asked() {
        return Duration::ZERO;
    }
    let now = Utc::now();
    pipeline::record_success(now.timestamp_millis() as f64 / 1000.0);
    let is_idle = report.busy || report.caught_up || report.windows.is_empty();
    standing.loading(|loading| {
        loading.last_success_at = Some(now);
        loading.failures_in_a_row = 0;
        if !report.busy {
            loading.caught_up = Some(report.caught_up);
        }
        loading.phase = match (report.busy, is_idle) {
            (true, _) => Phase::StandingBy,
            (false, true) => Phase::Waiting,
            (false, false) => Phase::Loading,
        };
    });
    if is_idle { standing.commit_interval.max(SHORTEST_PAUSE) } else { Duration::ZERO }
}

/// Records a failed run, and returns the pause: 1, 2, 4, … seconds, at most a minute.
fn pause_after_failure(error: &Error, standing: &Standing) -> Duration {
    let message = error.chain();
    let mut failures = 0;
    standing.loading(|loading| {
        loading.failures_in_a_row = loading.failures_in_a_row.saturating_add(1);
        failures = loading.failures_in_a_row;
        loading.phase = Phase::Pausing;
        loading.last_error = Some(Failure { at: Utc::now(), message: message.clone() });
    });
    pipeline::count_failure();
    let pause = pause_after_failures(failures);
    tracing::error!(failures, pause_s = pause.as_secs(), error = %message, "the run failed; another follows");
    pause
}

/// The pause after a number of consecutive failures.
fn pause_after_failures(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

/// Whether only an operator can fix an error at startup. The object store does not mark transient errors, so its errors
/// are retried.
fn is_for_good(error: &Error) -> bool {
    match error {
        Error::Config { .. } | Error::Usage(_) | Error::Schema(_) | Error::ForeignArchive(_) => true,
        Error::Source { .. } | Error::Database { .. } => !error.is_transient(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::pause_after_failures;

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses = [1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| pause_after_failures(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
    }
}
