//! The server: runs on its own thread, so that a blocked test never blocks it, and keeps its port while it is down.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::{StreamExt, TryStreamExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::connection::Connection;
use super::service::{Seen, Service, Shared};
use super::{Answer, Chain, Request};
use crate::certificates::{Authority, Certificate};
use crate::rows::Row;

/// A running Flight server; drop ends it and all its connections.
pub struct Source {
    shared: Arc<Shared>,
    /// Bound, but never listening: while the source is down, its port stays reserved and callers are refused.
    reserved: TcpSocket,
    address: SocketAddr,
    running: Option<Runtime>,
    tls: Option<ServerTlsConfig>,
}

impl Source {
    /// Serves the answers of this function, on a free port of 127.0.0.1.
    pub fn serve(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Source {
        Source::with(answer, None)
    }

    /// Like [`Source::serve`], with TLS and this certificate; with `clients`, only to clients certified by this
    /// authority.
    pub fn serve_tls(
        answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
        certificate: &Certificate,
        clients: Option<&Authority>,
    ) -> Source {
        let identity = Identity::from_pem(&certificate.certificate, &certificate.key);
        let mut tls = ServerTlsConfig::new().identity(identity);
        if let Some(authority) = clients {
            tls = tls.client_ca_root(tonic::transport::Certificate::from_pem(authority.pem()));
        }
        Source::with(answer, Some(tls))
    }

    fn with(
        answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
        tls: Option<ServerTlsConfig>,
    ) -> Source {
        let shared = Shared {
            script: Mutex::new(Arc::new(answer)),
            seen: Mutex::new(Seen::default()),
            token: Mutex::new(None),
        };
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserved.local_addr().expect("a bound socket has an address");
        let mut source = Source { shared: Arc::new(shared), reserved, address, running: None, tls };
        source.start();
        source
    }

    /// An honest, declared source of these rows, from the lowest of their ledgers to the highest.
    pub fn of_rows(rows: Vec<Row>) -> Source {
        Chain::of_rows(rows).serve()
    }

    /// From now on, serves the answers of this function; attempts continue to count.
    pub fn answer_with(&self, answer: impl Fn(Request) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(answer);
    }

    /// `http://127.0.0.1:port`, or `https://localhost:port`
    pub fn url(&self) -> String {
        match self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// Each GetFlightInfo so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().requests.clone()
    }

    /// The windows requested so far, in order.
    pub fn windows(&self) -> Vec<(u32, u32)> {
        let asked = self.requests();
        let bounds = asked.into_iter().filter_map(|request| match request {
            Request::Window { start, end, .. } => Some((start, end)),
            Request::Range { .. } | Request::Side { .. } | Request::State { .. } => None,
        });
        bounds.collect()
    }

    /// The number of DoGets so far.
    pub fn drains(&self) -> usize {
        self.shared.seen.lock().unwrap().drains
    }

    /// The `authorization` header of each call so far.
    pub fn authorizations(&self) -> Vec<Option<String>> {
        self.shared.seen.lock().unwrap().authorizations.clone()
    }

    /// From now on, refuses every call without this bearer token.
    pub fn require_token(&self, token: &str) {
        *self.shared.token.lock().unwrap() = Some(token.to_owned());
    }

    /// Goes down: connections break, new ones are refused.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.running.take() {
            // An async test must not wait for the runtime itself, but a listener that lives a moment longer would still
            // accept connections.
            let down = std::thread::spawn(move || drop(runtime));
            down.join().expect("the server stops");
        }
    }

    /// Comes up again, on the same port.
    pub fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("flight source")
            .enable_all()
            .build()
            .expect("a runtime for the server");
        let listener = {
            let _context = runtime.enter();
            bind(self.address).listen(1024).expect("the port is reserved")
        };
        runtime.spawn(accept(listener, Service(Arc::clone(&self.shared)), self.tls.clone()));
        self.running = Some(runtime);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("url", &self.url()).field("port", &self.reserved).finish()
    }
}

/// Two sockets may share a port if both set the option and only one listens.
fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket option");
    socket.bind(address).expect("a free port");
    socket
}

async fn accept(listener: TcpListener, service: Service, tls: Option<ServerTlsConfig>) {
    let connections =
        TcpListenerStream::new(listener).and_then(|tcp| std::future::ready(Connection::new(tcp))).boxed();
    let service = FlightServiceServer::new(service).max_decoding_message_size(usize::MAX);
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).expect("a certificate with its key");
    }
    server.add_service(service).serve_with_incoming(connections).await.expect("the server serves");
}
