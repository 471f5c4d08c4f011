//! A bucket per test, on the S3 that tests share.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::servers;

/// A private bucket. It exists as long as the S3 server, which is not persistent.
#[derive(Debug)]
pub struct Bucket {
    endpoint: String,
    name: String,
    store: Arc<AmazonS3>,
}

impl Bucket {
    /// Creates one on the shared S3. Without that server, the test fails.
    pub async fn create() -> Bucket {
        let endpoint = servers::s3();
        let name = format!("cdl-test-{}", Uuid::new_v4().simple());
        create(&endpoint, &name).await;
        let store = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("test")
            .with_secret_access_key("test")
            .with_bucket_name(&name)
            .build()
            .expect("a complete S3 configuration");
        Bucket { endpoint, name, store: Arc::new(store) }
    }

    /// `s3://bucket/prefix`
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.name)
    }

    /// The environment variables for access to this bucket.
    pub fn env(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The bucket as an object store, paths from its root.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// The keys under a prefix, sorted.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let objects: Vec<_> =
            self.store.list(Some(&Path::from(prefix))).try_collect().await.expect("a listing");
        let mut keys: Vec<String> = objects.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        keys
    }

    /// Writes an object.
    pub async fn put(&self, key: &str, bytes: &[u8]) {
        let done = self.store.put(&Path::from(key), bytes.to_vec().into()).await;
        done.unwrap_or_else(|error| panic!("cannot write {key}: {error}"));
    }

    /// Removes an object.
    pub async fn remove(&self, key: &str) {
        let done = self.store.delete(&Path::from(key)).await;
        done.unwrap_or_else(|error| panic!("cannot remove {key}: {error}"));
    }

    /// Reads an object.
    pub async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.store.get(&Path::from(key)).await;
        let got = got.unwrap_or_else(|error| panic!("cannot read {key}: {error}"));
        got.bytes().await.expect("the object's bytes").to_vec()
    }
}

/// CreateBucket, which the object store client does not support: one unsigned request, which a local S3 accepts.
async fn create(endpoint: &str, name: &str) {
    let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let tcp = TcpStream::connect(host).await;
    let mut tcp = tcp.unwrap_or_else(|error| panic!("no S3 for the tests at {endpoint}: {error}"));
    let request =
        format!("PUT /{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.expect("S3 reads");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("S3 answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "cannot create the bucket of the test: {answer}");
}
