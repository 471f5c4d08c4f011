//! Killed anywhere, and again while recovering: the next run completes, without asking the source twice for what is sealed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::{Asset, Chain, Database, Named, Ttl};

use crate::oracle;
use crate::support::{World, json};

/// Every failpoint, in the order a window meets them.
const POINTS: [&str; 9] = [
    "drained",
    "staged",
    "claimed",
    "copying",
    "copied",
    "before_commit",
    "committed",
    "archive_moved",
    "archive_recorded",
];

/// Kills `line` at the point, checks what is left, runs it again, and checks that it completes ledgers 1 to 40.
async fn survives(line: &str, points: &[&str]) {
    eprintln!("{line}, killed at {points:?}");
    let world = World::new(1..=40).await;
    let mut asked = 0;
    let mut sealed = Vec::new();
    for point in points {
        world.is_killed(line, point).await;
        // After any kill: no rows without their window, no window without its rows and its object.
        world.succeeds("verify").await;
        let again =
            world.source.windows().split_off(asked).into_iter().map(|(start, end)| format!("{start}-{end}"));
        let again: Vec<String> = again.filter(|window| sealed.contains(window)).collect();
        assert_eq!(again, Vec::<String>::new(), "sealed, and asked for again on the way to {point}");
        asked = world.source.windows().len();
        let loaded = world.windows().await;
        sealed = world.staged().await.iter().map(|object| window_of(object)).collect();
        sealed.retain(|window| !loaded.contains(window));
        if ["staged", "claimed", "copying", "copied", "before_commit"].iter().any(|p| point.starts_with(p)) {
            assert!(!sealed.is_empty(), "nothing sealed at {point}");
        }
    }

    let report = json(&world.succeeds(&format!("{line} --json")).await);

    let asked: Vec<String> =
        world.source.windows()[asked..].iter().map(|(start, end)| format!("{start}-{end}")).collect();
    for window in &sealed {
        assert!(!asked.contains(window), "{window} is sealed, and was asked for again: {asked:?}");
        let reports = report["windows"].as_array().unwrap().iter();
        let of_it = reports.filter(|w| format!("{}-{}", w["start_ledger"], w["end_ledger"]) == *window);
        let told: Vec<&serde_json::Value> = of_it.map(|w| &w["source"]).collect();
        assert_eq!(told, ["staging"], "{window}");
    }
    world.expect_whole(&[1..=40]).await;
}

/// `1-16` of `staging/network=pubnet/1-16-0a1b….parquet`.
fn window_of(object: &str) -> String {
    let name = object.rsplit('/').next().unwrap();
    name.splitn(3, '-').take(2).collect::<Vec<_>>().join("-")
}

#[tokio::test]
async fn a_replay_killed_at_any_point_is_completed_by_the_next() {
    for point in POINTS {
        survives("replay -s 1 -e 40", &[&format!("{point}=return")]).await;
    }
}

#[tokio::test]
async fn a_run_killed_at_any_point_is_completed_by_the_next() {
    for point in POINTS {
        survives("run", &[&format!("{point}=return")]).await;
    }
}

#[tokio::test]
async fn what_dies_in_its_second_window_keeps_the_first() {
    for point in ["drained", "staged", "copied", "committed", "archive_moved"] {
        survives("run", &[&format!("{point}=1*off->return")]).await;
    }
}

#[tokio::test]
async fn a_recovery_may_be_killed_as_well() {
    let pairs = [
        ["drained", "drained"],
        ["staged", "staged"],
        ["staged", "copied"],
        ["before_commit", "before_commit"],
        ["copied", "committed"],
        ["committed", "archive_moved"],
        ["archive_moved", "archive_moved"],
        ["archive_moved", "archive_recorded"],
    ];
    for (n, [first, second]) in pairs.into_iter().enumerate() {
        let line = if n % 2 == 0 { "replay -s 1 -e 40" } else { "run" };
        survives(line, &[&format!("{first}=return"), &format!("{second}=return")]).await;
    }
}

#[tokio::test]
async fn a_replay_killed_before_its_fold_is_folded_by_the_next_run() {
    let world = World::new(1..=40).await;
    // Every window is loaded and archived; only the fold is missing.
    world.is_killed("replay -s 1 -e 40", "archive_recorded=2*off->return").await;
    let unfolded = "select count(*) from contract_data.ingestion_progress where not folded";
    assert_eq!(world.database.value(unfolded).await, "3");
    let drains = world.source.drains();

    let output = world.succeeds("replay -s 1 -e 40").await;

    assert!(output.stdout.contains("Nothing to do"), "{}", output.stdout);
    assert_eq!(world.source.drains(), drains);
    world.expect_whole(&[1..=40]).await;
}

