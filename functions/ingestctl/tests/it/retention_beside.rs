//! Retention beside loads, long queries, loaders of an earlier release, and another maintenance.

use std::ops::RangeInclusive;

use testkit::Running;

use crate::support::{World, all_succeed, json, until};

/// The completed windows, as ranges.
async fn completed(world: &World) -> Vec<RangeInclusive<u32>> {
    let windows = world.windows().await;
    let ends = windows.iter().map(|window| window.split_once('-').unwrap());
    ends.map(|(start, end)| start.parse().unwrap()..=end.parse().unwrap()).collect()
}

/// How many sessions are in a load transaction, and wait for their own client.
const IN_LOAD: &str = "select count(*) from pg_stat_activity where datname = current_database()
    and state = 'idle in transaction' and application_name like 'contract-data-loader _%'";

/// Whether the boundary is committed.
const BOUNDARY: &str = "select coalesce(retained_from, 0) from contract_data.settings";

/// A world with ledgers 65 to 300, and a replay of 1 to 64 that halts at a failpoint.
async fn loading_below(failpoint: &str) -> (World, Running) {
    let world = World::new(1..=300).await;
    world.succeeds("replay -s 65 -e 300").await;
    let running =
        world.ingestctl("replay -s 1 -e 64 --parallel 1 --json").env("FAILPOINTS", failpoint).spawn();
    (world, running)
}

#[tokio::test]
async fn a_load_that_has_claimed_is_waited_for_and_its_rows_are_kept_in_the_state() {
    let (world, load) = loading_below("claimed=1*sleep(3000)").await;
    until("it has claimed", async || world.database.value(IN_LOAD).await == "1").await;
    let maintain = world.ingestctl("maintain --retain-ledgers 100 --json").spawn();
    until("the boundary is set", async || world.database.value(BOUNDARY).await == "192").await;
    assert_eq!(world.database.value(IN_LOAD).await, "1", "it does not wait for loads to set it");
    // A load that comes now is not held up.
    world.database.execute("delete from contract_data.ingestion_progress where start_ledger = 288").await;
    world.database.execute("delete from contract_data.entries where ledger_sequence >= 288").await;
    world.succeeds("replay -s 288 -e 300").await;
    assert_eq!(world.database.value(IN_LOAD).await, "1", "it came and went while the other was at it");

    let maintained = json(&maintain.wait().await.expect_code(0));
    let report = json(&load.wait().await.expect_code(0));

    assert_eq!(maintained["postponed"], serde_json::json!([]));
    let statuses: Vec<_> = report["windows"].as_array().unwrap().iter().map(|w| &w["status"]).collect();
    assert_eq!(statuses, ["completed"], "the one that had claimed, and no other: {report}");
    world.expect_retained(&completed(&world).await, 192).await;
}

