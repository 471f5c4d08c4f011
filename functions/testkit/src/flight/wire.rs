//! A Flight server below gRPC: it writes HTTP/2 frames itself, and ends streams in ways that no gRPC server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_flight::{FlightData, FlightEndpoint, FlightInfo, Ticket};
use bytes::{BufMut, Bytes, BytesMut};
pub use h2::Reason;
use h2::SendStream;
use h2::server::{Connection, SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::port::listen;

/// The delay between the last message and the end of the connection, so that the message is sent.
const FLUSH: Duration = Duration::from_millis(50);

/// How the stream of rows ends after its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Properly, with grpc-status 0.
    Status,
    /// With the end of the HTTP/2 stream and no status at all.
    NoStatus,
    /// RST_STREAM with this reason.
    Reset(Reason),
    /// GOAWAY with this reason, and the end of the connection.
    GoAway(Reason),
    /// GOAWAY without an error, after which the stream ends properly, as from a server that is about to restart.
    Graceful,
}

/// A running server that answers every GetFlightInfo with one declared window, and every DoGet with the same messages.
pub struct WireSource {
    address: SocketAddr,
    drains: Arc<AtomicUsize>,
    running: Option<Runtime>,
}

/// The script of all connections.
struct Script {
    info: FlightInfo,
    messages: Vec<Bytes>,
    encoding: Option<&'static str>,
    ending: Ending,
}

impl WireSource {
    /// Serves ledgers `start` to `end`, declared with `total` rows, as these messages of Flight.
    pub fn serve(start: u32, end: u32, total: i64, messages: &[FlightData], ending: Ending) -> WireSource {
        let frames = messages.iter().map(|message| frame(0, &message.encode_to_vec())).collect();
        WireSource::run(Script {
            info: declared(start, end, total),
            messages: frames,
            encoding: None,
            ending,
        })
    }

    /// Like [`WireSource::serve`], with one message marked as compressed with this gRPC encoding.
    pub fn compressed(start: u32, end: u32, encoding: &'static str, message: &[u8]) -> WireSource {
        let messages = vec![frame(1, message)];
        let (info, ending) = (declared(start, end, 1), Ending::Status);
        WireSource::run(Script { info, messages, encoding: Some(encoding), ending })
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of DoGets so far.
    pub fn drains(&self) -> usize {
        self.drains.load(Ordering::SeqCst)
    }

    fn run(script: Script) -> WireSource {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the server");
        let (listener, address) = listen(&runtime);
        let (script, drains) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&drains);
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // An error ends the connection, which the client sees.
                tokio::spawn(connection(tcp, Arc::clone(&script), Arc::clone(&counted)));
            }
        });
        WireSource { address, drains, running: Some(runtime) }
    }
}

impl Drop for WireSource {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connection(tcp: TcpStream, script: Arc<Script>, drains: Arc<AtomicUsize>) -> Result<(), h2::Error> {
    let mut connection: Connection<TcpStream, Bytes> = h2::server::handshake(tcp).await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        if request.uri().path().ends_with("/GetFlightInfo") {
            let mut stream = begin(respond, None)?;
            stream.send_data(frame(0, &script.info.encode_to_vec()), false)?;
            stream.send_trailers(ok())?;
            continue;
        }
        drains.fetch_add(1, Ordering::SeqCst);
        let mut stream = begin(respond, script.encoding)?;
        let last = script.messages.len().saturating_sub(1);
        for (n, message) in script.messages.iter().enumerate() {
            stream.send_data(message.clone(), n == last && script.ending == Ending::NoStatus)?;
        }
        match script.ending {
            Ending::NoStatus => {}
            Ending::Status => stream.send_trailers(ok())?,
            Ending::Reset(reason) => {
                // h2 discards data that waits in a reset stream, so let it be sent first.
                let _ = tokio::time::timeout(FLUSH, connection.accept()).await;
                stream.send_reset(reason);
            }
            Ending::GoAway(reason) => {
                let _ = tokio::time::timeout(FLUSH, connection.accept()).await;
                connection.abrupt_shutdown(reason);
            }
            Ending::Graceful => {
                connection.graceful_shutdown();
                let _ = tokio::time::timeout(FLUSH, connection.accept()).await;
                stream.send_trailers(ok())?;
            }
        }
    }
    Ok(())
}

fn begin(
    mut respond: SendResponse<Bytes>,
    encoding: Option<&'static str>,
) -> Result<SendStream<Bytes>, h2::Error> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
    }
    respond.send_response(response, false)
}

fn ok() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))])
}

/// A message in gRPC framing: compression flag, length, bytes.
fn frame(compressed: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(compressed);
    frame.put_u32(u32::try_from(message.len()).expect("a message of less than 4 GiB"));
    frame.put_slice(message);
    frame.freeze()
}

fn declared(start: u32, end: u32, total: i64) -> FlightInfo {
    let metadata = serde_json::json!({"start_ledger": start, "end_ledger": end});
    FlightInfo::new()
        .with_app_metadata(metadata.to_string())
        .with_total_records(total)
        .with_ordered(true)
        .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new("all")))
}
