//! `serve` during outages of database and source: it stays, reports the outage, and continues afterwards.

use std::time::{Duration, Instant};

use testkit::proxy::tcp::Flow;
use testkit::{Chain, Database, PrivateServer, Stop, TcpProxy};

use crate::http::Serving;
use crate::oracle;
use crate::support::{World, until};

/// An outage must be visible within this time.
const NOTICED: Duration = Duration::from_secs(15);

/// Waits until a path answers with this status, which must be soon.
async fn soon(serving: &Serving, path: &str, status: u16) {
    let begun = Instant::now();
    serving.until_status(path, status).await;
    eprintln!("{path} is {status} after {:?}", begun.elapsed());
    assert!(begun.elapsed() < NOTICED, "{:?}", begun.elapsed());
}

/// A world on a server of its own whose source has 20 ledgers at first.
async fn growing() -> (PrivateServer, World) {
    let server = PrivateServer::start(&[]);
    let chain = Chain::of_rows(oracle::ledgers(1..=40)).range(1..=20);
    let world = World::with(Database::create_on(server.url()).await, chain, oracle::ledgers(1..=40)).await;
    (server, world)
}

fn grow(world: &World) {
    let chain = Chain::of_rows(world.rows.clone()).range(1..=40);
    world.source.answer_with(move |request| chain.answer(request));
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_is_survived() {
    let (server, world) = growing().await;
    let serving = Serving::start(&world, &[("MAX_RETRIES", "0")]).await;
    serving.until_windows(2).await;

    server.stop(Stop::Immediate);
    soon(&serving, "/health", 503).await;
    let said = serving.get("/health").await.json();
    assert_eq!((&said["database"]["reachable"], &said["source"]["reachable"]), (&false.into(), &true.into()));
    assert!(said["database"]["error"].as_str().unwrap().contains("cannot connect"), "{said}");
    assert_eq!(serving.metric("contract_data_loader_database_reachable").await, Some(0.0));
    assert_eq!(serving.metric("contract_data_loader_source_reachable").await, Some(1.0));
    let page = serving.get("/").await.body;
    assert!(
        page.contains("The database is out of reach.")
            && page.contains("loaded up to ledger") == page.contains("All is well")
    );
    assert!(page.contains("20"), "what was known is still shown");
    let failed =
        async || serving.get("/health").await.json()["loading"]["failures_in_a_row"].as_i64() > Some(0);
    until("a run has failed", failed).await;
    assert!(serving.metric("postgresql_consumer_errors_total").await.unwrap() > 0.0);
    assert_eq!(serving.get("/ready").await.status, 200, "the loop runs");

    grow(&world);
    server.start_again();
    soon(&serving, "/health", 200).await;
    until("what is new is loaded", async || world.windows().await.len() == 4).await;
    let stats = serving.get("/stats").await.json();
    assert!(stats["loading"]["last_error"]["message"].as_str().unwrap().contains("database"), "{stats}");
    serving.ends_within(Duration::from_secs(3)).await;
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn a_database_that_swallows_everything_is_noticed() {
    let (_server, world) = growing().await;
    let proxy = TcpProxy::before(&world.database.url());
    let url = world.database.url();
    let (login, path) = (url.split_once('@').unwrap().0, url.rsplit_once('/').unwrap().1);
    let through = format!("{login}@{}/{path}", proxy.url().split_once("://").unwrap().1);
    let serving = Serving::start(&world, &[("DATABASE_URL", &through)]).await;
    serving.until_windows(2).await;

    proxy.flow(Flow::FreezeAfter(0));
    let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                     where application_name like 'contract-data-loader%'";
    world.database.value(terminate).await;
    soon(&serving, "/health", 503).await;
    assert!(
        serving.get("/health").await.json()["database"]["error"]
            .as_str()
            .unwrap()
            .contains("does not answer")
    );
    serving.ends_within(Duration::from_secs(25)).await;
}

#[tokio::test]
async fn a_source_that_goes_and_comes_back_is_survived() {
    let (_server, mut world) = growing().await;
    let serving = Serving::start(&world, &[("MAX_RETRIES", "0")]).await;
    serving.until_windows(2).await;

    world.source.stop();
    soon(&serving, "/health", 503).await;
    let said = serving.get("/health").await.json();
    assert_eq!((&said["database"]["reachable"], &said["source"]["reachable"]), (&true.into(), &false.into()));
    assert_eq!(serving.metric("contract_data_loader_source_reachable").await, Some(0.0));
    assert!(serving.get("/").await.body.contains("The source is out of reach."));

    grow(&world);
    world.source.start();
    soon(&serving, "/health", 200).await;
    until("what is new is loaded", async || world.windows().await.len() == 4).await;
    serving.ends_within(Duration::from_secs(3)).await;
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn a_source_that_falls_silent_is_noticed() {
    let (_server, world) = growing().await;
    let proxy = TcpProxy::before(&world.source.url());
    proxy.flow(Flow::FreezeAfter(0));
    let serving = Serving::start(&world, &[("FLIGHT_ENDPOINT", &proxy.url())]).await;
    soon(&serving, "/ready", 200).await;
    soon(&serving, "/health", 503).await;
    assert!(serving.get("/health").await.json()["source"]["error"].as_str().unwrap().contains("answer"));
    proxy.flow(Flow::Pass);
    soon(&serving, "/health", 200).await;
}

#[tokio::test]
async fn no_endpoint_tells_a_secret() {
    let (server, mut world) = growing().await;
    let url = world.database.url();
    let real =
        url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1.to_owned();
    let secrets = ["canary-token-8c1f", "canary-aws-4b7d", real.as_str()];
    let variables = [
        ("FLIGHT_TOKEN", secrets[0]),
        ("AWS_SECRET_ACCESS_KEY", secrets[1]),
        ("MAX_RETRIES", "0"),
        ("LOG_LEVEL", "debug"),
    ];
    let serving = Serving::start(&world, &variables).await;
    serving.until_windows(2).await;
    let expect_silence = async |when: &str| {
        for path in ["/", "/metrics", "/health", "/ready", "/stats"] {
            let body = serving.get(path).await.body;
            for secret in secrets {
                assert!(!body.contains(secret), "{when}: {path} tells {secret}");
            }
        }
        let log = serving.running.stderr();
        assert!(!secrets.iter().any(|secret| log.contains(secret)), "{when}: the log tells a secret");
    };
    expect_silence("all is well").await;
    world.source.stop();
    serving.until_status("/health", 503).await;
    expect_silence("no source").await;
    // A password that is no longer valid: the error names the login.
    let administrator = world.database.connect().await;
    administrator.batch_execute("alter role postgres password 'canary-other'").await.unwrap();
    let others = "select pg_terminate_backend(pid) from pg_stat_activity
                  where application_name like 'contract-data-loader%'";
    administrator.batch_execute(others).await.unwrap();
    let refused = async || serving.get("/health").await.body.contains("password authentication failed");
    until("the login is refused", refused).await;
    expect_silence("no login").await;
    drop(administrator);
    server.stop(Stop::Fast);
    let gone = async || serving.get("/health").await.body.contains("cannot connect: error connecting");
    until("the database is out of reach", gone).await;
    expect_silence("no database").await;
}
