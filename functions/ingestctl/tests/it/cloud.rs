//! One chain of AWS credentials for S3 and Secrets Manager, wherever they come from; and encryption by a key of one's own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use testkit::{Program, S3Proxy, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Store, World};

/// A server that gives every request the same answer, as STS and the endpoints of containers do; and what it was asked.
struct Giver {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Giver {
    async fn of(kind: &'static str, body: String) -> Giver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                while !is_whole(&bytes) {
                    assert!(client.read_buf(&mut bytes).await.unwrap() > 0, "a request that is cut");
                }
                heard.lock().unwrap().push(String::from_utf8(bytes).unwrap());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                client.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        Giver { url, requests }
    }

    fn asked(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

/// A world on S3 whose login is in a secret, and a proxy before S3 that sees who asks. No variable has a key.
struct Cloud {
    world: World,
    secret: Secret,
    s3: S3Proxy,
}

impl Cloud {
    async fn new() -> Cloud {
        let world = World::on_s3(1..=16).await;
        let secret = Secret::create(&serde_json::json!({"url": world.database.url()}).to_string()).await;
        let Store::Bucket(bucket) = &world.store else { panic!("on S3") };
        let variables = bucket.env();
        let (_, endpoint) = variables.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap();
        let s3 = S3Proxy::before(endpoint);
        Cloud { world, secret, s3 }
    }

    fn ingestctl(&self, line: &str) -> Program {
        let no_key = |(name, _): &(String, String)| {
            name != "DATABASE_URL" && name != "AWS_ACCESS_KEY_ID" && name != "AWS_SECRET_ACCESS_KEY"
        };
        let environment = self.world.environment.iter().cloned().chain(self.secret.env()).filter(no_key);
        Program::new(env!("CARGO_BIN_EXE_ingestctl"))
            .args(line.split_whitespace())
            .envs(environment)
            .env("DB_SECRET_ARN", self.secret.arn())
            .env("AWS_ENDPOINT_URL", self.s3.url())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", "/nonexistent")
    }

    /// The keys that signed the requests to S3 so far.
    fn signers(&self) -> BTreeSet<String> {
        let signer = |headers: &str| Some(headers.split_once("Credential=")?.1.split('/').next()?.to_owned());
        self.s3.requests().iter().map(|request| signer(&request.headers).unwrap_or_default()).collect()
    }
}

fn of_container(id: &str, seconds: i64) -> String {
    let end = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
    serde_json::json!({"AccessKeyId": id, "SecretAccessKey": "canary", "Token": "t", "Expiration": end})
        .to_string()
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_web_identity_of_a_service_account_is_used_for_s3_and_secrets() {
    let cloud = Cloud::new().await;
    let sts = Giver::of(
        "text/xml",
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId>\
         <SecretAccessKey>canary</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
         <Arn>arn:aws:sts::123456789012:assumed-role/loader/s</Arn><AssumedRoleId>A:s</AssumedRoleId>\
         </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            .to_owned(),
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = file(folder.path(), "token", "the-token");
    let run = cloud
        .ingestctl("run")
        .env("AWS_ENDPOINT_URL_STS", &sts.url)
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/loader")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    run.run().await.expect_code(0);
    let asked = sts.asked();
    assert_eq!(asked.len(), 1, "one chain, asked once: {asked:?}");
    assert!(asked[0].contains("WebIdentityToken=the-token"), "{asked:?}");
    assert_eq!(cloud.signers(), ["ASIAWEB".to_owned()].into());
    assert_eq!(cloud.secret.reads(), 1);
    cloud.world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn the_role_of_a_container_is_used_and_renewed_before_its_end() {
    let cloud = Cloud::new().await;
    let folder = tempfile::tempdir().unwrap();
    let token = file(folder.path(), "token", "the-token");
    for (seconds, is_kept) in [(3_600, true), (240, false)] {
        let agent = Giver::of("application/json", of_container("ASIAPOD", seconds)).await;
        let run = cloud
            .ingestctl("run")
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token);
        run.run().await.expect_code(0);
        let asked = agent.asked();
        assert_eq!(asked.len() == 1, is_kept, "{} requests, {seconds} s before the end", asked.len());
        assert!(
            asked.iter().all(|request| request.to_lowercase().contains("authorization: the-token")),
            "{asked:?}"
        );
        assert_eq!(cloud.signers(), ["ASIAPOD".to_owned()].into());
    }
    cloud.world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_profile_is_used_for_s3_and_secrets() {
    let cloud = Cloud::new().await;
    let folder = tempfile::tempdir().unwrap();
    let keys = "[loader]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = canary\n";
    let profiles = file(folder.path(), "credentials", keys);
    let run =
        cloud.ingestctl("run").env("AWS_SHARED_CREDENTIALS_FILE", &profiles).env("AWS_PROFILE", "loader");
    run.run().await.expect_code(0);
    assert_eq!(cloud.signers(), ["AKIAPROFILE".to_owned()].into());
    cloud.world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn without_credentials_the_error_says_so() {
    let cloud = Cloud::new().await;
    let output = cloud
        .ingestctl("run")
        .env("DB_SECRET_ARN", "")
        .env("DATABASE_URL", cloud.world.database.url())
        .env("MAX_RETRIES", "0")
        .run()
        .await
        .expect_code(4);
    assert!(output.stderr.contains("found no AWS credentials"), "{}", output.stderr);
    assert_eq!(cloud.s3.requests(), [], "nothing is sent unsigned");
}

#[tokio::test]
async fn objects_are_encrypted_with_the_key_that_is_named() {
    let world = World::on_s3(1..=16).await;
    let Store::Bucket(bucket) = &world.store else { panic!("on S3") };
    let variables = bucket.env();
    let (_, endpoint) = variables.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap();
    let s3 = S3Proxy::before(endpoint);
    let run = world
        .ingestctl("run")
        .env("AWS_ENDPOINT_URL", s3.url())
        .env("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms")
        .env("AWS_SSE_KMS_KEY_ID", "alias/loader")
        .env("AWS_SSE_BUCKET_KEY_ENABLED", "true");
    run.run().await.expect_code(0);
    let writes = |method: &str| s3.requests().into_iter().filter(|r| r.method == method).collect::<Vec<_>>();
    // the staged object, and its copy in the archive
    let written: Vec<_> = writes("PUT")
        .into_iter()
        .filter(|r| !r.target.contains("partNumber="))
        .chain(writes("POST").into_iter().filter(|r| r.target.contains("uploads")))
        .collect();
    assert!(written.len() >= 2, "{written:?}");
    for request in written {
        let headers = request.headers.to_lowercase();
        assert!(headers.contains("x-amz-server-side-encryption: aws:kms"), "{request:?}");
        assert!(headers.contains("x-amz-server-side-encryption-aws-kms-key-id: alias/loader"), "{request:?}");
    }
    world.expect_whole(&[1..=16]).await;
}
