//! How `serve` stops: at a signal, in time, with every window committed or rolled back, and nothing left behind.

use std::time::{Duration, Instant};

use testkit::proxy::postgres::{Fault, Message};
use testkit::proxy::tcp::Flow;
use testkit::{PostgresProxy, TcpProxy};

use crate::http::Serving;
use crate::restart::{SLOW, in_the_middle_of_copy, large_window};
use crate::support::{World, until};

/// Fails the test unless the sessions of the loader are gone, with their locks and hints.
async fn expect_nobody_left(world: &World) {
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()
                    and application_name like 'contract-data-loader%'";
    // The server takes note of an end a moment after it.
    let begun = Instant::now();
    until("the sessions are gone", async || world.database.value(sessions).await == "0").await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "a session outlived its process by {:?}",
        begun.elapsed()
    );
    let hints = "select count(*) from contract_data.ingestion_progress where status = 'processing'";
    assert_eq!(world.database.value(hints).await, "0", "a hint is left");
}

#[tokio::test]
async fn a_window_under_way_is_finished() {
    let (_server, world) = large_window().await;
    let serving = Serving::start(&world, &[("FAILPOINTS", SLOW), ("WINDOW_LEDGERS", "5")]).await;
    in_the_middle_of_copy(&world).await;

    serving.ends_within(Duration::from_secs(10)).await;

    // Two were being loaded; both were finished, or one of them had not been begun.
    let windows = world.windows().await;
    assert!(windows == ["1-5", "6-10"] || windows == ["1-5"], "{windows:?}");
    expect_nobody_left(&world).await;
    world.succeeds("run").await;
    world.expect_whole(&[1..=10]).await;
}

#[tokio::test]
async fn a_window_that_was_not_begun_is_left_to_the_next() {
    let (_server, world) = large_window().await;
    let serving = Serving::start(&world, &[("FAILPOINTS", SLOW), ("WINDOW_LEDGERS", "1")]).await;
    in_the_middle_of_copy(&world).await;

    serving.ends_within(Duration::from_secs(10)).await;

    let windows = world.windows().await.len();
    assert!((1..=4).contains(&windows), "{windows} windows");
    expect_nobody_left(&world).await;
    world.succeeds("run").await;
    world.expect_whole(&[1..=10]).await;
}

#[tokio::test]
async fn a_window_that_hangs_in_its_copy_is_given_up_and_rolled_back() {
    let world = World::new(1..=16).await;
    let proxy = PostgresProxy::before(&world.database.url());
    proxy.at_next(Message::CopyDone, Fault::HoldBefore);
    let serving = Serving::start(&world, &[("DATABASE_URL", &proxy.url())]).await;
    proxy.struck().await;

    let ending = Instant::now();
    serving.running.signal("TERM").await;
    until("it is not ready any more", async || serving.get("/ready").await.status == 503).await;
    assert!(serving.get("/").await.body.contains("This process is stopping."));
    assert_eq!(serving.get("/health").await.status, 200, "alive until it ends");
    serving.running.wait().await.expect_code(0);
    let took = ending.elapsed();
    eprintln!("given up after {took:?}");

    assert!(took > Duration::from_secs(19) && took < Duration::from_secs(25), "{took:?}");
    expect_nobody_left(&world).await;
    assert_eq!(world.windows().await, Vec::<String>::new());
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "0");
    world.succeeds("run").await;
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn an_idle_one_ends_at_once_and_leaves_nobody() {
    let world = World::new(1..=16).await;
    let serving = Serving::start(&world, &[("COMMIT_INTERVAL", "1h")]).await;
    serving.until_windows(1).await;
    serving.ends_within(Duration::from_secs(2)).await;
    expect_nobody_left(&world).await;
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn one_that_waits_for_a_silent_source_does_not_wait_on() {
    let world = World::new(1..=16).await;
    let proxy = TcpProxy::before(&world.source.url());
    proxy.flow(Flow::FreezeAfter(0));
    let serving = Serving::start(&world, &[("FLIGHT_ENDPOINT", &proxy.url()), ("LOG_LEVEL", "debug")]).await;
    serving.until_status("/ready", 200).await;
    proxy.frozen().await;
    serving.ends_within(Duration::from_secs(6)).await;
    expect_nobody_left(&world).await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_server, world) = large_window().await;
    let serving = Serving::start(&world, &[("FAILPOINTS", "copying=sleep(2000)")]).await;
    in_the_middle_of_copy(&world).await;
    serving.running.signal("TERM").await;
    until("it heeds the signal", async || serving.get("/ready").await.status == 503).await;
    serving.running.signal("INT").await;
    let begun = Instant::now();
    serving.running.wait().await.expect_code(130);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(world.windows().await, Vec::<String>::new());
    world.succeeds("run").await;
    crate::doubt::expire_what_no_window_has(&world).await;
    world.expect_whole(&[1..=10]).await;
}
