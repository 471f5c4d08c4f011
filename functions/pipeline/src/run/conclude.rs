//! The end of a run: nothing of it goes on, and nothing of it holds a lock, when the host is frozen after the answer.

use std::time::Duration;

use super::budget::Budget;
use super::context::Clients;
use crate::database::hints;
use crate::error::{Error, Result};
use crate::metrics;
use crate::report::Report;

/// Sees to it that nothing of a run goes on, or holds a lock, when the host is frozen after the answer.
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
            tracing::warn!(windows = report.windows.len(), "out of time: what was under way is given up");
            report.stopped_early = true;
            report.caught_up = false;
            Ok(())
        }
    }
}

/// How long a run that was stopped tries to take back the hints of what it gave up.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Takes back the hints of the windows that were given up: it was not their length that ended them.
async fn take_back(clients: &Clients, budget: &Budget) {
    let hints = budget.left_under_way();
    if hints.is_empty() {
        return;
    }
    tracing::warn!(windows = hints.len(), "stopped: what was under way is given up");
    let taking_back = async {
        let client = clients.sessions.get().await?;
        for hint in hints {
            hints::unhint(&client, hint).await?;
        }
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(LAST_WORD, taking_back).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = %error.chain(), "the hints stay until they expire"),
        Err(_) => tracing::warn!("the hints stay until they expire: the database does not answer"),
    }
}
