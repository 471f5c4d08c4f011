//! Drain: one window of rows out of Flight, proven complete or refused.

use std::collections::VecDeque;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use arrow_flight::FlightEndpoint;
use arrow_flight::decode::FlightRecordBatchStream;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use std::sync::Arc;

use crate::columns::Columns;
use crate::dataset::{Evidence, STAGED_SCHEMA, position};
use crate::error::{Error, Result, of};
use crate::window::LedgerWindow;

mod flight;
mod numbering;

pub(crate) use flight::Flight;
pub use flight::SourceRange;
use numbering::Numbering;

/// What the source says it has of a window that was asked for.
#[derive(Debug)]
pub(crate) enum Offer {
    /// Nothing yet: the window lies beyond the tip.
    NothingYet,
    /// These ledgers, ready to be drained.
    Ledgers(Box<DeclaredWindow>),
}

/// A window that the source vouches for, with the number of its rows: what a drain is measured against.
#[derive(Debug)]
pub(crate) struct DeclaredWindow {
    /// The ledgers: the start that was asked for, the end that was asked for or the tip before it.
    pub(crate) window: LedgerWindow,
    /// How many rows the source says there are.
    pub(crate) total_records: u64,
    /// Whether a ledger may go on in a later endpoint.
    ordered: bool,
    /// Where the rows are, in the order to drain them.
    endpoints: VecDeque<FlightEndpoint>,
    /// When the last ledger closed, if the source says so.
    pub(crate) latest_closed_at: Option<DateTime<Utc>>,
}

/// A batch of rows in the staged columns.
#[derive(Debug)]
pub(crate) enum Drained {
    /// The next rows, in order of (ledger, change index).
    Batch(RecordBatch),
    /// A ledger came after a later one: whoever streams has to sort, see [`Drain::out_of_order`].
    OutOfOrder(RecordBatch),
    /// The end, proven: exactly the declared rows have arrived.
    Complete(Evidence),
}

/// A drain under way. [`next`](Drain::next) until it says [`Drained::Complete`]; anything else is no window.
pub(crate) struct Drain<'a> {
    flight: &'a Flight,
    declared: DeclaredWindow,
    endpoint: usize,
    stream: Option<OpenStream>,
    numbering: Numbering,
    received: u64,
    timeout: Duration,
}

/// The endpoint being read.
struct OpenStream {
    batches: FlightRecordBatchStream,
    columns: Option<Columns>,
}

/// Opens the drain of a declared window.
pub(crate) fn drain(flight: &Flight, declared: DeclaredWindow) -> Drain<'_> {
    Drain {
        timeout: flight.timeout(),
        flight,
        numbering: Numbering::new(declared.ordered),
        declared,
        endpoint: 0,
        stream: None,
        received: 0,
    }
}

impl Drain<'_> {
    /// The next batch, at most as large as the source sent it.
    ///
    /// # Errors
    /// [`Error::Source`] when the stream is cut, falls silent for `FLIGHT_TIMEOUT`, leaves the window, repeats a ledger in
    /// another endpoint, or ends with other rows than declared; [`Error::BadData`] for a value that cannot be staged.
    pub(crate) async fn next(&mut self) -> Result<Drained> {
        loop {
            let Some(stream) = &mut self.stream else {
                let Some(endpoint) = self.declared.endpoints.pop_front() else {
                    return self.prove_complete();
                };
                let batches = self.flight.open(endpoint, self.declared.window).await?;
                self.endpoint += 1;
                self.stream = Some(OpenStream { batches, columns: None });
                continue;
            };
            let next = tokio::time::timeout(self.timeout, stream.batches.next()).await;
            let batch = match next {
                Err(_) => {
                    return Err(Error::source_transient(format!(
                        "silent for {} in the middle of {}",
                        humantime::format_duration(self.timeout),
                        of(self.declared.window)
                    )));
                }
                Ok(None) => {
                    self.stream = None;
                    continue;
                }
                Ok(Some(batch)) => {
                    batch.map_err(|e| flight::failure("the stream broke", self.declared.window, e))?
                }
            };
            let columns = match &stream.columns {
                Some(columns) => columns,
                None => stream.columns.insert(Columns::find(&batch.schema())?),
            };
            if batch.num_rows() > 0 {
                let arrays = columns.read(&batch)?;
                return self.accept(arrays);
            }
        }
    }

    /// Checks a batch against the window and what was declared, and numbers its rows.
    fn accept(&mut self, mut arrays: Vec<ArrayRef>) -> Result<Drained> {
        let ledgers = arrays[position::LEDGER_SEQUENCE].as_primitive::<UInt32Type>();
        let window = self.declared.window;
        if let Some(outside) = ledgers.values().iter().find(|l| !window.contains(**l)) {
            return Err(Error::source_transient(format!(
                "sent a row of ledger {outside}, outside {}",
                of(window)
            )));
        }
        self.received += ledgers.len() as u64;
        if self.received > self.declared.total_records {
            return Err(Error::source_transient(format!(
                "sent more than the {} rows it declared for {}",
                self.declared.total_records,
                of(window)
            )));
        }
        let numbered = self.numbering.number(self.endpoint, ledgers.values())?;
        arrays.push(Arc::new(numbered.change_index));
        let batch = RecordBatch::try_new(Arc::clone(&STAGED_SCHEMA), arrays)
            .map_err(|e| Error::Unexpected(format!("staged columns do not fit their schema: {e}")))?;
        Ok(if numbered.in_order { Drained::Batch(batch) } else { Drained::OutOfOrder(batch) })
    }

    /// The end of the last stream proves nothing by itself; the declared number of rows does.
    fn prove_complete(&self) -> Result<Drained> {
        if self.received == self.declared.total_records {
            return Ok(Drained::Complete(Evidence::Declared));
        }
        Err(Error::source_transient(format!(
            "ended after {} of the {} rows it declared for {}",
            self.received,
            self.declared.total_records,
            of(self.declared.window)
        )))
    }
}
