//! Events of the function, parsed strictly: an unknown event is refused before anything is done.

use pipeline::{Error, LedgerWindow, ReplayKind, ReplayOptions, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The request in an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A scheduled run.
    Scheduled,
    /// A range of ledgers.
    Replay(Replay),
    /// The plan of a range.
    Plan(Replay),
    /// The state at a checkpoint; `None` for the newest.
    Snapshot(Option<u32>),
}

/// A range and the options of its replay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// The ledgers.
    pub(crate) range: LedgerWindow,
    /// The options: whether completed windows are replaced, and the length of windows.
    pub(crate) options: ReplayOptions,
}

/// The fields of a replay and of a plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    start_ledger: u32,
    end_ledger: u32,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    window_ledgers: Option<u32>,
}

/// The fields of an event from EventBridge or EventBridge Scheduler.
const ENVELOPE: [&str; 10] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
    "replay-name",
];

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// [`Error::Usage`] for anything other than the variants.
    pub(crate) fn read(event: Value) -> Result<Self> {
        let Value::Object(mut fields) = event else {
            return Err(refused("it is not an object"));
        };
        if fields.is_empty() {
            return Ok(Event::Scheduled);
        }
        if fields.get("source").and_then(Value::as_str).is_some_and(|source| source.starts_with("aws.")) {
            return match fields.keys().find(|name| !ENVELOPE.contains(&name.as_str())) {
                None => Ok(Event::Scheduled),
                Some(unknown) => Err(refused(format!("an EventBridge event has no field {unknown:?}"))),
            };
        }
        match fields.remove("action") {
            None => replay(fields).map(Event::Replay),
            Some(action) if action == "plan" => replay(fields).map(Event::Plan),
            Some(action) if action == "snapshot" => snapshot(fields),
            Some(other) => {
                Err(refused(format!("the action {other} is unknown, use \"plan\" or \"snapshot\"")))
            }
        }
    }
}

/// The fields of a snapshot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint {
    #[serde(default)]
    ledger: Option<u32>,
}

/// Reads the fields of a snapshot.
fn snapshot(fields: Map<String, Value>) -> Result<Event> {
    let Checkpoint { ledger } = serde_json::from_value(Value::Object(fields)).map_err(refused)?;
    Ok(Event::Snapshot(ledger))
}

/// Reads the fields of a replay.
fn replay(fields: Map<String, Value>) -> Result<Replay> {
    let Fields { start_ledger, end_ledger, force, window_ledgers } =
        serde_json::from_value(Value::Object(fields)).map_err(refused)?;
    if window_ledgers == Some(0) {
        return Err(refused("window_ledgers must be at least 1"));
    }
    let options = ReplayOptions { kind: kind(force), window_ledgers, ..ReplayOptions::default() };
    Ok(Replay { range: LedgerWindow::new(start_ledger, end_ledger)?, options })
}

/// The kind of a replay by event: an undeclared source is never trusted.
fn kind(force: bool) -> ReplayKind {
    if force { ReplayKind::Force { trust_end: false } } else { ReplayKind::Missing { trust_end: false } }
}

/// The error for an invalid event.
fn refused(problem: impl std::fmt::Display) -> Error {
    Error::Usage(format!("the event is refused: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: Value) -> Event {
        Event::read(event).unwrap()
    }

    #[track_caller]
    fn refuses(event: Value, because: &str) {
        let error = Event::read(event).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    fn replay(start: u32, end: u32, force: bool, window_ledgers: Option<u32>) -> Replay {
        let options = ReplayOptions { kind: kind(force), window_ledgers, ..ReplayOptions::default() };
        Replay { range: LedgerWindow::new(start, end).unwrap(), options }
    }

    #[test]
    fn schedules_come_in_three_shapes() {
        let rule = json!({
            "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
            "time": "2026-01-01T00:00:00Z", "region": "eu-west-1", "resources": [], "detail": {},
        });
        let scheduler = json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "time": "now"});
        for event in [json!({}), rule, scheduler] {
            assert_eq!(read(event), Event::Scheduled);
        }
    }

    #[test]
    fn a_replay_has_a_range_and_may_force_and_size_its_windows() {
        let plain = replay(5, 9, false, None);
        assert_eq!(read(json!({"start_ledger": 5, "end_ledger": 9})), Event::Replay(plain));
        let full = replay(0, u32::MAX, true, Some(2000));
        let event =
            json!({"start_ledger": 0, "end_ledger": 4294967295u32, "force": true, "window_ledgers": 2000});
        assert_eq!(read(event), Event::Replay(full));
        let null = json!({"start_ledger": 5, "end_ledger": 5, "window_ledgers": null});
        assert_eq!(read(null), Event::Replay(replay(5, 5, false, None)));
    }

    #[test]
    fn a_snapshot_is_asked_for_by_its_action_and_may_name_a_checkpoint() {
        assert_eq!(read(json!({"action": "snapshot"})), Event::Snapshot(None));
        assert_eq!(read(json!({"action": "snapshot", "ledger": 63})), Event::Snapshot(Some(63)));
        refuses(json!({"action": "snapshot", "ledger": "latest"}), "invalid type");
        refuses(json!({"action": "snapshot", "start_ledger": 1}), "unknown field");
    }

    #[test]
    fn a_plan_is_asked_for_by_its_action() {
        let plan = replay(1, 2, false, Some(7));
        let event = json!({"action": "plan", "start_ledger": 1, "end_ledger": 2, "window_ledgers": 7});
        assert_eq!(read(event), Event::Plan(plan));
    }

    #[test]
    fn whatever_else_is_refused_in_words() {
        refuses(json!([1]), "not an object");
        refuses(json!("run"), "not an object");
        refuses(json!({"start_ledger": 5}), "missing field `end_ledger`");
        refuses(json!({"start_ledger": 9, "end_ledger": 5}), "reversed");
        refuses(json!({"start_ledger": 5, "end_ledger": 4294967296u64}), "4294967296");
        refuses(json!({"start_ledger": -1, "end_ledger": 5}), "-1");
        refuses(json!({"start_ledger": "1", "end_ledger": 5}), "expected u32");
        refuses(json!({"start_ledger": 1, "end_ledger": 5, "forse": true}), "unknown field `forse`");
        refuses(json!({"start_ledger": 1, "end_ledger": 5, "window_ledgers": 0}), "at least 1");
        refuses(json!({"action": "drop", "start_ledger": 1, "end_ledger": 5}), "\"drop\" is unknown");
        refuses(json!({"source": "aws.s3", "bucket": 1}), "no field \"bucket\"");
        refuses(json!({"source": "me"}), "unknown field `source`");
    }
}
