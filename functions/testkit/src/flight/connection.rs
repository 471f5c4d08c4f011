//! A TCP connection that the script of a stream can drop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

/// The accepted connection, as the HTTP/2 server reads and writes it.
pub(super) struct Connection {
    tcp: TcpStream,
    cut: Cut,
}

/// Cuts the connection; each request carries it as its connection info.
#[derive(Clone, Default)]
pub(super) struct Cut(Arc<State>);

#[derive(Default)]
struct State {
    done: AtomicBool,
    reader: AtomicWaker,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream) -> io::Result<Connection> {
        tcp.set_nodelay(true)?;
        Ok(Connection { tcp, cut: Cut::default() })
    }

    fn check(&self) -> io::Result<()> {
        if !self.cut.0.done.load(Ordering::Acquire) {
            return Ok(());
        }
        self.tcp.set_zero_linger()?; // closing now sends a reset, not an orderly end
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Cut {
    /// Ends the connection: its server task fails at the next read, which this wakes, and drops the socket.
    pub(super) fn now(&self) {
        self.0.done.store(true, Ordering::Release);
        self.0.reader.wake();
    }
}

impl Connected for Connection {
    type ConnectInfo = Cut;

    fn connect_info(&self) -> Cut {
        self.cut.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.0.reader.register(context.waker());
        self.check()?;
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
