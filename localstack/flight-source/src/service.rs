//! The Flight contract: what is asked by descriptor, what is vouched for, and the streams of rows.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::{FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use chrono::SecondsFormat;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::dataset::{Dataset, Window, split};
use crate::ticket;
use crate::trouble::Trouble;

/// How many streams of rows are open.
#[derive(Debug, Clone, Default)]
pub struct OpenStreams(Arc<AtomicUsize>);

impl OpenStreams {
    /// The number, now.
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

/// The service over one dataset.
pub(crate) struct ContractData {
    dataset: Arc<dyn Dataset>,
    schema: SchemaRef,
    batch_rows: usize,
    endpoints: u32,
    streams: OpenStreams,
}

impl ContractData {
    /// Serves `dataset` in batches of at most `batch_rows` rows; a window has up to `endpoints` endpoints.
    pub(crate) fn new(
        dataset: Arc<dyn Dataset>,
        batch_rows: usize,
        endpoints: u32,
        streams: OpenStreams,
    ) -> Self {
        // the schema of the wire: dictionaries are sent as what they stand for
        let schema = dataset.schema();
        let schema = encoder(schema.clone(), stream::empty()).known_schema().unwrap_or(schema);
        Self { dataset, schema, batch_rows, endpoints, streams }
    }

    async fn info(&self, descriptor: FlightDescriptor, asked: Asked) -> Result<FlightInfo, Status> {
        let extent = self.dataset.extent().await?;
        let (window, endpoints, count) = match asked {
            Asked::Everything => (extent, 0, self.dataset.summary(extent).await?),
            Asked::Window(asked) => {
                let start = asked.start.max(extent.start);
                let window = Window { start, end: asked.end.min(extent.end) };
                (window, self.endpoints, self.dataset.count(window).await?)
            }
        };
        let mut vouched = serde_json::json!({"start_ledger": window.start, "end_ledger": window.end});
        if let Some(latest) = count.closed_at {
            vouched["latest_closed_at"] = latest.to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
        }
        let endpoints: Vec<_> = if endpoints == 0 { Vec::new() } else { window.slices(endpoints).collect() };
        let mut info = FlightInfo::new()
            .try_with_schema(&self.schema)
            .map_err(|error| Status::internal(error.to_string()))?
            .with_descriptor(descriptor)
            .with_total_records(count.rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1))
            .with_ordered(endpoints.len() > 1)
            .with_app_metadata(vouched.to_string());
        for slice in endpoints {
            let ticket = Ticket::new(ticket::write(self.dataset.name(), slice).to_vec());
            info = info.with_endpoint(FlightEndpoint::new().with_ticket(ticket));
        }
        Ok(info)
    }

    /// The rows of a window, made by a thread of their own, which is never more than two batches ahead of the
    /// client and ends when the client leaves.
    fn stream(&self, window: Window) -> BoxStream<'static, Result<RecordBatch, FlightError>> {
        let (sender, receiver) = mpsc::channel(2);
        let (dataset, batch_rows, guard) = (self.dataset.clone(), self.batch_rows, self.streams.enter());
        let maker = tokio::task::spawn_blocking(move || {
            let guard = guard;
            let (started, mut rows, mut parts) = (Instant::now(), 0, Vec::new());
            for batch in dataset.batches(window, batch_rows) {
                let split = |batch| split(batch, &mut parts).map_err(Trouble::from);
                let sent = match batch.and_then(split) {
                    Ok(()) => parts.drain(..).try_for_each(|part| {
                        rows += part.num_rows();
                        sender.blocking_send(Ok(part))
                    }),
                    Err(trouble) => {
                        tracing::error!(%window, "{trouble}");
                        sender.blocking_send(Err(FlightError::from(Status::from(trouble))))
                    }
                };
                if sent.is_err() {
                    tracing::info!(%window, rows, "the client left");
                    return;
                }
            }
            drop(guard);
            tracing::info!(%window, rows, duration_ms = started.elapsed().as_millis() as u64, "served");
        });
        // a thread that panics is an error of the stream, not the end of it
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
    // batches have the size of a message already
    FlightDataEncoderBuilder::new().with_schema(schema).with_max_flight_data_size(usize::MAX).build(batches)
}

/// What a descriptor asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Everything,
    Window(Window),
}

fn asked(descriptor: &FlightDescriptor) -> Result<Asked, Status> {
    let refuse = |reason: String| Err(Status::invalid_argument(reason));
    if descriptor.r#type() != DescriptorType::Path {
        return refuse("the descriptor must be a path: contract, data, start, end".to_owned());
    }
    let ledger = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| {
            Status::invalid_argument(format!(
                "the {name} ledger {text:?} is not a number from 0 to {}",
                u32::MAX
            ))
        })
    };
    let path: Vec<&str> = descriptor.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["contract", "data"] => Ok(Asked::Everything),
        ["contract", "data", start, end] => {
            let window = Window { start: ledger("start", start)?, end: ledger("end", end)? };
            match window.is_empty() {
                true => refuse(format!("the window {window} ends before it starts")),
                false => Ok(Asked::Window(window)),
            }
        }
        _ => refuse(format!("there is no dataset at the path {path:?}, only contract, data, start, end")),
    }
}

fn unimplemented<T>(method: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!("{method} is not offered: GetFlightInfo, then DoGet, is all there is")))
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
        let everything = FlightDescriptor::new_path(vec!["contract".to_owned(), "data".to_owned()]);
        let info = self.info(everything, Asked::Everything).await;
        Ok(Response::new(stream::iter([info]).boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let descriptor = request.into_inner();
        let asked = asked(&descriptor)?;
        tracing::debug!(?asked, "flight info");
        let info = self.info(descriptor, asked).await;
        info.inspect_err(|status| tracing::error!("{}", status.message())).map(Response::new)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let extent = self.dataset.extent().await?;
        let window = ticket::read(self.dataset.name(), &request.into_inner().ticket)
            .filter(|window| extent.covers(*window))
            .ok_or_else(|| {
                Status::invalid_argument("the ticket is not one of this source: ask GetFlightInfo first")
            })?;
        let data = encoder(self.dataset.schema(), self.stream(window)).map(|data| data.map_err(Status::from));
        Ok(Response::new(data.boxed()))
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