/// Every failpoint of a window with three tables: the first two points of an object are those of `ttl` and of `assets`.
const POINTS_OF_TABLES: [&str; 15] = [
    "drained=1*off->return",
    "staged=return",
    "staged=1*off->return",
    "staged=2*off->return",
    "claimed=return",
    "copying=return",
    "copying=1*off->return",
    "side_copied=return",
    "side_copied=1*off->return",
    "copied=return",
    "before_commit=return",
    "committed=return",
    "side_moved=return",
    "side_moved=1*off->return",
    "archive_moved=return",
];

/// Ledgers 1 to 40 with all tables: each entry is named by a time to live, each ledger by an asset.
async fn with_tables() -> World {
    let rows = oracle::ledgers(1..=40);
    let ttls = rows.iter().map(|row| {
        let change = if row.deleted { "removed" } else { "extended" };
        let until = (!row.deleted).then_some(row.ledger_sequence + 7);
        Ttl::at(row.ledger_sequence, row.ledger_key_hash.as_deref().unwrap(), change, until)
    });
    let named = (1..=40).map(|ledger| Named::at(ledger, &Asset::credit(&format!("A{}", ledger % 9), 1)));
    let chain = Chain::of_rows(rows.clone()).with_sides(ttls.collect(), named.collect()).range(1..=40);
    World::with(Database::create().await, chain, rows).await
}

/// Kills `line` at the point, runs it again, and checks that every table has every row once.
async fn survives_with_tables(world: &World, line: &str, point: &str) {
    eprintln!("{line}, killed at {point}");
    world.is_killed(line, point).await;
    world.succeeds("verify").await;
    world.succeeds(line).await;
    world.expect_whole(&[1..=40]).await;
    let ttls =
        "select count(*) = (select count(*) from contract_data.entries) from contract_data.ttl_changes";
    assert_eq!(world.database.value(ttls).await, "t");
    let assets = "select count(*) from contract_data.contract_assets where learnt_from = 'ledger'";
    assert_eq!(world.database.value(assets).await, "9");
    // What an attempt had staged before it was killed goes with a run that finds its ledgers loaded.
    world.succeeds("run").await;
    let left: Vec<String> = world
        .objects()
        .await
        .into_iter()
        .filter(|name| name.ends_with(".parquet") && name.starts_with("staging/"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn a_replay_of_three_tables_killed_at_any_point_is_completed_by_the_next() {
    for point in POINTS_OF_TABLES {
        survives_with_tables(&with_tables().await, "replay -s 1 -e 40", point).await;
    }
}

#[tokio::test]
async fn a_run_of_three_tables_killed_at_any_point_is_completed_by_the_next() {
    for point in POINTS_OF_TABLES {
        survives_with_tables(&with_tables().await, "run", point).await;
    }
}

#[tokio::test]
async fn a_forced_replay_of_three_tables_killed_at_any_point_is_completed_by_the_next() {
    for point in [
        "staged=1*off->return",
        "removed=return",
        "side_copied=return",
        "before_commit=return",
        "side_moved=return",
    ] {
        let world = with_tables().await;
        world.succeeds("replay -s 1 -e 40").await;
        world.is_killed("replay -s 1 -e 40 --force", point).await;
        // A replaced window may still be on its way to the archive, which the next run finishes.
        world.succeeds("run").await;
        world.succeeds("verify").await;
        world.succeeds("replay -s 1 -e 40 --force").await;
        world.succeeds("verify").await;
        let counted = "select (select count(*) from contract_data.entries) - (select count(*) from contract_data.ttl_changes),
                         (select count(*) from contract_data.window_tables)";
        assert_eq!(world.database.value(counted).await, "0 | 6", "killed at {point}");
    }
}

#[tokio::test]
async fn killed_at_random_times_it_still_gets_there() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut seed =
        std::env::var("TEST_SEED").map_or(u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap());
    eprintln!("TEST_SEED={seed}");
    let world = World::new(1..=200).await;
    let slow = "claimed=sleep(15);committed=sleep(15);archive_moved=sleep(15)";
    for n in 0..8 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = Duration::from_millis(30 + (seed >> 33) % 400);
        let line = if n % 2 == 0 { "run" } else { "replay -s 1 -e 200" };
        let running = world.ingestctl(line).env("FAILPOINTS", slow).env("WINDOW_LEDGERS", "8").spawn();
        tokio::time::sleep(delay).await; // not to wait for anything: when it dies is the point
        running.kill9().await;
        world.succeeds("verify").await;
    }

    world.succeeds("replay -s 1 -e 200 --window-ledgers 8").await;

    world.expect_whole(&[1..=200]).await;
}
