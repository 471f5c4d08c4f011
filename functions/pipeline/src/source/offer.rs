//! The offer: the source's declaration, for a window or for everything, and the evidence that it gives.

use std::collections::VecDeque;

use arrow_flight::{FlightEndpoint, FlightInfo};
use chrono::{DateTime, Utc};

use crate::contract::checkpoint::Checkpoint;
use crate::contract::evidence::Evidence;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::contract::wire::SourceRange;
use crate::error::{Error, Result};

/// How far an undeclared source is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Not at all: a schedule has no operator to decide.
    Nothing,
    /// Ledgers come in order and whole, except the last one seen, which may be cut.
    BeforeLast,
    /// A clean end of stream is complete; an operator vouches for it.
    WholeStream,
}

/// The source's answer to a request for a window.
#[derive(Debug)]
pub(crate) enum Offer {
    /// Nothing yet: the window lies beyond the tip.
    NothingYet,
    /// These ledgers, ready to be drained.
    Ledgers(Box<OfferedWindow>),
}

/// A window that the source offers, and the declarations to check its drain against.
#[derive(Debug)]
pub(crate) struct OfferedWindow {
    /// The table of the rows.
    pub(crate) table: Table,
    /// The tables that the source has beside `data`; none if the window is undeclared, because nothing would prove them.
    pub(crate) sides: Vec<Table>,
    /// The ledgers: from the requested start to the requested end, or to the tip if that is lower.
    pub(crate) window: LedgerWindow,
    /// The evidence that a successful drain provides.
    pub(super) evidence: Evidence,
    /// The number of rows that the source declares.
    pub(super) total_records: Option<u64>,
    /// Whether a ledger may continue in a later endpoint.
    pub(super) ordered: bool,
    /// The endpoints with the rows, in drain order.
    pub(super) endpoints: VecDeque<FlightEndpoint>,
    /// When the last ledger closed, if the source declares it.
    pub(crate) latest_closed_at: Option<DateTime<Utc>>,
    /// The hash of the last ledger's header, if the source declares it.
    pub(crate) latest_hash: Option<String>,
}

impl OfferedWindow {
    /// Reads the answer of `GetFlightInfo` for a table of the state at a checkpoint: rows of one ledger.
    ///
    /// # Errors
    /// [`Error::Source`] when it is the state at another checkpoint, or its rows are not counted.
    pub(super) fn of_state(
        table: Table,
        info: FlightInfo,
        checkpoint: &Checkpoint,
        asked: u32,
    ) -> Result<Self> {
        if checkpoint.ledger != asked {
            return Err(Error::source_permanent(format!(
                "answers with the state at checkpoint {} for that at {asked}",
                checkpoint.ledger
            )));
        }
        let total_records = u64::try_from(info.total_records).map_err(|_| {
            let missing = "total_records is not given, so nothing proves it complete";
            Error::source_permanent(format!("does not declare the state at checkpoint {asked}: {missing}"))
        })?;
        Ok(OfferedWindow {
            table,
            sides: Table::SIDES.into_iter().filter(|side| checkpoint.tables.contains(side)).collect(),
            window: LedgerWindow::single(asked),
            evidence: Evidence::Declared,
            total_records: Some(total_records),
            ordered: info.ordered,
            endpoints: info.endpoint.into(),
            latest_closed_at: None,
            latest_hash: None,
        })
    }

    /// The number of rows that the source declares.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.total_records
    }
}

impl Offer {
    /// Reads the answer of `GetFlightInfo` for a window.
    ///
    /// # Errors
    /// [`Error::Source`] when the source no longer has the start, when a value of its declaration cannot be read, or when it
    /// is undeclared and not trusted.
    pub(super) fn read(table: Table, info: FlightInfo, asked: LedgerWindow, trust: Trust) -> Result<Self> {
        let start = i64::from(asked.start());
        let vouched = SourceRange::from_metadata(&info.app_metadata)?;
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
            // vouched.end_ledger >= start, so part of the window is left
            let end = u32::try_from(vouched.end_ledger).unwrap_or(u32::MAX);
            window = asked
                .until(end)
                .ok_or_else(|| Error::Unexpected("an offer that ends before its start".to_owned()))?;
        }
        let total_records = u64::try_from(info.total_records).ok();
        let missing = match &vouched {
            None => Some("app_metadata does not state the ledgers that it vouches for"),
            Some(vouched) if vouched.start_ledger < start => Some("app_metadata states another start"),
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
                    "it has several endpoints without total_records, and only one is supported then",
                ));
            }
        };
        let sides = match (&vouched, evidence) {
            (Some(vouched), Evidence::Declared) => vouched.sides().collect(),
            _ => Vec::new(),
        };
        Ok(Offer::Ledgers(Box::new(OfferedWindow {
            table,
            sides,
            window,
            evidence,
            total_records,
            ordered: info.ordered,
            endpoints: info.endpoint.into(),
            latest_closed_at: vouched.as_ref().and_then(|v| v.latest_closed_at),
            latest_hash: vouched.and_then(|v| v.latest_hash),
        })))
    }
}

/// An undeclared window cannot be proven complete.
fn undeclared(asked: LedgerWindow, reason: &str) -> Error {
    Error::source_permanent(format!(
        "does not declare ledgers {asked}: {reason}, so nothing proves it complete; `--trust-end` or FLIGHT_TRUST_END accepts it anyway"
    ))
}
