//! The end of a run: ensures that nothing of it continues or holds a lock when the host is frozen after the answer.

use std::time::Duration;

use super::budget::Budget;
use super::context::Clients;
use crate::database::hints;
use crate::error::{Error, Result};
use crate::metrics;
use crate::report::Report;

/// Ensures that nothing of a run continues or holds a lock when the host is frozen after the answer.
pub(super) async fn conclude(
    clients: &Clients,
    budget: &Budget,
    outcome: Option<Result<()>>,
    report: &mut Report,
) -> Result<()> {
    let is_stopped = outcome.is_none() && budget.is_asked_to_stop();
    if budget.ends() || is_stopped {
        clients.sessions.settle().await;
    }
    clients.sessions.end_abandoned().await;
    report.windows.sort_by_key(|window| window.start_ledger);
    match outcome {
        Some(outcome) => outcome,
        None if is_stopped => {
            take_back(clients, budget).await;
            report.stopped_early = true;
            report.caught_up = false;
            Ok(())
        }
        None if report.windows.is_empty() => {
            metrics::failed();
            Err(Error::OutOfTime { seconds: budget.spent().as_secs() })
        }
        None => {
            tracing::warn!(windows = report.windows.len(), "out of time: cancelled the windows under way");
            report.stopped_early = true;
            report.caught_up = false;
            Ok(())
        }
    }
}

/// How long a stopped run tries to remove the hints of the windows that it cancelled.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Removes the hints of the cancelled windows: their length was not the reason.
async fn take_back(clients: &Clients, budget: &Budget) {
    let hints = budget.left_under_way();
    if hints.is_empty() {
        return;
    }
    tracing::warn!(windows = hints.len(), "stopped: cancelled the windows under way");
    let taking_back = async {
        let client = clients.sessions.get().await?;
        for hint in hints {
            hints::unhint(&client, hint).await?;
        }
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(LAST_WORD, taking_back).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = %error.chain(), "cannot remove the hints; they expire later")
        }
        Err(_) => tracing::warn!("cannot remove the hints: the database does not answer; they expire later"),
    }
}
