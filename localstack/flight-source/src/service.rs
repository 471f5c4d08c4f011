//! The Flight service: descriptors in; the ledgers and rows of a window out, or those of the state at a checkpoint.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::{FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream, StreamExt};
use pipeline::contract::checkpoint::{state_name, state_path};
use pipeline::contract::tables::Table;
use pipeline::contract::wire::path;
use pipeline::contract::xdr::base16;
use pipeline::{LedgerWindow, SourceRange};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::dataset::{Batches, Count, split};
use crate::sources::Sources;
use crate::ticket;

mod asked;

use asked::{Asked, asked};

/// Makes rows in batches of at most this many.
type Make = Box<dyn FnOnce(usize) -> Batches + Send>;

/// Counts the open streams of rows.
#[derive(Debug, Clone, Default)]
pub struct OpenStreams(Arc<AtomicUsize>);

impl OpenStreams {
    /// How many are open now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn enter(&self) -> StreamGuard {
        self.0.fetch_add(1, Ordering::SeqCst);
        StreamGuard(self.0.clone())
    }
}

struct StreamGuard(Arc<AtomicUsize>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The service of a dataset, an archive, or both.
pub(crate) struct ContractData {
    sources: Sources,
    batch_rows: usize,
    endpoints: u32,
    streams: OpenStreams,
}

impl ContractData {
    /// Serves `sources` in batches of up to `batch_rows` rows and windows of up to `endpoints` endpoints.
    pub(crate) fn new(sources: Sources, batch_rows: usize, endpoints: u32, streams: OpenStreams) -> Self {
        Self { sources, batch_rows, endpoints, streams }
    }

    /// The answer for a window of a table, or for everything in it.
    async fn info(
        &self,
        descriptor: FlightDescriptor,
        (table, asked): (Table, Option<LedgerWindow>),
    ) -> Result<FlightInfo, Status> {
        let dataset = self.sources.ledgers()?;
        let extent = dataset.extent().await?;
        let wanted = asked.unwrap_or(extent);
        let (start, end) = (wanted.start().max(extent.start()), wanted.end().min(extent.end()));
        let (count, endpoints) = match (asked, LedgerWindow::new(start, end)) {
            (None, _) => (dataset.summary(table, extent).await?, Vec::new()),
            (Some(_), Ok(window)) => (dataset.count(table, window).await?, slices(window, self.endpoints)),
            // the window is beyond the tip, or before the first ledger
            (Some(_), Err(_)) => (Count { rows: Some(0), close: dataset.close(end).await? }, Vec::new()),
        };
        let available = SourceRange {
            start_ledger: start.into(),
            end_ledger: end.into(),
            latest_closed_at: count.close.at,
            latest_hash: count.close.hash.map(|hash| base16(&hash)),
            tables: dataset.tables().to_vec(),
        };
        let tickets = endpoints.into_iter().map(|slice| ticket::write(dataset.name(), table, slice).to_vec());
        answer(descriptor, dataset.schema(table), count.rows, available.to_metadata(), tickets.collect())
    }

    /// The answer for a table of the state at a checkpoint, or for the checkpoints that there are.
    async fn state_info(
        &self,
        descriptor: FlightDescriptor,
        (table, asked): (Table, Option<u32>),
    ) -> Result<FlightInfo, Status> {
        let archive = self.sources.state()?;
        let schema = table.source_schema();
        let Some(ledger) = asked else {
            let checkpoints = archive.checkpoints().await?;
            return answer(descriptor, schema, None, checkpoints.to_metadata(), Vec::new());
        };
        let state = archive.prepared(ledger).await.map_err(|error| Status::from(&*error))?;
        let ticket = ticket::write_state(archive.name(), table, ledger).to_vec();
        answer(descriptor, schema, Some(state.rows(table)), state.checkpoint.to_metadata(), vec![ticket])
    }

    /// The rows that a ticket is for.
    async fn rows(&self, ticket: &[u8]) -> Result<(String, SchemaRef, Make), Status> {
        if let Some(archive) = &self.sources.state
            && let Some((table, ledger)) = ticket::read_state(archive.name(), ticket)
        {
            let state = archive.last(ledger).ok_or_else(|| {
                Status::unavailable(format!(
                    "the state at checkpoint {ledger} is no longer prepared: ask for its FlightInfo again"
                ))
            })?;
            let what = format!("{} at {ledger}", state_name(table));
            let make = Box::new(move |batch_rows| state.batches(table, batch_rows));
            return Ok((what, table.source_schema(), make));
        }
        let refused =
            || Status::invalid_argument("this source did not issue the ticket: ask GetFlightInfo first");
        let Some(dataset) = self.sources.ledgers.clone() else { return Err(refused()) };
        let extent = dataset.extent().await?;
        let (table, window) = ticket::read(dataset.name(), ticket)
            .filter(|(_, window)| extent.contains(window.start()) && extent.contains(window.end()))
            .filter(|(table, _)| dataset.tables().contains(table))
            .ok_or_else(refused)?;
        let (what, schema) = (format!("{} of {window}", table.name()), dataset.schema(table));
        Ok((what, schema, Box::new(move |batch_rows| dataset.batches(table, window, batch_rows))))
    }

    /// Streams rows. A thread of their own makes them, at most two batches ahead of the client; it ends when the client
    /// disconnects.
    fn stream(&self, what: String, make: Make) -> BoxStream<'static, Result<RecordBatch, FlightError>> {
        let (sender, receiver) = mpsc::channel(2);
        let (batch_rows, guard) = (self.batch_rows, self.streams.enter());
        let maker = tokio::task::spawn_blocking(move || {
            let guard = guard;
            let (started, mut rows, mut parts) = (Instant::now(), 0, Vec::new());
            for batch in make(batch_rows) {
                let split = |batch| split(batch, &mut parts);
                let sent = match batch.and_then(split) {
                    Ok(()) => parts.drain(..).try_for_each(|part| {
                        rows += part.num_rows();
                        sender.blocking_send(Ok(part))
                    }),
                    Err(error) => {
                        tracing::error!(what, "{}", error.chain());
                        sender.blocking_send(Err(FlightError::from(Status::from(error))))
                    }
                };
                if sent.is_err() {
                    tracing::info!(what, rows, "the client disconnected");
                    return;
                }
            }
            drop(guard);
            let duration_ms = started.elapsed().as_millis() as u64;
            tracing::info!(what, rows, duration_ms, "served");
        });
        // if the thread panics, the stream ends with an error instead of looking complete
        let end = stream::once(maker).filter_map(|ended| {
            future::ready(ended.err().map(|error| Err(FlightError::ExternalError(Box::new(error)))))
        });
        ReceiverStream::new(receiver).chain(end).boxed()
    }
}

