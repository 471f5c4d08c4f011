//! Proxies between the loader and its peers, which cut connections: [`postgres`] by message, [`tcp`] by byte, [`s3`] by
//! request.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use url::Url;

use crate::port::listen;

mod frames;
pub mod postgres;
pub mod s3;
pub mod tcp;

/// A port of 127.0.0.1 whose connections run on a separate thread, so that a blocked test never blocks them.
struct Listening {
    address: SocketAddr,
    running: Option<Runtime>,
}

impl Listening {
    /// Handles every connection with this function. A connection ends with its future.
    fn with<F>(look_after: impl Fn(TcpStream) -> F + Send + 'static) -> Listening
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("a runtime for the proxy");
        let (listener, address) = listen(&runtime);
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let _ = tcp.set_nodelay(true);
                tokio::spawn(look_after(tcp)); // an error ends the connection, which both sides see
            }
        });
        Listening { address, running: Some(runtime) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

/// Host and port of a URL, as in `127.0.0.1:5432`.
fn place(url: &str) -> String {
    let url = Url::parse(url).expect("a URL scheme://host:port");
    format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"))
}

/// Closes a connection like a broken network: the peer reads a reset, not an end of stream.
fn reset(tcp: TcpStream) {
    let _ = tcp.set_zero_linger();
}
