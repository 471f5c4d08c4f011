//! The gRPC server: listens, checks the token of each request, and shuts down.

use std::net::SocketAddr;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use crate::error::{Error, Result};
use crate::service::{ContractData, OpenStreams};
use crate::sources::Sources;

/// How the sources are served.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Maximum rows per batch; a batch also ends when it reaches 2 MiB.
    pub batch_rows: usize,
    /// Maximum endpoints per window: consecutive slices of its ledgers.
    pub endpoints: u32,
    /// The bearer token required with every request, if any.
    pub token: Option<String>,
}

/// How long open streams may continue after shutdown begins.
const GRACE: Duration = Duration::from_secs(2);

/// A server that listens; requests are answered once [`Server::serve`] runs.
pub struct Server {
    listener: TcpListener,
    service: ContractData,
    token: Option<String>,
    streams: OpenStreams,
}

impl Server {
    /// Listens on the address.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn bind(sources: impl Into<Sources>, options: ServerOptions) -> Result<Self> {
        let ServerOptions { listen: address, batch_rows, endpoints, token } = options;
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let streams = OpenStreams::default();
        let service = ContractData::new(sources.into(), batch_rows, endpoints, streams.clone());
        Ok(Self { listener, service, token, streams })
    }

    /// The address, with the actual port.
    ///
    /// # Errors
    /// [`Error::Process`].
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let address = self.listener.local_addr();
        address.map_err(|source| Error::Process { action: "find out the address of the server", source })
    }

    /// The counter of open streams.
    pub fn open_streams(&self) -> OpenStreams {
        self.streams.clone()
    }

    /// Serves until `stop` completes, and then for up to two seconds, so that open streams may finish.
    ///
    /// # Errors
    /// [`Error::Serve`].
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let expected = self.token.map(|token| format!("Bearer {token}"));
        let admit = move |request: Request<()>| match &expected {
            None => Ok(request),
            Some(expected) => match request.metadata().get("authorization") {
                Some(given) if given.as_bytes() == expected.as_bytes() => Ok(request),
                _ => Err(Status::unauthenticated("this source requires its bearer token")),
            },
        };
        // a single row may exceed the usual size of a message
        let flight = FlightServiceServer::new(self.service).max_encoding_message_size(usize::MAX);
        let (shut_down, begins) = tokio::sync::oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .add_service(InterceptedService::new(flight, admit))
            .serve_with_incoming_shutdown(TcpIncoming::from(self.listener).with_nodelay(Some(true)), async {
                let _ = begins.await;
            });
        let last_call = async {
            stop.await;
            let _ = shut_down.send(());
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = server => ended.map_err(Error::Serve),
            () = last_call => Ok(()),
        }
    }
}
