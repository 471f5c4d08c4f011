//! Requests to a source and its declarations, as Flight carries them: the path of a descriptor, and `app_metadata`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::contract::window::LedgerWindow;

/// The port of a source, unless another is given.
pub const PORT: u16 = 8816;

/// The path of a request for everything the source has. For a window, its start and its end follow.
pub const PATH: [&str; 2] = ["contract", "data"];

/// The path of a request for a window, or for everything the source has.
pub fn path(window: Option<LedgerWindow>) -> Vec<String> {
    let ledgers = window.map(|window| [window.start().to_string(), window.end().to_string()]);
    PATH.map(str::to_owned).into_iter().chain(ledgers.into_iter().flatten()).collect()
}

/// The source's `app_metadata`, for a window or for everything it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRange {
    /// The first ledger it vouches for.
    pub start_ledger: i64,
    /// The last ledger it vouches for; if lower than the start, it has none.
    pub end_ledger: i64,
    /// When the last ledger closed.
    #[serde(default)]
    pub latest_closed_at: Option<DateTime<Utc>>,
}

impl SourceRange {
    /// Reads `app_metadata`; `None` if it violates the contract.
    pub fn from_metadata(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Writes `app_metadata`, without the close time if there is none.
    pub fn to_metadata(&self) -> String {
        let mut json = serde_json::json!(self);
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        json.to_string()
    }

    /// The ledgers; `None` when there are none.
    pub fn ledgers(&self) -> Option<LedgerWindow> {
        let start = u32::try_from(self.start_ledger).ok()?;
        let end = u32::try_from(self.end_ledger).ok()?;
        LedgerWindow::new(start, end).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(range: &SourceRange) -> serde_json::Value {
        serde_json::from_str(&range.to_metadata()).unwrap()
    }

    fn metadata(json: &str) -> Option<SourceRange> {
        SourceRange::from_metadata(json.as_bytes())
    }

    #[test]
    fn metadata_is_read_or_is_none() {
        let range = metadata(r#"{"start_ledger":1,"end_ledger":4294967295,"more":[1]}"#).unwrap();
        assert_eq!(range.ledgers(), Some(LedgerWindow::new(1, u32::MAX).unwrap()));
        assert_eq!(range.latest_closed_at, None);
        let closed =
            metadata(r#"{"start_ledger":1,"end_ledger":2,"latest_closed_at":"2026-01-02T03:04:05+01:00"}"#);
        let closed = closed.unwrap().latest_closed_at.unwrap();
        assert_eq!(closed.to_rfc3339(), "2026-01-02T02:04:05+00:00");
        for wrong in
            ["", "{}", "null", r#"{"start_ledger":"1","end_ledger":2}"#, r#"{"start_ledger":1}"#, "{"]
        {
            assert_eq!(metadata(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_declaration_is_read_as_it_was_written() {
        let closed_at = DateTime::from_timestamp(1_767_323_045, 0);
        let range = SourceRange { start_ledger: 1, end_ledger: 2, latest_closed_at: closed_at };
        let json = serde_json::json!({
            "start_ledger": 1, "end_ledger": 2, "latest_closed_at": "2026-01-02T03:04:05Z"
        });
        assert_eq!(written(&range), json);
        assert_eq!(metadata(&range.to_metadata()), Some(range));
        let open = SourceRange { start_ledger: 3, end_ledger: 2, latest_closed_at: None };
        assert_eq!(written(&open), serde_json::json!({"start_ledger": 3, "end_ledger": 2}));
    }

    #[test]
    fn a_path_names_everything_or_a_window() {
        assert_eq!(path(None), ["contract", "data"]);
        assert_eq!(path(LedgerWindow::new(7, 9).ok()), ["contract", "data", "7", "9"]);
    }

    #[test]
    fn a_range_without_ledgers_has_none() {
        let ledgers = |start_ledger, end_ledger| {
            SourceRange { start_ledger, end_ledger, latest_closed_at: None }.ledgers()
        };
        assert_eq!(ledgers(5, 4), None);
        assert_eq!(ledgers(-1, 4), None);
        assert_eq!(ledgers(0, 1 << 32), None);
        assert_eq!(ledgers(7, 7), Some(LedgerWindow::new(7, 7).unwrap()));
    }
}
