//! A proxy in front of S3 that inspects each request, and passes it on or fails it as S3 and networks do.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Listening, place, reset};

/// A request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Request {
    /// `GET`, `PUT`, `POST`, …
    pub method: String,
    /// The path with its query, from the bucket on.
    pub target: String,
    /// The lines after the request line.
    pub headers: String,
}

/// The fault that replaces S3's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Fault {
    /// An error with this status and S3 error code; S3 never sees the request.
    Refuse(u16, &'static str),
    /// Status 200 with this error code in the body, as CompleteMultipartUpload may answer; S3 never sees the request.
    ErrorIn200(&'static str),
    /// S3 executes the request, and the connection breaks before its answer.
    LoseAnswer,
    /// S3 executes the request, but the answer is a server error.
    DoAndRefuse(u16, &'static str),
    /// S3 executes the request, but nothing of its answer arrives, and the connection stays open.
    Silence,
    /// The head of the answer arrives and half of its body, and the connection stays open.
    SilenceInBody,
    /// The answer comes in pieces, its head and four parts of its body, with this pause before each.
    Slowly(Duration),
}

/// A running proxy; drop ends its connections.
pub struct S3Proxy {
    listening: Listening,
    shared: Arc<Shared>,
}

type Script = Box<dyn FnMut(&S3Request) -> Option<S3Fault> + Send>;

struct Shared {
    server: String,
    script: Mutex<Script>,
    requests: Mutex<Vec<S3Request>>,
}

impl S3Proxy {
    /// A proxy in front of the S3 at this URL, which passes everything on by default.
    pub fn before(url: &str) -> S3Proxy {
        let (script, requests) = (Mutex::new(Box::new(|_: &S3Request| None) as Script), Mutex::default());
        let shared = Arc::new(Shared { server: place(url), script, requests });
        let of_connections = Arc::clone(&shared);
        let listening = Listening::with(move |client| connection(client, Arc::clone(&of_connections)));
        S3Proxy { listening, shared }
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.listening.address)
    }

    /// From now on, this function decides which requests fail.
    pub fn fail(&self, script: impl FnMut(&S3Request) -> Option<S3Fault> + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Each request so far, in order.
    pub fn requests(&self) -> Vec<S3Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl std::fmt::Debug for S3Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Proxy").field("address", &self.listening.address).finish_non_exhaustive()
    }
}

/// One request of one client: the answer closes the connection, and says so.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let Some((request, bytes)) = read_request(&mut client).await? else { return Ok(()) };
    shared.requests.lock().unwrap().push(request.clone());
    let fault = shared.script.lock().unwrap()(&request);
    if !matches!(fault, Some(S3Fault::Refuse(..) | S3Fault::ErrorIn200(_))) {
        let answer = ask(&shared.server, &bytes).await?;
        match fault {
            None => client.write_all(&answer).await?,
            Some(S3Fault::LoseAnswer) => reset(client),
            Some(S3Fault::DoAndRefuse(status, code)) => client.write_all(&error(status, code)).await?,
            Some(S3Fault::Silence) => std::future::pending().await,
            Some(S3Fault::SilenceInBody) => {
                let head = head_of(&answer).unwrap_or(answer.len());
                client.write_all(&answer[..head.midpoint(answer.len())]).await?;
                std::future::pending().await
            }
            Some(S3Fault::Slowly(pause)) => slowly(&mut client, &answer, pause).await?,
            Some(S3Fault::Refuse(..) | S3Fault::ErrorIn200(_)) => {}
        }
    } else if let Some(S3Fault::Refuse(status, code)) = fault {
        client.write_all(&error(status, code)).await?;
    } else if let Some(S3Fault::ErrorIn200(code)) = fault {
        client.write_all(&error(200, code)).await?;
    }
    Ok(())
}

/// Reads one request to its end; None when the client has none.
async fn read_request(client: &mut TcpStream) -> io::Result<Option<(S3Request, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = head_of(&bytes) {
            break end;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < head + length.unwrap_or(0) {
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let (line, headers) = text.split_once("\r\n").unwrap_or_default();
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let request = S3Request { method: word(), target: word(), headers: headers.to_owned() };
    Ok(Some((request, bytes)))
}

/// The length of a message's head, if it is complete.
fn head_of(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
}

/// Sends the head of an answer and four parts of its body, with a pause before each.
async fn slowly(client: &mut TcpStream, answer: &[u8], pause: Duration) -> io::Result<()> {
    let (head, body) = answer.split_at(head_of(answer).unwrap_or(answer.len()));
    for piece in std::iter::once(head).chain(body.chunks(body.len().div_ceil(4).max(1))) {
        tokio::time::sleep(pause).await;
        client.write_all(piece).await?;
    }
    Ok(())
}

/// Sends the request to S3 on a new connection, and returns the whole answer.
async fn ask(server: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let line = request.windows(2).position(|window| window == b"\r\n").unwrap_or(0) + 2;
    let mut tcp = TcpStream::connect(server).await?;
    tcp.write_all(&request[..line]).await?;
    tcp.write_all(b"Connection: close\r\n").await?;
    tcp.write_all(&request[line..]).await?;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// An answer with an S3 error.
fn error(status: u16, code: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>so the test wants</Message></Error>"
    );
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
