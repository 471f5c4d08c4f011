//! Silence of PostgreSQL: a connection that stays open and says nothing more, at any point. It is given up, and the work goes
//! on with another; every ledger is there once.

use std::time::{Duration, Instant};

use testkit::proxy::postgres::{Fault, Message};
use testkit::proxy::tcp::Flow;
use testkit::{PostgresProxy, TcpProxy};

use crate::http::Serving;
use crate::support::{World, log, until};

/// Statements are limited to 2 seconds here; a loader gives them a minute at first.
const BRIEF: (&str, &str) = ("FAILPOINTS", "first_limit=return(2)");

/// How soon a run is through after a silence. Waiting for the locks of the silent session would take half a minute.
const SOON: Duration = Duration::from_secs(20);

/// The URL of this world's database through a proxy.
fn through(world: &World, proxy: &TcpProxy) -> String {
    let url = world.database.url();
    let (login, path) = (url.split_once('@').unwrap().0, url.rsplit_once('/').unwrap().1);
    format!("{login}@{}/{path}?connect_timeout=2", proxy.url().split_once("://").unwrap().1)
}

#[tokio::test]
async fn a_connection_that_falls_silent_at_any_point_is_given_up_and_its_locks_with_it() {
    let rounds: Vec<_> = (0..12).map(|round| tokio::spawn(fall_silent_after(300 + round * 600))).collect();
    let mut worlds = Vec::new();
    for round in rounds {
        worlds.push(round.await.unwrap());
    }
    // Afterwards, because the comparison keeps this thread busy, and the rounds measure time.
    for world in worlds {
        world.expect_whole(&[1..=16]).await;
    }
}

/// Runs through a proxy whose connections fall silent after this many bytes from the server, while it starts.
async fn fall_silent_after(bytes: u64) -> World {
    let world = World::new(1..=16).await;
    let proxy = TcpProxy::before(&world.database.url());
    proxy.flow(Flow::FreezeAfter(bytes));
    let program = world.ingestctl("run").env("DATABASE_URL", through(&world, &proxy));
    let begun = Instant::now();
    let running = program.env(BRIEF.0, BRIEF.1).spawn();
    // Sessions that began before stay as they are: some fall silent later, some never say so much.
    let _ = tokio::time::timeout(Duration::from_secs(2), proxy.frozen()).await;
    proxy.flow(Flow::Pass);
    let output = running.wait().await;
    let took = begun.elapsed();
    eprintln!("silent after {bytes} bytes: {:?} after {took:?}", output.code);
    assert!(took < SOON, "{bytes}: {took:?}: {}", output.stderr);
    // What the run itself does not repeat is done by the next, which finds no lock of the silent session.
    if output.code != Some(0) {
        assert!(output.stderr.contains("no answer within"), "{bytes}: {}", output.stderr);
        let begun = Instant::now();
        let next = world.succeeds("run").await;
        assert!(begun.elapsed() < SOON, "{bytes}: {:?}: {}", begun.elapsed(), next.stderr);
    }
    world
}

#[tokio::test]
async fn a_commit_without_an_answer_is_settled_in_time() {
    for fault in [Fault::HoldBefore, Fault::HoldAnswer] {
        let world = World::new(1..=16).await;
        let proxy = PostgresProxy::before(&world.database.url());
        proxy.at_next(Message::Commit, fault);
        let begun = Instant::now();

        let program = world.ingestctl("run").env("DATABASE_URL", proxy.url()).env(BRIEF.0, BRIEF.1);
        let output = program.run().await.expect_code(0);

        proxy.struck().await;
        assert!(begun.elapsed() < SOON, "{fault:?}: {:?}", begun.elapsed());
        let again: Vec<_> = log(&output).into_iter().filter(|line| line["message"] == "retrying").collect();
        assert_eq!(again.len(), 1, "{fault:?}: {}", output.stderr);
        let error = again[0]["error"].as_str().unwrap();
        assert_eq!(error, "database: cannot commit the window: no answer within 3s", "{fault:?}");
        world.expect_whole(&[1..=16]).await;
    }
}

/// The processes of the loader's sessions that wait for a lock.
const WAITING: &str = "select pid from pg_stat_activity where wait_event_type = 'Lock'
    and datname = current_database() and application_name like 'contract-data-loader%'";

/// Sends a signal to a process of the server.
async fn signal(name: &str, pid: &str) {
    let sent = tokio::process::Command::new("kill").args([&format!("-{name}"), pid]).status().await;
    assert!(sent.unwrap().success(), "kill -{name} {pid}");
}

#[tokio::test]
async fn serve_goes_on_when_a_session_of_the_server_stands_still_in_a_statement() {
    let world = World::new(1..=16).await;
    let blocker = world.database.connect().await;
    blocker.batch_execute("begin; lock table contract_data.ingestion_progress").await.unwrap();
    let serving = Serving::start(&world, &[BRIEF]).await;
    let waiting = async || world.database.rows(WAITING).await;
    until("the loader waits for the lock", async || !waiting().await.is_empty()).await;
    let stopped = waiting().await;
    for pid in &stopped {
        signal("STOP", pid).await;
    }
    blocker.batch_execute("rollback").await.unwrap();

    until("the window is loaded", async || world.windows().await == ["1-16"]).await;
    serving.until_status("/health", 200).await;
    for pid in &stopped {
        signal("CONT", pid).await;
    }
    serving.ends_within(Duration::from_secs(5)).await;
    world.expect_whole(&[1..=16]).await;
}
