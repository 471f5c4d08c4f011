//! A proxy that counts the bytes from server to client and the pings from client to server, and cuts, freezes or slows down
//! the connection at a given byte.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::frames::Frames;
use super::{Listening, place, reset};

/// How the bytes from server to client flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Pass,
    /// After this many bytes the connection breaks.
    CutAfter(u64),
    /// After this many bytes nothing passes in either direction; the connection stays open.
    FreezeAfter(u64),
    /// After this many bytes they pass one by one, with this pause before each.
    DripAfter(u64, Duration),
}

/// A running proxy; drop ends its connections.
pub struct TcpProxy {
    listening: Listening,
    shared: Arc<Shared>,
    scheme: String,
}

struct Shared {
    server: String,
    flow: Mutex<Flow>,
    passed: AtomicU64,
    pings: AtomicU64,
    frozen: Semaphore,
}

impl TcpProxy {
    /// A proxy in front of the server at this URL, which passes everything on by default.
    pub fn before(url: &str) -> TcpProxy {
        let scheme = url.split("://").next().unwrap_or_default().to_owned();
        let shared = Arc::new(Shared {
            server: place(url),
            flow: Mutex::new(Flow::Pass),
            passed: AtomicU64::new(0),
            pings: AtomicU64::new(0),
            frozen: Semaphore::const_new(0),
        });
        let of_connections = Arc::clone(&shared);
        let listening = Listening::with(move |client| connection(client, Arc::clone(&of_connections)));
        TcpProxy { listening, shared, scheme }
    }

    /// The URL of the server, through this proxy.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.listening.address)
    }

    /// From now on, new connections flow like this, and the byte count restarts at 0.
    pub fn flow(&self, flow: Flow) {
        *self.shared.flow.lock().unwrap() = flow;
        self.shared.passed.store(0, Ordering::SeqCst);
    }

    /// The number of bytes passed from server to client, on all connections, since the flow was set.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// The number of HTTP/2 pings from the client, on all connections.
    pub fn pings(&self) -> u64 {
        self.shared.pings.load(Ordering::SeqCst)
    }

    /// Waits until a connection is frozen.
    pub async fn frozen(&self) {
        self.shared.frozen.acquire().await.expect("never closed").forget();
    }
}

impl std::fmt::Debug for TcpProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpProxy").field("address", &self.listening.address).finish_non_exhaustive()
    }
}

/// One client and its server.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let flow = *shared.flow.lock().unwrap();
    let mut server = TcpStream::connect(&shared.server).await?;
    server.set_nodelay(true)?;
    let mut left = match flow {
        Flow::Pass => u64::MAX,
        Flow::CutAfter(bytes) | Flow::FreezeAfter(bytes) | Flow::DripAfter(bytes, _) => bytes,
    };
    let mut frames = Frames::default();
    let (mut sent, mut answered) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        if left == 0 {
            match flow {
                Flow::CutAfter(_) => {
                    reset(client);
                    reset(server);
                    return Ok(());
                }
                Flow::FreezeAfter(_) => {
                    shared.frozen.add_permits(1);
                    std::future::pending::<()>().await;
                }
                Flow::DripAfter(..) | Flow::Pass => {}
            }
        }
        let dripping = match flow {
            Flow::DripAfter(_, pause) if left == 0 => Some(pause),
            _ => None,
        };
        let most = match dripping {
            Some(_) => 1,
            None => left.min(answered.len() as u64) as usize,
        };
        tokio::select! {
            read = client.read(&mut sent) => match read? {
                0 => return Ok(()),
                length => {
                    shared.pings.fetch_add(frames.pings(&sent[..length]), Ordering::SeqCst);
                    server.write_all(&sent[..length]).await?;
                }
            },
            read = server.read(&mut answered[..most]) => match read? {
                0 => return Ok(()),
                length => {
                    if let Some(pause) = dripping {
                        tokio::time::sleep(pause).await;
                    }
                    shared.passed.fetch_add(length as u64, Ordering::SeqCst);
                    client.write_all(&answered[..length]).await?;
                    left = left.saturating_sub(length as u64);
                }
            },
        }
    }
}
