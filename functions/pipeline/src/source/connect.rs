//! The TCP connection to the source. The kernel looks for a dead peer, not HTTP/2: stock gRPC servers close a connection with
//! more than one ping in five minutes without data.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

use crate::error::BoxError;

/// The longest wait for a connection, and for the first byte on it: a server of HTTP/2 or TLS answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// A peer is probed after this silence.
const PROBE_AFTER: Duration = Duration::from_secs(20);
/// The pause between probes.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// The connection ends after this many probes without an answer.
const PROBES: u32 = 4;

/// Connects to the source.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    patience: Duration,
}

/// A connection that ends with an error if its peer does not send a first byte in time.
pub(super) struct Connection {
    tcp: TokioIo<TcpStream>,
    /// Runs until the first byte.
    silence: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl Connector {
    /// Waits no longer than `timeout`, and never longer than [`PATIENCE`].
    pub(super) fn new(timeout: Duration) -> Self {
        let patience = timeout.min(PATIENCE);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(patience));
        tcp.set_keepalive(Some(PROBE_AFTER));
        tcp.set_keepalive_interval(Some(PROBE_EVERY));
        tcp.set_keepalive_retries(Some(PROBES));
        // Probes are sent only while nothing waits to be acknowledged; this is the same bound for what waits.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(PROBE_AFTER + PROBE_EVERY * PROBES));
        Connector { tcp, patience }
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Connection, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, patience) = (self.tcp.call(uri), self.patience);
        async move {
            let tcp = connecting.await?;
            Ok(Connection { tcp, silence: Some((Box::pin(tokio::time::sleep(patience)), patience)) })
        }
        .boxed()
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if read.is_ready() {
            self.silence = None;
        } else if let Some((silence, patience)) = &mut self.silence {
            ready!(silence.as_mut().poll(context));
            let silence = humantime::format_duration(*patience);
            let problem = format!("the connection was accepted, but nothing came for {silence}");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, problem)));
        }
        read
    }
}

impl Write for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }
}
