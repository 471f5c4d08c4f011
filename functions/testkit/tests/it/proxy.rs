//! The proxies: data passes unchanged; a planned fault happens once, on the right side.

use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use testkit::database::connect;
use testkit::proxy::postgres::{Fault, Message, PostgresProxy};
use testkit::proxy::s3::{S3Fault, S3Proxy};
use testkit::proxy::tcp::{Flow, TcpProxy};
use testkit::{Bucket, Database};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

/// A table, a session through a proxy, and the proxy.
async fn proxied() -> (Database, PostgresProxy, tokio_postgres::Client) {
    let database = Database::create().await;
    database.execute("create table kept (n int)").await;
    let proxy = PostgresProxy::before(&database.url());
    let session = connect(&proxy.url()).await;
    (database, proxy, session)
}

/// Inserts a row in a transaction. The outcome of its COMMIT.
#[allow(clippy::disallowed_methods, reason = "what COMMIT answers is the test")]
async fn insert(session: &mut tokio_postgres::Client, n: i32) -> Result<(), tokio_postgres::Error> {
    let tx = session.transaction().await.unwrap();
    tx.execute("insert into kept values ($1)", &[&n]).await.unwrap();
    tx.commit().await
}

/// The server's process behind a session.
async fn backend(session: &tokio_postgres::Client) -> i32 {
    session.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// Waits until the server has ended a session.
async fn ended(database: &Database, backend: i32) {
    let watcher = database.connect().await;
    let there = "select from pg_stat_activity where pid = $1";
    let waiting = async {
        while watcher.query_opt(there, &[&backend]).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the server sees the end");
}

async fn kept(database: &Database) -> Vec<String> {
    database.rows("select n from kept order by n").await
}

#[tokio::test]
async fn everything_passes_through_a_proxy_of_postgresql() {
    let (database, _proxy, mut session) = proxied().await;
    insert(&mut session, 1).await.unwrap();
    let mut copy = Box::pin(session.copy_in::<_, Bytes>("copy kept from stdin").await.unwrap());
    for n in 0..1000 {
        copy.send(Bytes::from(format!("{}\n", n + 100))).await.unwrap();
    }
    assert_eq!(copy.as_mut().finish().await.unwrap(), 1000);
    let row = session.query_one("select repeat('x', 1000000)", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0).len(), 1_000_000);
    assert_eq!(kept(&database).await.len(), 1001);
}

#[tokio::test]
async fn a_commit_is_cut_where_it_is_planned_and_only_once() {
    for (fault, stored) in [(Fault::CutBefore, false), (Fault::CutAnswer, true)] {
        let (database, proxy, mut session) = proxied().await;
        proxy.at_next(Message::Commit, fault);
        insert(&mut session, 1).await.unwrap_err();
        proxy.struck().await;
        assert_eq!(kept(&database).await.len(), usize::from(stored), "{fault:?}");
        let mut again = connect(&proxy.url()).await;
        insert(&mut again, 2).await.unwrap();
    }
    // Cut after the message: the server is still working when the client loses the connection.
    let (database, proxy, mut session) = proxied().await;
    let pid = backend(&session).await;
    proxy.at_next(Message::Commit, Fault::CutAfter);
    insert(&mut session, 1).await.unwrap_err();
    ended(&database, pid).await;
    assert_eq!(kept(&database).await, ["1"]);
}

#[tokio::test]
async fn a_commit_is_held_until_its_client_goes() {
    for (fault, stored) in [(Fault::HoldBefore, "0"), (Fault::HoldAnswer, "1")] {
        let (database, proxy, _) = proxied().await;
        let (mut session, connection) = tokio_postgres::connect(&proxy.url(), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let pid = backend(&session).await;
        proxy.at_next(Message::Commit, fault);
        let commit = tokio::time::timeout(Duration::from_millis(200), insert(&mut session, 1)).await;
        assert!(commit.is_err(), "{fault:?}: {commit:?}");
        proxy.struck().await;
        connection.abort(); // a session that is dropped waits for its answer
        ended(&database, pid).await;
        assert_eq!(database.value("select count(*) from kept").await, stored, "{fault:?}");
    }
}

#[tokio::test]
async fn a_commit_becomes_a_rollback_that_the_client_takes_for_a_commit() {
    let (database, proxy, mut session) = proxied().await;
    proxy.at_next(Message::Commit, Fault::RollBack);
    insert(&mut session, 1).await.unwrap();
    assert_eq!(kept(&database).await, Vec::<String>::new());
    insert(&mut session, 2).await.unwrap();
    assert_eq!(kept(&database).await, ["2"]);
}

#[tokio::test]
async fn a_copy_is_miscounted_or_cut_at_its_end() {
    let (database, proxy, session) = proxied().await;
    proxy.at_next(Message::CopyDone, Fault::Miscount);
    let mut copy = Box::pin(session.copy_in::<_, Bytes>("copy kept from stdin").await.unwrap());
    copy.send(Bytes::from_static(b"1\n2\n")).await.unwrap();
    assert_eq!(copy.as_mut().finish().await.unwrap(), 1);
    assert_eq!(kept(&database).await, ["1", "2"]);

    proxy.at_next(Message::CopyDone, Fault::CutBefore);
    let mut copy = Box::pin(session.copy_in::<_, Bytes>("copy kept from stdin").await.unwrap());
    copy.send(Bytes::from_static(b"3\n")).await.unwrap();
    copy.as_mut().finish().await.unwrap_err();
    assert_eq!(kept(&database).await, ["1", "2"]);
}

/// A server that sends ten bytes to each client, and waits.
async fn ten_bytes() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(b"0123456789").await; // cut at once, where that is the test
            open.push(tcp);
        }
    });
    url
}

