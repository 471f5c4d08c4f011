//! Drain: reads one window of rows from Flight, and proves it complete or refuses it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use futures::StreamExt;
use tokio::time::Instant;

use super::decode::Decoder;
use super::flight::{Flight, Messages, failure};
use super::numbering::Numbering;
use super::offer::OfferedWindow;
use super::pieces::Pieces;
use crate::contract::evidence::Evidence;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};
use crate::spill::{Spill, Spilled};

/// A drain may wait this many times `FLIGHT_TIMEOUT` in all: half an hour with a timeout of a minute. The timeout
/// itself applies to each message, so a source that sends tiny or empty messages could otherwise hold a drain for days.
const PATIENCE: u32 = 30;

/// One result of a drain.
#[derive(Debug)]
pub(crate) enum Drained {
    /// The next rows, in order of (ledger, change index).
    Batch(RecordBatch),
    /// A ledger came after a later one: the caller has to sort.
    OutOfOrder(RecordBatch),
    /// The end, the evidence, and the ledgers proven, if any.
    Complete(Evidence, Option<LedgerWindow>),
}

/// A drain in progress. Call [`next`](Drain::next) until it returns [`Drained::Complete`]; without that there is no
/// window.
pub(crate) struct Drain<'a> {
    flight: &'a Flight,
    offered: OfferedWindow,
    endpoint: usize,
    stream: Option<OpenStream>,
    table: Table,
    numbering: Numbering,
    received: u64,
    /// Rows of the last ledger seen, held back until a later ledger proves it whole; only for [`Evidence::BeforeLast`].
    held: Option<Held>,
    /// Rows of whole ledgers that are to be returned next: first those that were held back, then the others.
    proven: (Option<Spilled>, Option<RecordBatch>),
    timeout: Duration,
    /// The remaining total wait for the source, without the time that staging takes.
    patience: Duration,
    /// Told how many rows have arrived.
    watch: Option<Box<dyn Fn(u64) + Send + Sync + 'a>>,
}

/// The endpoint being read.
struct OpenStream {
    messages: Messages,
    decoder: Decoder,
    /// The rows of the last message that are not returned yet.
    pieces: Option<Pieces>,
}

/// The rows of one ledger, on local disk: a ledger may have any number of them.
struct Held {
    ledger: u32,
    rows: Spill,
}

/// Opens the drain of an offered window.
pub(crate) fn drain(flight: &Flight, offered: OfferedWindow) -> Drain<'_> {
    Drain {
        timeout: flight.timeout(),
        patience: flight.timeout().saturating_mul(PATIENCE),
        flight,
        table: offered.table,
        numbering: Numbering::new(offered.ordered),
        offered,
        endpoint: 0,
        stream: None,
        received: 0,
        held: None,
        proven: (None, None),
        watch: None,
    }
}

impl<'a> Drain<'a> {
    /// Tells `watch` of rows as they arrive.
    pub(crate) fn watched(self, watch: impl Fn(u64) + Send + Sync + 'a) -> Self {
        Drain { watch: Some(Box::new(watch)), ..self }
    }

    /// The next batch, of 8 MiB at most.
    ///
    /// # Errors
    /// [`Error::Source`] when the stream is cut, falls silent for `FLIGHT_TIMEOUT`, takes 30 times as long in all,
    /// leaves the window, repeats a ledger in another endpoint, or ends with another number of rows than declared;
    /// [`Error::BadData`] for a value that cannot be staged; [`Error::Staging`] when local disk fails.
    pub(crate) async fn next(&mut self) -> Result<Drained> {
        loop {
            if let Some(batch) = self.next_proven()? {
                return Ok(Drained::Batch(batch));
            }
            let window = self.offered.window;
            let Some(stream) = &mut self.stream else {
                let Some(endpoint) = self.offered.endpoints.pop_front() else {
                    return self.complete();
                };
                let begun = Instant::now();
                let messages = self.flight.open(endpoint, window).await?;
                self.patience = self.patience.saturating_sub(begun.elapsed());
                self.endpoint += 1;
                self.stream = Some(OpenStream::of(self.table, messages));
                continue;
            };
            if let Some(pieces) = &mut stream.pieces {
                match pieces.next()? {
                    None => stream.pieces = None,
                    Some(arrays) => {
                        if let Some(drained) = self.accept(arrays)? {
                            return Ok(drained);
                        }
                    }
                }
                continue;
            }
            let begun = Instant::now();
            let next = tokio::time::timeout(self.timeout.min(self.patience), stream.messages.next()).await;
            self.patience = self.patience.saturating_sub(begun.elapsed());
            match next {
                Err(_) => return Err(self.gave_up()),
                Ok(None) => self.stream = None,
                Ok(Some(message)) => {
                    let message = message.map_err(|e| failure("the stream broke", window, e))?;
                    stream.pieces =
                        stream.decoder.decode(message, window)?.map(|rows| Pieces::of(self.table, rows));
                }
            }
        }
    }

