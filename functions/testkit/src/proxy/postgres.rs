//! A proxy in front of PostgreSQL that follows the messages, and injects a fault at a COMMIT or at the end of a COPY.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use url::Url;

use super::{Listening, place, reset};

/// A client message at which a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The statement COMMIT.
    Commit,
    /// The end of the rows of a COPY.
    CopyDone,
}

/// The fault, which happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks on both sides, and the server never sees the message.
    CutBefore,
    /// The server gets the message, and both connections end before the answer arrives.
    CutAfter,
    /// The server has answered, and the client's connection breaks before the answer arrives.
    CutAnswer,
    /// The message is held back, and nothing passes until the client disconnects.
    HoldBefore,
    /// The server has answered, but the client receives nothing more.
    HoldAnswer,
    /// The server gets ROLLBACK instead of the statement.
    RollBack,
    /// The server's next answer to a COPY counts one row less.
    Miscount,
}

/// A running proxy; drop ends its connections.
pub struct PostgresProxy {
    listening: Listening,
    shared: Arc<Shared>,
    server: Url,
}

struct Shared {
    server: String,
    planned: Mutex<Option<(Message, Fault)>>,
    struck: Semaphore,
}

impl PostgresProxy {
    /// A proxy in front of the server at this URL, which passes everything on by default.
    pub fn before(url: &str) -> PostgresProxy {
        let server = Url::parse(url).expect("a URL postgresql://…");
        let shared =
            Shared { server: place(url), planned: Mutex::default(), struck: Semaphore::const_new(0) };
        let shared = Arc::new(shared);
        let of_connections = Arc::clone(&shared);
        let listening = Listening::with(move |client| connection(client, Arc::clone(&of_connections)));
        PostgresProxy { listening, shared, server }
    }

    /// The given URL, through this proxy and without TLS.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_ip_host(self.listening.address.ip()).expect("a URL with a host");
        url.set_port(Some(self.listening.address.port())).expect("a URL with a host");
        url.query_pairs_mut().append_pair("sslmode", "disable");
        url.to_string()
    }

    /// Plans the fault for the next such message on any connection; later ones pass.
    pub fn at_next(&self, message: Message, fault: Fault) {
        *self.shared.planned.lock().unwrap() = Some((message, fault));
    }

    /// Waits until a planned fault has happened.
    pub async fn struck(&self) {
        self.shared.struck.acquire().await.expect("never closed").forget();
    }
}

impl std::fmt::Debug for PostgresProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresProxy").field("address", &self.listening.address).finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes the fault planned for this message.
    fn take(&self, frame: &[u8]) -> Option<Fault> {
        let message = match frame {
            [b'Q', _, _, _, _, statement @ ..] if statement.starts_with(b"COMMIT") => Message::Commit,
            [b'c', ..] => Message::CopyDone,
            _ => return None,
        };
        let mut planned = self.planned.lock().unwrap();
        let (_, fault) = planned.take_if(|(at, _)| *at == message)?;
        Some(fault)
    }

    fn strike(&self) {
        self.struck.add_permits(1);
    }
}

/// One client and its server, message by message.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut sent = BytesMut::new();
    let startup = startup(&mut client, &mut sent).await?;
    let mut server = TcpStream::connect(&shared.server).await?;
    server.set_nodelay(true)?;
    server.write_all(&startup).await?;
    let mut answered = BytesMut::new();
    // The number of ReadyForQuery answers expected: one per statement, and per Sync of prepared ones.
    let mut open = 1;
    let mut miscount = false;
    loop {
        tokio::select! {
            read = client.read_buf(&mut sent) => if read? == 0 { return Ok(()) },
            read = server.read_buf(&mut answered) => if read? == 0 { return Ok(()) },
        }
        while let Some(frame) = next_frame(&mut sent) {
            let fault = shared.take(&frame);
            open += i32::from(matches!(frame[0], b'Q' | b'S'));
            match fault {
                None => server.write_all(&frame).await?,
                Some(Fault::CutBefore) => {
                    shared.strike();
                    reset(server);
                    reset(client);
                    return Ok(());
                }
                Some(Fault::CutAfter) => {
                    server.write_all(&frame).await?;
                    shared.strike();
                    reset(client);
                    return Ok(()); // an orderly end for the server: a reset would take the message back from its kernel
                }
                Some(fault @ (Fault::CutAnswer | Fault::HoldAnswer)) => {
                    server.write_all(&frame).await?;
                    while let Some(frame) = next_frame(&mut sent) {
                        open += i32::from(matches!(frame[0], b'Q' | b'S'));
                        server.write_all(&frame).await?;
                    }
                    ready(&mut server, &mut answered, open).await?;
                    shared.strike();
                    if fault == Fault::HoldAnswer {
                        return gone(&mut client).await;
                    }
                    reset(client);
                    return Ok(());
                }
                Some(Fault::HoldBefore) => {
                    shared.strike();
                    return gone(&mut client).await;
                }
                Some(Fault::RollBack) => {
                    server.write_all(b"Q\0\0\0\x0dROLLBACK\0").await?;
                    shared.strike();
                }
                Some(Fault::Miscount) => {
                    miscount = true;
                    server.write_all(&frame).await?;
                }
            }
        }
        while let Some(frame) = next_frame(&mut answered) {
            // The server ignores the Sync after the statement of a COPY: rows follow.
            open -= i32::from(matches!(frame[0], b'Z' | b'G'));
            match miscounted(&frame).filter(|_| miscount) {
                Some(other) => {
                    miscount = false;
                    client.write_all(&other).await?;
                    shared.strike();
                }
                None => client.write_all(&frame).await?,
            }
        }
    }
}

/// The first message of a client, which has no type. Encryption is declined on the way to it.
async fn startup(client: &mut TcpStream, sent: &mut BytesMut) -> io::Result<Bytes> {
    const SSL_REQUEST: u32 = 80_877_103;
    const GSS_REQUEST: u32 = 80_877_104;
    loop {
        while sent.len() < 8 || sent.len() < length(&sent[..4]) {
            if client.read_buf(sent).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let message = sent.split_to(length(&sent[..4])).freeze();
        match (&message[4..]).get_u32() {
            SSL_REQUEST | GSS_REQUEST => client.write_all(b"N").await?,
            _ => return Ok(message),
        }
    }
}

/// The next whole message, with its type and length.
fn next_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let whole = 1 + length(buffer.get(1..5)?);
    (buffer.len() >= whole).then(|| buffer.split_to(whole).freeze())
}

fn length(mut bytes: &[u8]) -> usize {
    bytes.get_u32() as usize
}

/// Reads the server's answers up to this many ReadyForQuery.
async fn ready(server: &mut TcpStream, answered: &mut BytesMut, mut open: i32) -> io::Result<()> {
    while open > 0 {
        match next_frame(answered) {
            Some(frame) => open -= i32::from(matches!(frame[0], b'Z' | b'G')),
            None => {
                if server.read_buf(answered).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
    Ok(())
}

/// Waits until the client ends its connection.
async fn gone(client: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while client.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// The answer to a COPY with one row less; None for any other message.
fn miscounted(frame: &[u8]) -> Option<Bytes> {
    let tag = frame.strip_prefix(b"C")?.get(4..)?.strip_suffix(b"\0")?;
    let rows: u64 = std::str::from_utf8(tag).ok()?.strip_prefix("COPY ")?.parse().ok()?;
    let tag = format!("COPY {}\0", rows.checked_sub(1)?);
    let length = u32::try_from(tag.len() + 4).ok()?.to_be_bytes();
    Some([b"C".as_slice(), &length, tag.as_bytes()].concat().into())
}
