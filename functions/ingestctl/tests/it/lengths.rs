//! Ranges of any length: the work depends on the existing ledgers, not on the length of the range.

use std::time::Duration;

use testkit::Chain;

use crate::oracle;
use crate::support::{World, json};

const BILLION: u32 = 1_000_000_000;

#[tokio::test]
async fn a_billion_ledgers_are_planned_at_once() {
    let chain = Chain::of_rows(oracle::ledgers(1..=9)).range(1..=BILLION);
    let world = World::of(chain, 1..=9).await;

    let output = world.succeeds(&format!("replay -s 1 -e {BILLION} --dry-run --json")).await;

    assert!(output.duration < Duration::from_secs(10), "{:?}", output.duration);
    let plan = json(&output);
    assert_eq!(plan["ledgers"], BILLION);
    // windows of 16 in partitions of 64: 63 ledgers in the first partition, then whole ones
    assert_eq!(plan["windows"], 62_500_001);
    assert_eq!(plan["first_windows"].as_array().unwrap().len(), 20);
    assert_eq!(plan["first_windows"][4], serde_json::json!([64, 79]));
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_billion_ledgers_of_a_small_source_are_those_it_has() {
    let world = World::new(1..=40).await;

    let line = format!("replay -s 1 -e {BILLION}");
    let output = world.ingestctl(&line).run().await.expect_code(3);

    assert!(output.stdout.contains("The source ends at ledger 40"), "{}", output.stdout);
    world.expect_whole(&[1..=40]).await;
    let mut asked = world.source.windows();
    asked.sort_unstable();
    assert_eq!(asked, [(1, 16), (17, 32), (33, 40)]);
}

#[tokio::test]
async fn the_last_ledgers_of_u32_are_loaded_too() {
    let first = u32::MAX - 20;
    let world = World::new(first..=u32::MAX).await;

    world.succeeds(&format!("replay -s {first} -e {}", u32::MAX)).await;

    world.expect_whole(&[first..=u32::MAX]).await;
    let report = json(&world.succeeds("run --json").await);
    assert_eq!(report["windows"], serde_json::json!([]));
}

#[tokio::test]
async fn one_ledger_is_a_range() {
    let world = World::new(1..=40).await;

    world.succeeds("replay -s 7 -e 7").await;

    assert_eq!(world.windows().await, ["7-7"]);
    world.expect_whole(&[7..=7]).await;
}

#[tokio::test]
async fn what_is_loaded_is_left_alone_and_what_is_missing_is_loaded() {
    let world = World::new(1..=60).await;
    world.succeeds("replay -s 11 -e 20").await;
    world.succeeds("replay -s 31 -e 40").await;
    let before =
        world.database.rows("select id, batch_id from contract_data.ingestion_progress order by id").await;

    world.succeeds("replay -s 5 -e 50 --window-ledgers 64").await;

    assert_eq!(world.windows().await, ["5-10", "11-20", "21-30", "31-40", "41-50"]);
    let after =
        world.database.rows("select id, batch_id from contract_data.ingestion_progress order by id").await;
    assert_eq!(after[..2], before[..]);
    world.expect_whole(&[5..=50]).await;
}
