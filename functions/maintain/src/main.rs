//! `maintain`: the function that migrates the schema and maintains its tables, under the role that owns them.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lambda_host::Invocation;
use pipeline::{Error, Result};
use serde_json::Value;

fn main() -> ExitCode {
    lambda_host::serve(handle)
}

/// Answers an event: `{"action":"migrate"}`, or `{"action":"maintain"}`.
async fn handle(event: Value, invocation: Invocation) -> Result<Value> {
    let config = invocation.clients.config();
    let answer = match action(&event)? {
        Action::Migrate => serde_json::to_value(pipeline::migrate(config).await?),
        Action::Maintain => serde_json::to_value(pipeline::maintain(config, false).await?),
    };
    answer.map_err(|e| Error::Unexpected(e.to_string()))
}

/// The actions of the function.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Bring the schema up to date.
    Migrate,
    /// Do the regular maintenance.
    Maintain,
}

/// Reads an event, strictly.
///
/// # Errors
/// [`Error::Usage`] for anything else.
fn action(event: &Value) -> Result<Action> {
    let fields = event.as_object().filter(|fields| fields.len() == 1);
    match fields.and_then(|fields| fields.get("action")).and_then(Value::as_str) {
        Some("migrate") => Ok(Action::Migrate),
        Some("maintain") => Ok(Action::Maintain),
        _ => Err(Error::Usage(
            "the event is refused: send {\"action\":\"migrate\"} or {\"action\":\"maintain\"}".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_actions_are_known() {
        assert_eq!(action(&json!({"action": "migrate"})).unwrap(), Action::Migrate);
        assert_eq!(action(&json!({"action": "maintain"})).unwrap(), Action::Maintain);
    }

    #[test]
    fn whatever_else_is_refused() {
        let events = [
            json!({}),
            json!([]),
            json!(null),
            json!({"action": "drop"}),
            json!({"action": 1}),
            json!({"action": "migrate", "force": true}),
            json!({"start_ledger": 1, "end_ledger": 2}),
        ];
        for event in events {
            let error = action(&event).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{event}: {error}");
        }
    }
}
