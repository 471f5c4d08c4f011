//! Scheduled runs: where they start, how far they go, what they wait for.

use chrono::{TimeDelta, Utc};
use testkit::{Answer, Chain, Database, Request, Row};

use crate::oracle;
use crate::support::{World, json};

const START: &str = "select coalesce(schedule_start::text, 'none') from contract_data.settings";

#[tokio::test]
async fn the_start_of_the_schedule_is_stored_once() {
    for (start, first) in [("first", 10), ("latest", 40), ("25", 25)] {
        let world = World::new(10..=40).await;
        assert_eq!(world.database.value(START).await, "none");

        world.ingestctl("run").env("START_LEDGER", start).run().await.expect_code(0);
        assert_eq!(world.database.value(START).await, first.to_string());
        world.expect_whole(&[first..=40]).await;

        // A later START_LEDGER has no effect.
        world.ingestctl("run").env("START_LEDGER", "12").run().await.expect_code(0);
        assert_eq!(world.database.value(START).await, first.to_string());
        world.expect_whole(&[first..=40]).await;
    }
}

#[tokio::test]
async fn a_start_beyond_the_tip_waits_for_it() {
    let world = World::new(1..=40).await;
    let output = world.ingestctl("run --json").env("START_LEDGER", "100").run().await.expect_code(0);
    let expected = serde_json::json!({"windows": [], "busy": false, "caught_up": true, "next_ledger": 100});
    assert_eq!(json(&output), expected);
    assert_eq!(world.database.value(START).await, "100");
    world.expect_nothing().await;
}

#[tokio::test]
async fn max_windows_ends_a_run_and_the_next_goes_on() {
    let world = World::new(1..=60).await;

    let report = json(&world.succeeds("run --max-windows 2 --json").await);
    assert_eq!((&report["caught_up"], &report["next_ledger"]), (&false.into(), &33.into()));
    assert_eq!(world.windows().await, ["1-16", "17-32"]);
    let report = json(&world.succeeds("run --max-windows 2 --json").await);
    assert_eq!(report["next_ledger"], 61);
    let report = json(&world.succeeds("run --max-windows 2 --json").await);
    assert_eq!((&report["caught_up"], &report["windows"]), (&true.into(), &serde_json::json!([])));

    world.expect_whole(&[1..=60]).await;
}

#[tokio::test]
async fn a_replay_far_ahead_or_behind_is_no_hole_and_a_hole_heals() {
    let world = World::new(1..=100).await;
    world.succeeds("replay -s 70 -e 80").await;
    world.succeeds("replay -s 3 -e 4").await;
    world.ingestctl("run --max-windows 1").env("START_LEDGER", "20").run().await.expect_code(0);
    assert_eq!(world.windows().await, ["3-4", "20-35", "70-80"]);
    world.succeeds("replay -s 50 -e 55").await;

    world.succeeds("run").await;

    world.expect_whole(&[3..=4, 20..=100]).await;
    let status = json(&world.succeeds("status --json").await);
    assert_eq!(status["gaps"], serde_json::json!([{"start_ledger": 5, "end_ledger": 19}]));
}

#[tokio::test]
async fn no_window_crosses_a_multiple_of_partition_ledgers() {
    let world = World::new(60..=200).await;

    world.succeeds("run --window-ledgers 50").await;

    let expected = ["60-63", "64-113", "114-127", "128-177", "178-191", "192-200"];
    assert_eq!(world.windows().await, expected);
    world.expect_whole(&[60..=200]).await;
}

#[tokio::test]
async fn a_window_without_rows_is_recorded() {
    let chain = Chain::of_rows(oracle::ledgers(33..=40)).range(1..=48);
    let world = World::of(chain, 33..=40).await;

    let report = json(&world.succeeds("run --json").await);

    assert_eq!(report["windows"].as_array().unwrap().len(), 3);
    let rows = "select entries_processed from contract_data.ingestion_progress order by start_ledger";
    assert_eq!(world.database.rows(rows).await, ["0", "0", "16"]);
    world.expect_whole(&[1..=48]).await;
}

/// Ledgers 1 to 20, each closed a minute after the one before, the last just now; and a source whose answers state when
/// their last ledger closed.
fn young() -> (Vec<Row>, impl Fn(Request) -> Answer + Send + Sync + 'static) {
    let now = Utc::now();
    let closed_at = move |ledger: u32| now - TimeDelta::minutes(20 - i64::from(ledger));
    let mut rows = oracle::ledgers(1..=20);
    rows.iter_mut().for_each(|row| row.closed_at = closed_at(row.ledger_sequence).timestamp_micros());
    let chain = Chain::of_rows(rows.clone()).range(1..=20);
    let answer = move |request| match (chain.answer(request), request) {
        (Answer::Info(info), Request::Window { start, end, .. }) if start <= 20 => {
            let end = end.min(20);
            let closed = closed_at(end).to_rfc3339();
            let said =
                serde_json::json!({"start_ledger": start, "end_ledger": end, "latest_closed_at": closed});
            Answer::Info(info.metadata(&said))
        }
        (answer, _) => answer,
    };
    (rows, answer)
}

async fn young_world() -> World {
    let (rows, answer) = young();
    let chain = Chain::of_rows(rows.clone()).range(1..=20);
    let world = World::with(Database::create().await, chain, rows).await;
    world.source.answer_with(answer);
    world
}

#[tokio::test]
async fn a_short_window_at_the_tip_waits_for_the_commit_interval() {
    let world = young_world().await;
    let run = |interval: &'static str| world.ingestctl("run --json").env("COMMIT_INTERVAL", interval);

    // The first window is full, and waits for nothing; 17 to 20 is short, and its first ledger closed minutes ago.
    let report = json(&run("1h").run().await.expect_code(0));
    assert_eq!(world.windows().await, ["1-16"]);
    assert_eq!((&report["caught_up"], &report["next_ledger"]), (&true.into(), &17.into()));
    run("1h").run().await.expect_code(0);
    assert_eq!(world.windows().await, ["1-16"]);

    // It is the first ledger of the window that counts: the last one closed just now.
    run("100s").run().await.expect_code(0);
    assert_eq!(world.windows().await, ["1-16", "17-20"]);
    world.expect_whole(&[1..=20]).await;
}

#[tokio::test]
async fn a_replay_waits_for_nothing() {
    let world = young_world().await;

    let program = world.ingestctl("replay -s 1 -e 20").env("COMMIT_INTERVAL", "1h");
    program.run().await.expect_code(0);

    world.expect_whole(&[1..=20]).await;
}