async fn client_of(proxy: &TcpProxy) -> TcpStream {
    TcpStream::connect(proxy.url().trim_start_matches("http://")).await.unwrap()
}

#[tokio::test]
async fn bytes_pass_are_counted_and_cut() {
    let proxy = TcpProxy::before(&ten_bytes().await);
    let mut all = [0; 10];
    client_of(&proxy).await.read_exact(&mut all).await.unwrap();
    assert_eq!((&all, proxy.passed()), (b"0123456789", 10));
    for bytes in [0, 1, 9] {
        proxy.flow(Flow::CutAfter(bytes));
        let mut received = Vec::new();
        // Cut before its first byte, it may be reset while it still connects.
        let end = match TcpStream::connect(proxy.url().trim_start_matches("http://")).await {
            Ok(mut client) => client.read_to_end(&mut received).await,
            Err(error) => Err(error),
        };
        assert!(end.is_err(), "a reset, not an end: {end:?}");
        assert_eq!(proxy.passed(), bytes);
    }
}

#[tokio::test]
async fn bytes_freeze_and_drip() {
    let proxy = TcpProxy::before(&ten_bytes().await);
    proxy.flow(Flow::FreezeAfter(4));
    let mut client = client_of(&proxy).await;
    let mut received = Vec::new();
    let end = tokio::time::timeout(Duration::from_millis(100), client.read_to_end(&mut received)).await;
    assert!(end.is_err(), "neither more nor an end: {end:?}");
    proxy.frozen().await;
    assert_eq!(received, b"0123");

    proxy.flow(Flow::DripAfter(4, Duration::from_millis(10)));
    let begun = std::time::Instant::now();
    let mut all = [0; 10];
    client_of(&proxy).await.read_exact(&mut all).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60), "six bytes, one by one: {:?}", begun.elapsed());
    assert_eq!(&all, b"0123456789");
}

#[tokio::test]
async fn requests_of_s3_pass_and_fail_as_told() {
    let bucket = Bucket::create().await;
    let variables = bucket.env();
    let endpoint = &variables.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap().1;
    let proxy = S3Proxy::before(endpoint);
    let ask = async |method: &str, key: &str, body: &str| {
        let place = proxy.url();
        let place = place.trim_start_matches("http://");
        let mut tcp = TcpStream::connect(place).await.unwrap();
        let target = bucket.url(key).replace("s3:/", "");
        let length = body.len();
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: {place}\r\nContent-Length: {length}\r\n\r\n{body}");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.map(|_| answer)
    };
    assert!(ask("PUT", "a", "one").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask("GET", "a", "").await.unwrap().ends_with("one"));

    proxy.fail(|request| (request.method == "PUT").then_some(S3Fault::Refuse(503, "SlowDown")));
    let answer = ask("PUT", "a", "two").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 SlowDown") && answer.contains("<Code>SlowDown</Code>"));
    assert!(ask("GET", "a", "").await.unwrap().ends_with("one"), "S3 never saw it");
    proxy.fail(|_| Some(S3Fault::ErrorIn200("InternalError")));
    let answer = ask("PUT", "a", "two").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("<Code>InternalError</Code>"));

    for (fault, body) in
        [(S3Fault::LoseAnswer, "three"), (S3Fault::DoAndRefuse(500, "InternalError"), "four")]
    {
        proxy.fail(move |_| Some(fault));
        let answer = ask("PUT", "a", body).await;
        assert!(answer.as_ref().is_ok_and(|text| text.starts_with("HTTP/1.1 500")) || answer.is_err());
        assert_eq!(answer.is_err(), fault == S3Fault::LoseAnswer);
        assert_eq!(bucket.get("a").await, body.as_bytes(), "S3 has done it");
    }
    assert_eq!(proxy.requests().len(), 7);
    assert_eq!(proxy.requests()[0].method, "PUT");
}
