//! The gRPC server: listens, lets in who has the token, ends when told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::service::{ContractData, OpenStreams};

/// How the dataset is served.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Rows of a batch, at most; a batch ends earlier when it is as large as a message should be.
    pub batch_rows: usize,
    /// Endpoints of a window, at most: consecutive slices of its ledgers.
    pub endpoints: u32,
    /// The bearer token that every request must carry.
    pub token: Option<String>,
}

/// How long streams may go on once the server is told to end.
const GRACE: Duration = Duration::from_secs(2);

/// A server that listens, and answers once [`Server::serve`] is called.
pub struct Server {
    listener: TcpListener,
    service: ContractData,
    token: Option<String>,
    streams: OpenStreams,
}

impl Server {
    /// Takes the address.
    pub async fn bind(dataset: Arc<dyn Dataset>, options: ServerOptions) -> Result<Self, Error> {
        let ServerOptions { listen: address, batch_rows, endpoints, token } = options;
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let streams = OpenStreams::default();
        let service = ContractData::new(dataset, batch_rows, endpoints, streams.clone());
        Ok(Self { listener, service, token, streams })
    }

    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        Ok(self.listener.local_addr()?)
    }

    /// The streams that clients have open.
    pub fn open_streams(&self) -> OpenStreams {
        self.streams.clone()
    }

    /// Serves until `stop` is ready, and then for at most two seconds more, for streams to end.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let expected = self.token.map(|token| format!("Bearer {token}"));
        let admit = move |request: Request<()>| match &expected {
            None => Ok(request),
            Some(expected) => match request.metadata().get("authorization") {
                Some(given) if given.as_bytes() == expected.as_bytes() => Ok(request),
                _ => Err(Status::unauthenticated("this source wants its bearer token")),
            },
        };
        // a row may be larger than a message should be
        let flight = FlightServiceServer::new(self.service).max_encoding_message_size(usize::MAX);
        let (told, hears) = tokio::sync::oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .add_service(InterceptedService::new(flight, admit))
            .serve_with_incoming_shutdown(TcpIncoming::from(self.listener).with_nodelay(Some(true)), async {
                let _ = hears.await;
            });
        let last_call = async {
            stop.await;
            let _ = told.send(());
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = server => Ok(ended?),
            () = last_call => Ok(()),
        }
    }
}