#[tokio::test]
async fn a_load_that_has_not_claimed_yet_is_refused_and_leaves_no_partition() {
    let (world, load) = loading_below("staged=1*sleep(4000)").await;
    until("it has staged", async || world.staged().await.len() == 1).await;

    world.succeeds("maintain --retain-ledgers 100").await;
    let report = json(&load.wait().await.expect_code(0));

    let windows = report["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 1, "{report}");
    assert!(windows.iter().all(|w| w["status"] == "not_retained" && w["rows"] == 0), "{report}");
    assert_eq!(world.staged().await, Vec::<String>::new());
    let low = "select count(*) from pg_class where relname = 'entries_0000000000'";
    assert_eq!(world.database.value(low).await, "0");
    world.expect_retained(&[65..=300], 192).await;
}

#[tokio::test]
async fn loads_killed_on_the_way_leave_no_half_partition() {
    for point in ["claimed", "copied", "before_commit", "committed"] {
        let (world, load) = loading_below(&format!("{point}=1*sleep(600)->return")).await;
        until("a worker is at it", async || {
            world.database.value(IN_LOAD).await != "0" || point == "committed"
        })
        .await;
        world.succeeds("maintain --retain-ledgers 100").await;
        load.wait().await;
        world.succeeds("maintain").await;
        world.succeeds("run").await;
        world.expect_retained(&completed(&world).await, 192).await;
    }
}

#[tokio::test]
async fn a_replacement_under_way_is_waited_for() {
    let world = World::new(1..=300).await;
    world.succeeds("replay -s 1 -e 300").await;
    let force =
        world.ingestctl("replay -s 1 -e 16 --force").env("FAILPOINTS", "removed=1*sleep(2000)").spawn();
    until("its rows are removed", async || world.database.value(IN_LOAD).await == "1").await;
    world.succeeds("maintain --retain-ledgers 100").await;
    force.wait().await.expect_code(0);
    world.expect_retained(&[1..=300], 192).await;
}

#[tokio::test]
async fn a_long_query_is_not_blocked_blocks_nobody_and_is_waited_for_next_time() {
    let world = World::new(1..=600).await;
    world.succeeds("replay -s 1 -e 300").await;
    let count = "select count(*) from contract_data.entries";
    let mut analyst = world.database.connect().await;
    let query = analyst.transaction().await.unwrap();
    let all: i64 = query.query_one(count, &[]).await.unwrap().get(0);

    let maintain = world.ingestctl("maintain --retain-ledgers 100 --json").spawn();
    let pending = "select count(*) from pg_inherits where inhdetachpending";
    until("the detach waits", async || world.database.value(pending).await == "1").await;
    // Meanwhile others read, the schedule loads its ledgers, also into a new partition, and windows are replaced.
    let seen: i64 = world.database.value(count).await.parse().unwrap();
    assert!(seen < all, "the pending partition is out of sight");
    world.succeeds("replay -s 449 -e 464").await;
    world.succeeds("replay -s 193 -e 208 --force").await;
    assert_eq!(world.database.value(pending).await, "1", "it waits all the while");
    let report = json(&maintain.wait().await.expect_code(0));
    assert_eq!(report["dropped"], serde_json::json!([]));
    assert!(report["postponed"][0]["what"].as_str().unwrap().contains("entries_0000000000"), "{report}");
    world.succeeds("verify").await;

    // It is still there: the next maintenance reports it again, and the analyst's query continues.
    let report = world.succeeds("maintain").await.stdout;
    assert!(report.contains("Not now: drop of entries_0000000000, which is in use"), "{report}");
    world.database.value("select contract_data.refresh_current_states()").await;
    let sees: i64 = query.query_one(count, &[]).await.unwrap().get(0);
    assert!(sees > 0);
    query.commit().await.unwrap();

    let report = json(&world.succeeds("maintain --json").await);
    assert_eq!(report["postponed"], serde_json::json!([]));
    assert_eq!((report["dropped"].as_array().unwrap().len(), &report["retained_from"]), (6, &192.into()));
    world.expect_retained(&[1..=300, 449..=464], 192).await;
}

#[tokio::test]
async fn a_loader_of_an_earlier_release_is_refused_by_the_database() {
    let world = World::new(1..=300).await;
    world.succeeds("replay -s 65 -e 300").await;
    world.succeeds("maintain --retain-ledgers 100").await;
    assert_eq!(world.database.value("select contract_data.ensure_partition(1)").await, "-");
    let session = world.database.connect().await;
    session.batch_execute("select contract_data.tend_partition(1)").await.unwrap();
    for statement in [
        "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, completed_at, status)
         values (gen_random_uuid(), 1, 16, now(), 'completed')",
        "update contract_data.ingestion_progress set batch_id = gen_random_uuid() where start_ledger = 65",
    ] {
        let told = session.batch_execute(statement).await.unwrap_err();
        assert_eq!(told.code().unwrap().code(), "55000", "{told:?}");
    }
    for (function, state) in [
        ("retain_from(200)", "22023"),
        ("retain_from(320)", "22023"),
        ("condense_partition(192)", "55000"),
        ("condense_partition(0)", "55000"),
    ] {
        let told = session.batch_execute(&format!("select contract_data.{function}")).await.unwrap_err();
        assert_eq!(told.code().unwrap().code(), state, "{function}: {told:?}");
    }
}

#[tokio::test]
async fn maintenances_at_once_and_loads_get_along() {
    let world = World::new(1..=600).await;
    world.succeeds("replay -s 1 -e 300").await;
    let lines = [
        "maintain --retain-ledgers 100",
        "maintain --retain-ledgers 100",
        "replay -s 301 -e 400",
        "run",
        "maintain",
    ];
    all_succeed(lines.map(|line| world.ingestctl(line).env("START_LEDGER", "200").spawn()).into()).await;
    world.succeeds("maintain --retain-ledgers 100").await;
    let boundary = world.database.value(BOUNDARY).await.parse().unwrap();
    world.expect_retained(&[1..=600], boundary).await;
}
