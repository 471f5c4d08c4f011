//! A secret per test, in the Secrets Manager that tests share; and a relay that counts how often it is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::servers;

/// Marks a GetSecretValue in its headers.
const READ: &[u8] = b"secretsmanager.getsecretvalue";

/// A private secret. It exists as long as the Secrets Manager, which is not persistent.
#[derive(Debug)]
pub struct Secret {
    endpoint: String,
    arn: String,
    relay: Relay,
}

/// Passes connections on to the Secrets Manager and counts the reads.
#[derive(Debug)]
struct Relay {
    address: SocketAddr,
    reads: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Secret {
    /// Creates one with this value. Without the shared server, the test fails.
    pub async fn create(text: &str) -> Secret {
        let endpoint = servers::s3();
        let request = serde_json::json!({
            "Name": format!("cdl-test-{}", Uuid::new_v4().simple()),
            "ClientRequestToken": Uuid::new_v4(),
            "SecretString": text,
        });
        let answer = call(&endpoint, "CreateSecret", &request).await;
        let arn = answer["ARN"].as_str().unwrap_or_else(|| panic!("no secret for the tests: {answer}"));
        let relay = Relay::to(host(&endpoint)).await;
        Secret { arn: arn.to_owned(), endpoint, relay }
    }

    /// Changes its value.
    pub async fn put(&self, text: &str) {
        let request = serde_json::json!({
            "SecretId": self.arn, "ClientRequestToken": Uuid::new_v4(), "SecretString": text,
        });
        let answer = call(&self.endpoint, "PutSecretValue", &request).await;
        assert!(answer["VersionId"].is_string(), "the secret does not change: {answer}");
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// How often it was read through [`Secret::env`].
    pub fn reads(&self) -> usize {
        self.relay.reads.load(Ordering::SeqCst)
    }

    /// The environment variables for access to this secret, through the counter.
    pub fn env(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.relay.address);
        let variables = [
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

impl Relay {
    async fn to(target: String) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let reads = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reads);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, target.clone(), Arc::clone(&counter)));
            }
        });
        Relay { address, reads, task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes one connection on. Either side can end it.
async fn pass_on(client: TcpStream, target: String, reads: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upwards = async {
        let mut buffer = vec![0; 64 << 10];
        let mut last = Vec::new(); // what a read may have cut in two
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            last.extend(buffer[..length].to_ascii_lowercase());
            reads.fetch_add(last.windows(READ.len()).filter(|w| *w == READ).count(), Ordering::SeqCst);
            last.drain(..last.len().saturating_sub(READ.len() - 1));
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let downwards = async { tokio::io::copy(&mut from_server, &mut to_client).await };
    tokio::select! {
        () = upwards => {}
        _ = downwards => {}
    }
}

/// One unsigned request, which a local Secrets Manager accepts.
async fn call(endpoint: &str, action: &str, request: &serde_json::Value) -> serde_json::Value {
    let host = host(endpoint);
    let mut tcp = TcpStream::connect(&host)
        .await
        .unwrap_or_else(|error| panic!("no Secrets Manager for the tests at {endpoint}: {error}"));
    let body = request.to_string();
    let text = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: secretsmanager.{action}\r\n\
         Content-Type: application/x-amz-json-1.1\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(text.as_bytes()).await.expect("the Secrets Manager reads");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("the Secrets Manager answers");
    let json = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json = &json[json.find('{').unwrap_or(0)..json.rfind('}').map_or(0, |end| end + 1)];
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in: {answer}"))
}

fn host(endpoint: &str) -> String {
    endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned()
}
