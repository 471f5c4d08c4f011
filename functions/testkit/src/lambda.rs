//! The other side of a function: a Runtime API on a real socket that sends events and receives answers.
//!
//! It supports what functions use: HTTP/1.1, one request at a time, bodies with a length or in chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::process::{Program, Running};

/// A function that has not replied this long after its deadline fails the test.
const GRACE: Duration = Duration::from_secs(5);

/// A function's reply to an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// With this.
    Answer(Value),
    /// With an error of this type and message.
    Failure {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
}

/// A running function, and the queue of its events.
#[derive(Debug)]
pub struct Function {
    /// The process.
    pub process: Running,
    events: mpsc::UnboundedSender<Invoked>,
}

#[derive(Debug)]
struct Invoked {
    event: String,
    time: Duration,
    reply: oneshot::Sender<Reply>,
}

/// The waiting events, and the current one.
#[derive(Debug)]
struct Events {
    waiting: Mutex<mpsc::UnboundedReceiver<Invoked>>,
    open: Mutex<Option<Invoked>>,
}

impl Function {
    /// Starts the program as the function of this name.
    pub async fn start(program: Program, name: &str) -> Function {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (events, waiting) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, waiting));
        let program = program
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        Function { process: program.spawn(), events }
    }

    /// Sends it an event with a time limit, and waits for the reply.
    pub async fn invoke_within(&self, event: &Value, time: Duration) -> Reply {
        match tokio::time::timeout(time + GRACE, self.send(event, time)).await {
            Ok(Ok(reply)) => reply,
            _ => panic!("no reply to {event}: {}{}", self.process.stdout(), self.process.stderr()),
        }
    }

    /// Sends it an event with a time limit of a minute.
    pub async fn invoke(&self, event: &Value) -> Reply {
        self.invoke_within(event, Duration::from_secs(60)).await
    }

    /// Sends it an event; the reply may never come.
    pub fn send(&self, event: &Value, time: Duration) -> oneshot::Receiver<Reply> {
        let (reply, replied) = oneshot::channel();
        let invoked = Invoked { event: event.to_string(), time, reply };
        self.events.send(invoked).expect("the Runtime API lives as long as the function");
        replied
    }
}

impl Reply {
    /// The answer; an error fails the test.
    #[track_caller]
    pub fn answer(self) -> Value {
        match self {
            Reply::Answer(answer) => answer,
            Reply::Failure { kind, message } => panic!("the function failed: {kind}: {message}"),
        }
    }

    /// Type and message of the error; an answer fails the test.
    #[track_caller]
    pub fn failure(self) -> (String, String) {
        match self {
            Reply::Failure { kind, message } => (kind, message),
            Reply::Answer(answer) => panic!("the function answered: {answer}"),
        }
    }
}

/// Accepts connections: a function may open the next before it has closed the last.
async fn serve(listener: TcpListener, waiting: mpsc::UnboundedReceiver<Invoked>) {
    let events = Arc::new(Events { waiting: Mutex::new(waiting), open: Mutex::new(None) });
    let number = Arc::new(AtomicU64::new(1));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(BufStream::new(stream), Arc::clone(&events), Arc::clone(&number)));
    }
}

/// The requests of one connection.
async fn converse(mut stream: BufStream<TcpStream>, events: Arc<Events>, number: Arc<AtomicU64>) {
    while let Some((line, body)) = request(&mut stream).await {
        let path = line.split(' ').nth(1).unwrap_or_default();
        let answered = if path.ends_with("/invocation/next") {
            let Some(invoked) = events.waiting.lock().await.recv().await else { return };
            let (event, time) = (invoked.event.clone(), invoked.time);
            // Before the event is sent: the reply may come at once, over another connection.
            *events.open.lock().await = Some(invoked);
            next(&mut stream, number.fetch_add(1, Ordering::Relaxed), &event, time).await
        } else {
            if let Some(Invoked { reply, .. }) = events.open.lock().await.take() {
                let _ = reply.send(read_reply(path.ends_with("/error"), &body)); // the test may have stopped waiting
            }
            respond(&mut stream, "202 Accepted", "", "{}").await
        };
        if answered.is_err() {
            return;
        }
    }
}

/// Sends an event, with the headers for its id and deadline.
async fn next(
    stream: &mut BufStream<TcpStream>,
    number: u64,
    event: &str,
    time: Duration,
) -> std::io::Result<()> {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + time;
    let headers = format!(
        "Lambda-Runtime-Aws-Request-Id: request-{number}\r\nLambda-Runtime-Deadline-Ms: {}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:000000000000:function:tested\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793\r\n",
        deadline.as_millis()
    );
    respond(stream, "200 OK", &headers, event).await
}

/// The function's reply to an event.
fn read_reply(is_error: bool, body: &[u8]) -> Reply {
    let body: Value = serde_json::from_slice(body).expect("functions speak JSON");
    if !is_error {
        return Reply::Answer(body);
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Reply::Failure { kind: text("errorType"), message: text("errorMessage") }
}

/// Reads a request: its first line, and its body.
async fn request(stream: &mut BufStream<TcpStream>) -> Option<(String, Vec<u8>)> {
    let first = line(stream).await?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream).await?.to_ascii_lowercase();
        match header.split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        return Some((first, body));
    }
    loop {
        let size = usize::from_str_radix(&line(stream).await?, 16).ok()?;
        let mut chunk = vec![0; size];
        stream.read_exact(&mut chunk).await.ok()?;
        line(stream).await?;
        if size == 0 {
            return Some((first, body));
        }
        body.append(&mut chunk);
    }
}

/// The next line, without its end.
async fn line(stream: &mut BufStream<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

async fn respond(
    stream: &mut BufStream<TcpStream>,
    status: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<()> {
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.flush().await
}