fn encoder<S>(schema: SchemaRef, batches: S) -> FlightDataEncoder
where
    S: stream::Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
{
    // batches already have the size of a message
    FlightDataEncoderBuilder::new().with_schema(schema).with_max_flight_data_size(usize::MAX).build(batches)
}

/// The window in at most `parts` consecutive slices of about equal length.
fn slices(window: LedgerWindow, parts: u32) -> Vec<LedgerWindow> {
    let (ledgers, start) = (window.ledgers(), u64::from(window.start()));
    let parts = u64::from(parts.max(1)).min(ledgers);
    let slice = |i: u64| {
        let (first, next) = (start + ledgers * i / parts, start + ledgers * (i + 1) / parts);
        LedgerWindow::single(first as u32).span(LedgerWindow::single((next - 1) as u32))
    };
    (0..parts).map(slice).collect()
}

/// A table's schema on the wire: dictionaries are sent as their values.
fn on_the_wire(schema: SchemaRef) -> SchemaRef {
    encoder(schema.clone(), stream::empty()).known_schema().unwrap_or(schema)
}

/// An answer with one endpoint for each ticket.
fn answer(
    descriptor: FlightDescriptor,
    schema: SchemaRef,
    rows: Option<u64>,
    app_metadata: String,
    tickets: Vec<Vec<u8>>,
) -> Result<FlightInfo, Status> {
    let info = FlightInfo::new()
        .try_with_schema(&on_the_wire(schema))
        .map_err(|error| Status::internal(error.to_string()))?
        .with_descriptor(descriptor)
        .with_total_records(rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1))
        .with_ordered(tickets.len() > 1)
        .with_app_metadata(app_metadata);
    Ok(tickets.into_iter().fold(info, |info, ticket| {
        info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)))
    }))
}

fn unimplemented<T>(method: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!("{method} is not supported: use GetFlightInfo, then DoGet")))
}

#[tonic::async_trait]
impl FlightService for ContractData {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let mut infos = Vec::new();
        if let Some(dataset) = &self.sources.ledgers {
            for table in dataset.tables() {
                infos.push(self.info(FlightDescriptor::new_path(path(*table, None)), (*table, None)).await);
            }
        }
        if self.sources.state.is_some() {
            for table in Table::ALL {
                let descriptor = FlightDescriptor::new_path(state_path(table, None));
                infos.push(self.state_info(descriptor, (table, None)).await);
            }
        }
        Ok(Response::new(stream::iter(infos).boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let descriptor = request.into_inner();
        let tables = self.sources.ledgers.as_ref().map_or(&Table::ALL[..], |ledgers| ledgers.tables());
        let asked = asked(&descriptor, tables)?;
        tracing::debug!(?asked, "flight info");
        let info = match asked {
            Asked::Ledgers(table, window) => self.info(descriptor, (table, window)).await,
            Asked::State(table, ledger) => self.state_info(descriptor, (table, ledger)).await,
        };
        info.inspect_err(|status| tracing::error!("{}", status.message())).map(Response::new)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let (what, schema, make) = self.rows(&request.into_inner().ticket).await?;
        let data = encoder(schema, self.stream(what, make));
        Ok(Response::new(data.map(|data| data.map_err(Status::from)).boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unimplemented("Handshake")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unimplemented("PollFlightInfo")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        unimplemented("GetSchema")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        unimplemented("DoPut")
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        unimplemented("DoExchange")
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unimplemented("DoAction")
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        unimplemented("ListActions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_the_window_without_overlap() {
        for (start, end, parts) in [(1, 10, 3), (5, 5, 4), (0, u32::MAX, 7), (100, 103, 4), (9, 30, 1)] {
            let window = LedgerWindow::new(start, end).unwrap();
            let slices = slices(window, parts);
            assert!(slices.len() <= parts as usize && !slices.is_empty());
            assert_eq!(slices.iter().map(|s| s.ledgers()).sum::<u64>(), window.ledgers());
            assert_eq!((slices[0].start(), slices[slices.len() - 1].end()), (start, end));
            assert!(slices.windows(2).all(|pair| pair[0].end() + 1 == pair[1].start()));
        }
    }
}
