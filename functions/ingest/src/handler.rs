//! The handler: one event, one call of the pipeline, one answer.

use lambda_host::Invocation;
use pipeline::{Error, Result, SnapshotOptions};
use serde_json::{Value, json};

use crate::event::{Event, Replay};

/// Answers an event.
pub(crate) async fn handle(event: Value, invocation: Invocation) -> Result<Value> {
    let event = Event::read(event)?;
    let Invocation { clients, until, watch } = invocation;
    match event {
        Event::Scheduled => answer(&pipeline::run(&clients, Some(until), watch).await?),
        Event::Replay(Replay { range, options }) => {
            answer(&pipeline::replay(&clients, range, options, Some(until), watch).await?)
        }
        Event::Snapshot(ledger) => {
            let options = SnapshotOptions { ledger, from_archive: false };
            answer(&pipeline::snapshot(&clients, options, Some(until), watch).await?)
        }
        Event::Plan(Replay { range, options }) => {
            let plan = pipeline::plan(clients.config(), range, &options).await?;
            Ok(json!({
                "windows": plan.replays, "ledgers": plan.ledgers, "source_ends_at": plan.source_ends_at,
            }))
        }
    }
}

/// The answer for a report.
fn answer(report: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(report).map_err(|e| Error::Unexpected(e.to_string()))
}
