//! A client of `serve`: one request, its answer, and `serve` itself.

use std::time::{Duration, Instant};

use testkit::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{World, until};

/// The longest that an endpoint may take: it waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A running `serve`, and its address.
pub(crate) struct Serving {
    pub(crate) running: Running,
    address: String,
}

/// What an endpoint answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Serving {
    /// Starts `serve` in this world, on a free port, with short pauses.
    pub(crate) async fn start(world: &World, variables: &[(&str, &str)]) -> Serving {
        let program = world.ingestctl("serve").env("METRICS_PORT", "0").env("COMMIT_INTERVAL", "200ms");
        let mut running = program.envs(variables.iter().copied()).spawn();
        let line = running.wait_for_line("listening").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap();
        let port = address.rsplit(':').next().unwrap();
        Serving { running, address: format!("127.0.0.1:{port}") }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends these bytes and reads the answer to its end, which must come at once.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        let begun = Instant::now();
        let mut tcp = TcpStream::connect(&self.address).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        assert!(begun.elapsed() < AT_ONCE, "{:?} for {request}", begun.elapsed());
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// GETs a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    /// Waits until a path answers with this status.
    pub(crate) async fn until_status(&self, path: &str, status: u16) {
        until(&format!("{path} is {status}"), async || self.get(path).await.status == status).await;
    }

    /// Waits until the overview shows this many windows.
    pub(crate) async fn until_windows(&self, windows: i64) {
        let shown = async || self.get("/stats").await.json()["status"]["windows"] == windows;
        until(&format!("{windows} windows are shown"), shown).await;
    }

    /// The value of a metric, as in `name` or `name{label="value"}`.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").await.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Sends SIGTERM and waits for the end, which must be in time and with exit code 0. Returns the duration.
    pub(crate) async fn ends_within(self, limit: Duration) -> Duration {
        self.ends_by("TERM", limit).await
    }

    /// As [`ends_within`](Self::ends_within), by this signal.
    pub(crate) async fn ends_by(self, signal: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        self.running.signal(signal).await;
        self.running.wait().await.expect_code(0);
        let took = begun.elapsed();
        assert!(took < limit, "{signal} took {took:?}");
        eprintln!("{signal}: ended after {took:?}");
        took
    }
}
