//! The HTTP server: few connections, small requests, none for long.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pipeline::{Error, Result};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once. Who comes then waits until one of them ends, which is a matter of seconds.
const CONNECTIONS: usize = 128;

/// The longest that a client may take over the head of a request, and the longest that a connection may be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// The longest that a connection may last, whatever it does.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// The largest head of a request.
const HEAD_BYTES: usize = 16 << 10;

/// The most headers of a request.
const HEADERS: usize = 64;

/// Listens on all interfaces, of both kinds where the machine has both; 0 is any free port.
///
/// # Errors
/// [`Error::Config`] when the port cannot be had.
pub(super) fn listen(port: u16) -> Result<TcpListener> {
    let listener = match bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))) // a machine without IPv6
        }
        bound => bound,
    };
    let refused = |e: std::io::Error| Error::Config {
        variable: "METRICS_PORT".to_owned(),
        problem: format!("cannot listen on port {port}: {e}; choose another, or 0 for any that is free"),
    };
    let listener = listener.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    tracing::info!(%address, "listening: /, /metrics, /health, /ready, /stats");
    Ok(listener)
}

/// Takes the address, also from connections of a process before this one that are about to end.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Serves for the life of the process.
pub(super) fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // It fails when it is closed, which nobody does.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((connection, _)) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        look_after(connection, router).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Such as too many open files, which passes.
                    tracing::warn!(%error, "a connection was not taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

/// One connection, to its end.
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
        Err(_) => tracing::debug!("a connection has lasted long enough"),
    }
}
