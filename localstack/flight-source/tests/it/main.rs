//! The source over a real socket, as a client sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot continue must fail")]

mod archive;
mod contract;
mod files;
mod lake;
mod lives;
mod process;
mod realism;
mod record;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, Ticket};
use chrono::{DateTime, Utc};
use flight_source::{Chain, ChainSpec, Dataset, Error, OpenStreams, Server, ServerOptions, Sources};
use futures::{StreamExt, TryStreamExt};
use pipeline::Table;
use testkit::asset::PUBNET;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

/// The first ledger of the chains in these tests.
const FIRST: u32 = 50_000_000;

/// A chain of 2,000 ledgers whose tip closed on the first day of 2026.
fn spec() -> ChainSpec {
    ChainSpec {
        seed: 7,
        first_ledger: FIRST,
        ledgers: 2_000,
        rows_per_ledger: 25,
        started_at: Utc::now(),
        tip: None,
        tip_every: None,
        tip_closed_at: DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().into(),
        ledger_seconds: 5,
        network_passphrase: PUBNET.to_owned(),
    }
}

fn chain(spec: &ChainSpec) -> Arc<Chain> {
    Arc::new(Chain::new(spec).unwrap())
}

fn options() -> ServerOptions {
    ServerOptions { listen: "127.0.0.1:0".parse().unwrap(), batch_rows: 4096, endpoints: 1, token: None }
}

/// A server in this process, and a client that accepts messages of up to 4 MiB, the default.
struct Source {
    client: FlightServiceClient<Channel>,
    streams: OpenStreams,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), Error>>,
}

async fn connect(address: &str) -> FlightServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    FlightServiceClient::new(channel.connect().await.unwrap())
}

async fn serve_with(sources: impl Into<Sources>, options: ServerOptions) -> Source {
    let server = Server::bind(sources, options).await.unwrap();
    let (address, streams) = (server.local_addr().unwrap(), server.open_streams());
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(server.serve(async move {
        let _ = stopped.await;
    }));
    Source { client: connect(&address.to_string()).await, streams, stop, server }
}

async fn serve(spec: &ChainSpec) -> Source {
    serve_with(chain(spec), options()).await
}

/// The ledgers and the number of rows that the source declares.
#[derive(Debug, PartialEq)]
struct Declared {
    start: u32,
    end: u32,
    latest_closed_at: String,
    rows: i64,
}

fn declared(info: &FlightInfo) -> Declared {
    let json: serde_json::Value = serde_json::from_slice(&info.app_metadata).unwrap();
    let ledger = |name: &str| u32::try_from(json[name].as_u64().unwrap()).unwrap();
    Declared {
        start: ledger("start_ledger"),
        end: ledger("end_ledger"),
        latest_closed_at: json["latest_closed_at"].as_str().unwrap().to_owned(),
        rows: info.total_records,
    }
}

/// A field of `app_metadata`.
fn field(info: &FlightInfo, name: &str) -> serde_json::Value {
    serde_json::from_slice::<serde_json::Value>(&info.app_metadata).unwrap()[name].clone()
}

impl Source {
    async fn info(&mut self, path: &[&str]) -> Result<FlightInfo, Status> {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Ok(self.client.get_flight_info(FlightDescriptor::new_path(path)).await?.into_inner())
    }

    async fn window(&mut self, start: u32, end: u32) -> FlightInfo {
        self.table(Table::Data, start, end).await
    }

    /// The answer for a window of a table.
    async fn table(&mut self, table: Table, start: u32, end: u32) -> FlightInfo {
        self.info(&["contract", table.name(), &start.to_string(), &end.to_string()]).await.unwrap()
    }

    async fn messages(&mut self, ticket: Ticket) -> Vec<FlightData> {
        self.client.do_get(ticket).await.unwrap().into_inner().try_collect().await.unwrap()
    }

    /// The rows of all endpoints, one after the other.
    async fn drain(&mut self, info: FlightInfo) -> RecordBatch {
        let schema = Arc::new(info.clone().try_decode_schema().unwrap());
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let data = self.client.do_get(endpoint.ticket.unwrap()).await.unwrap().into_inner();
            let mut stream = FlightRecordBatchStream::new_from_flight_data(data.map_err(Into::into));
            while let Some(batch) = stream.next().await {
                batches.push(batch.unwrap());
            }
            assert_eq!(stream.schema(), Some(&schema), "the stream has the declared schema");
        }
        concat_batches(&schema, &batches).unwrap()
    }

    async fn rows(&mut self, start: u32, end: u32) -> RecordBatch {
        self.rows_of(Table::Data, start, end).await
    }

    async fn rows_of(&mut self, table: Table, start: u32, end: u32) -> RecordBatch {
        let info = self.table(table, start, end).await;
        let total = info.total_records;
        let rows = self.drain(info).await;
        assert_eq!(rows.num_rows() as i64, total, "total_records of {start}-{end}");
        rows
    }
}
