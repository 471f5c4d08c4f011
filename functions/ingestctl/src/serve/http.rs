//! The HTTP server: limits the number, size and duration of connections.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pipeline::{Error, Result};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::AbortHandle;

/// Concurrent connections. A further one takes the place of the oldest: however many are slow, a new request is answered.
const CONNECTIONS: usize = 128;

/// The longest time for the head of a request, and for an idle connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// The longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// The largest head of a request.
const HEAD_BYTES: usize = 16 << 10;

/// The most headers of a request.
const HEADERS: usize = 64;

/// Listens on all interfaces, IPv6 and IPv4 if the machine has both; 0 picks a free port.
///
/// # Errors
/// [`Error::Config`] when the port is not available.
pub(super) fn listen(port: u16) -> Result<TcpListener> {
    let listener = match bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))) // a machine without IPv6
        }
        bound => bound,
    };
    let refused = |e: std::io::Error| Error::Config {
        variable: "METRICS_PORT".to_owned(),
        problem: format!("cannot listen on port {port}: {e}; choose another, or 0 for a free one"),
    };
    let listener = listener.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    tracing::info!(%address, "listening: /, /metrics, /health, /ready, /stats");
    Ok(listener)
}

/// Binds the address, even if connections of a previous process are still closing.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Serves for the life of the process.
pub(super) fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            match listener.accept().await {
                Ok((connection, _)) => {
                    open.retain(|connection| !connection.is_finished());
                    if open.len() >= CONNECTIONS
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    open.push_back(tokio::spawn(look_after(connection, router.clone())).abort_handle());
                }
                Err(error) => {
                    // For example too many open files, which is transient.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

/// Serves one connection to its end.
async fn look_after(connection: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_LIFE, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended"),
        Err(_) => tracing::debug!("a connection reached its time limit"),
    }
}
