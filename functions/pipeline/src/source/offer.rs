//! The offer: what the source says it has, of a window or of everything, and what that proves.

use std::collections::VecDeque;

use arrow_flight::{FlightEndpoint, FlightInfo};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::contract::evidence::Evidence;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

/// What the source says of itself in `app_metadata`, for a window or for all it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRange {
    /// The first ledger it vouches for.
    pub start_ledger: i64,
    /// The last ledger it vouches for; before the start, it has nothing.
    pub end_ledger: i64,
    /// When the last ledger closed.
    #[serde(default)]
    pub latest_closed_at: Option<DateTime<Utc>>,
}

impl SourceRange {
    /// The ledgers; `None` when there are none.
    pub fn ledgers(&self) -> Option<LedgerWindow> {
        let start = u32::try_from(self.start_ledger).ok()?;
        let end = u32::try_from(self.end_ledger).ok()?;
        LedgerWindow::new(start, end).ok()
    }
}

/// How much is believed of a source that does not declare what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: a schedule has nobody to ask.
    Nothing,
    /// That ledgers come in order and whole: all but the last one seen, which may be cut.
    BeforeLast,
    /// That a clean end of stream is the end: what an operator vouches for.
    WholeStream,
}

/// What the source says it has of a window that was asked for.
#[derive(Debug)]
pub(crate) enum Offer {
    /// Nothing yet: the window lies beyond the tip.
    NothingYet,
    /// These ledgers, ready to be drained.
    Ledgers(Box<OfferedWindow>),
}

/// A window that the source offers, and what a drain of it is measured against.
#[derive(Debug)]
pub(crate) struct OfferedWindow {
    /// The ledgers: the start that was asked for, the end that was asked for or the tip before it.
    pub(crate) window: LedgerWindow,
    /// What will have proven it complete.
    pub(super) evidence: Evidence,
    /// How many rows the source says there are.
    pub(super) total_records: Option<u64>,
    /// Whether a ledger may go on in a later endpoint.
    pub(super) ordered: bool,
    /// Where the rows are, in the order to drain them.
    pub(super) endpoints: VecDeque<FlightEndpoint>,
    /// When the last ledger closed, if the source says so.
    pub(crate) latest_closed_at: Option<DateTime<Utc>>,
}

impl Offer {
    /// Reads the answer of `GetFlightInfo` for a window.
    ///
    /// # Errors
    /// [`Error::Source`] when the source no longer has the start, or leaves out what would prove the window complete and is
    /// not trusted without.
    pub(super) fn read(info: FlightInfo, asked: LedgerWindow, trust: Trust) -> Result<Self> {
        let start = i64::from(asked.start());
        let vouched = read_metadata(&info);
        let mut window = asked;
        if let Some(vouched) = &vouched {
            if vouched.end_ledger < start {
                return Ok(Offer::NothingYet);
            }
            if vouched.start_ledger > start {
                return Err(Error::source_permanent(format!(
                    "no longer has ledger {start}: its first is {}",
                    vouched.start_ledger
                )));
            }
            // vouched.end_ledger >= start, so something of the window is left
            let end = u32::try_from(vouched.end_ledger).unwrap_or(u32::MAX);
            window =
                asked.until(end).ok_or_else(|| Error::Unexpected("an offer before its start".to_owned()))?;
        }
        let total_records = u64::try_from(info.total_records).ok();
        let missing = match &vouched {
            None => Some("app_metadata does not say which ledgers it vouches for"),
            Some(vouched) if vouched.start_ledger < start => Some("app_metadata speaks of another start"),
            Some(_) if total_records.is_none() => Some("total_records is not given"),
            Some(_) => None,
        };
        let evidence = match (missing, trust) {
            (None, _) => Evidence::Declared,
            (Some(missing), Trust::Nothing) => return Err(undeclared(asked, missing)),
            (Some(_), Trust::WholeStream) => Evidence::TrustedEnd,
            (Some(_), Trust::BeforeLast) if info.endpoint.len() == 1 => Evidence::BeforeLast,
            (Some(_), Trust::BeforeLast) => {
                return Err(undeclared(
                    asked,
                    "it has several endpoints and no total, and only one can be followed",
                ));
            }
        };
        Ok(Offer::Ledgers(Box::new(OfferedWindow {
            window,
            evidence,
            total_records,
            ordered: info.ordered,
            endpoints: info.endpoint.into(),
            latest_closed_at: vouched.and_then(|v| v.latest_closed_at),
        })))
    }
}

/// Reads `app_metadata`; `None` when it is not what the contract says.
pub(super) fn read_metadata(info: &FlightInfo) -> Option<SourceRange> {
    serde_json::from_slice(&info.app_metadata).ok()
}

/// A source that does not declare what it sends cannot be proven complete.
fn undeclared(asked: LedgerWindow, reason: &str) -> Error {
    Error::source_permanent(format!(
        "does not declare ledgers {asked}: {reason}, so nothing would prove it complete; `--trust-end` or FLIGHT_TRUST_END takes its word"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Option<SourceRange> {
        read_metadata(&FlightInfo::new().with_app_metadata(json.to_owned()))
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
