//! Faulty addresses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

/// An address that refuses connections, reserved while this value lives.
#[derive(Debug)]
pub struct ClosedPort {
    _bound: TcpSocket,
    address: SocketAddr,
}

/// An address that accepts connections and never answers.
#[derive(Debug)]
pub struct SilentPort {
    /// The kernel completes the handshakes; nothing accepts, reads or answers.
    _listening: TcpListener,
    address: SocketAddr,
}

/// Listens on a free port of this machine, for a server of that runtime.
pub(crate) fn listen(runtime: &Runtime) -> (tokio::net::TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("a bound socket has an address");
    let _context = runtime.enter();
    (tokio::net::TcpListener::from_std(listener).expect("a socket of the runtime"), address)
}

/// Reserves a port without a listener.
pub fn closed_port() -> ClosedPort {
    let bound = TcpSocket::new_v4().expect("a socket");
    bound.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let address = bound.local_addr().expect("a bound socket has an address");
    ClosedPort { _bound: bound, address }
}

/// Opens a port that never answers.
pub fn silent_port() -> SilentPort {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listening.local_addr().expect("a bound socket has an address");
    SilentPort { _listening: listening, address }
}

impl ClosedPort {
    /// `127.0.0.1:port`
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl SilentPort {
    /// `127.0.0.1:port`
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