    /// The error for a wait that timed out.
    fn gave_up(&self) -> Error {
        let window = self.offered.window;
        if self.patience > Duration::ZERO {
            let silence = humantime::format_duration(self.timeout);
            return Error::source_transient(format!(
                "sent nothing for {silence} in the middle of ledgers {window}"
            ));
        }
        Error::source_transient(format!(
            "kept the loader waiting for {} in all, and sent {} rows of ledgers {window}: use smaller windows, or raise FLIGHT_TIMEOUT",
            humantime::format_duration(self.timeout.saturating_mul(PATIENCE)),
            self.received
        ))
    }

    /// Checks a batch against the window and the declaration, and numbers its rows. `None` when all of it is held back.
    fn accept(&mut self, mut arrays: Vec<ArrayRef>) -> Result<Option<Drained>> {
        let ledgers = arrays[self.table.ledger()].as_primitive::<UInt32Type>();
        let window = self.offered.window;
        if let Some(outside) = ledgers.values().iter().find(|l| !window.contains(**l)) {
            return Err(Error::source_transient(format!(
                "sent a row of ledger {outside}, outside ledgers {window}"
            )));
        }
        self.received += ledgers.len() as u64;
        if let Some(watch) = &self.watch {
            watch(ledgers.len() as u64);
        }
        if let Some(total) = self.offered.total_records.filter(|total| self.received > *total) {
            return Err(Error::source_transient(format!(
                "sent more than the {total} rows it declared for ledgers {window}"
            )));
        }
        let numbered = self.numbering.number(self.endpoint, ledgers.values())?;
        let last = ledgers.values().last().copied();
        let complete_rows = ledgers.values().partition_point(|ledger| Some(*ledger) != last);
        arrays.push(Arc::new(numbered.change_index));
        let batch = RecordBatch::try_new(self.table.staged_schema(), arrays)
            .map_err(|e| Error::Unexpected(format!("staged columns do not fit their schema: {e}")))?;
        if self.offered.evidence != Evidence::BeforeLast {
            return Ok(Some(if numbered.in_order {
                Drained::Batch(batch)
            } else {
                Drained::OutOfOrder(batch)
            }));
        }
        if !numbered.in_order {
            return Err(Error::source_permanent(format!(
                "neither declares ledgers {window} nor sends its ledgers in order, so no ledger can be proven whole"
            )));
        }
        self.hold_back(&batch, last, complete_rows)?;
        Ok(None)
    }

    /// Passes the rows of whole ledgers on, and holds back those of the last one seen.
    fn hold_back(&mut self, batch: &RecordBatch, last: Option<u32>, complete_rows: usize) -> Result<()> {
        let Some(ledger) = last else { return Ok(()) };
        let mut held = match self.held.take() {
            Some(held) if held.ledger == ledger => held,
            earlier => {
                let spilled = earlier.map(|held| held.rows.finish()).transpose()?;
                let whole = (complete_rows > 0).then(|| batch.slice(0, complete_rows));
                self.proven = (spilled, whole);
                Held { ledger, rows: Spill::create(self.table)? }
            }
        };
        held.rows.write(&batch.slice(complete_rows, batch.num_rows() - complete_rows))?;
        self.held = Some(held);
        Ok(())
    }

    /// The next rows of whole ledgers that were held back, or came with those that are.
    fn next_proven(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(spilled) = &mut self.proven.0 {
            if let Some(batch) = spilled.next()? {
                return Ok(Some(batch));
            }
            self.proven.0 = None;
        }
        Ok(self.proven.1.take())
    }

    /// The end of the last stream proves nothing; the declared number of rows does.
    fn complete(&self) -> Result<Drained> {
        let window = self.offered.window;
        if let Some(total) = self.offered.total_records.filter(|total| self.received != *total) {
            return Err(Error::source_transient(format!(
                "ended after {} of the {total} rows it declared for ledgers {window}",
                self.received
            )));
        }
        let proven = match self.offered.evidence {
            Evidence::Declared | Evidence::TrustedEnd => Some(window),
            Evidence::BeforeLast => {
                let last = self.held.as_ref().and_then(|held| held.ledger.checked_sub(1));
                last.and_then(|end| window.until(end))
            }
        };
        Ok(Drained::Complete(self.offered.evidence, proven))
    }
}

impl OpenStream {
    fn of(table: Table, messages: Messages) -> Self {
        OpenStream { messages, decoder: Decoder::new(table), pieces: None }
    }
}

#[cfg(test)]
mod tests;
