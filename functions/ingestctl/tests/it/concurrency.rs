//! Many processes at once: every ledger once, every process succeeds.

use std::sync::Arc;

use testkit::{Answer, Chain, Request, Step};
use tokio::sync::Semaphore;

use crate::oracle;
use crate::support::{World, all_succeed, json, until};

/// No two transactions waited for each other.
pub(crate) async fn expect_no_deadlock(world: &World) {
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(world.database.value(deadlocks).await, "0", "deadlocks");
}

#[tokio::test]
async fn overlapping_ranges_in_unequal_windows_load_every_ledger_once() {
    let world = World::new(1..=160).await;
    let ranges = [(1, 80, 7), (20, 120, 16), (50, 160, 33), (1, 160, 64)];

    let running = ranges.map(|(start, end, window)| {
        let line = format!("replay -s {start} -e {end} --window-ledgers {window}");
        world.ingestctl(&line).env("FAILPOINTS", "claimed=sleep(20);copied=sleep(20)").spawn()
    });
    all_succeed(running.into()).await;

    world.expect_whole(&[1..=160]).await;
    expect_no_deadlock(&world).await;
}

#[tokio::test]
async fn eight_processes_at_one_window_load_it_once() {
    let world = World::new(1..=16).await;

    let line = "replay -s 1 -e 16 --json";
    let running = (0..8).map(|_| world.ingestctl(line).env("FAILPOINTS", "claimed=sleep(50)").spawn());
    let outputs = all_succeed(running.collect()).await;

    let reports: Vec<_> = outputs.iter().map(json).collect();
    let windows = reports.iter().flat_map(|report| report["windows"].as_array().unwrap());
    let loaded = windows.filter(|window| window["status"] == "completed").count();
    assert_eq!(loaded, 1, "processes that say they loaded it: {reports:#?}");
    assert_eq!(world.windows().await, ["1-16"]);
    world.expect_whole(&[1..=16]).await;
    expect_no_deadlock(&world).await;
}

#[tokio::test]
async fn replays_beside_a_scheduled_run_are_no_trouble() {
    let world = World::new(1..=120).await;

    let lines =
        ["run", "replay -s 30 -e 100 --window-ledgers 9", "run --window-ledgers 5", "replay -s 1 -e 120"];
    let slow = "claimed=sleep(10)";
    all_succeed(lines.map(|line| world.ingestctl(line).env("FAILPOINTS", slow).spawn()).into()).await;

    world.expect_whole(&[1..=120]).await;
    expect_no_deadlock(&world).await;
}

#[tokio::test]
async fn eight_processes_make_a_partition_once() {
    let world = World::new(1..=256).await;

    let running = (0..8).map(|n| {
        let (start, end) = (1 + n % 4 * 64, (1 + n % 4) * 64);
        world.ingestctl(&format!("replay -s {start} -e {end}")).spawn()
    });
    all_succeed(running.collect()).await;

    let partitions = "select count(*) from pg_inherits where inhparent = 'contract_data.entries'::regclass";
    assert_eq!(world.database.value(partitions).await, "5");
    world.expect_whole(&[1..=256]).await;
}

#[tokio::test]
async fn a_second_scheduled_run_says_busy_and_ends_well() {
    let (reached, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let steps = vec![Step::Reached(Arc::clone(&reached)), Step::Wait(Arc::clone(&go_on))];
    let chain = Chain::of_rows(oracle::ledgers(1..=16)).then(steps).for_attempts(1);
    let world = World::of(chain.range(1..=16), 1..=16).await;

    let first = world.ingestctl("run").spawn();
    reached.acquire().await.unwrap().forget();
    let second = world.succeeds("run --json").await;
    let told = world.succeeds("run").await.stdout;
    let status = json(&world.succeeds("status --json").await);
    go_on.add_permits(1);
    first.wait().await.expect_code(0);

    assert_eq!(json(&second)["busy"], true);
    assert_eq!(json(&second)["windows"], serde_json::json!([]));
    assert_eq!(told, "Another scheduled run is active; nothing was done.\n");
    assert_eq!(status["under_way"][0]["end_ledger"], 16, "{status}");
    assert_eq!(world.source.drains(), 1, "the others drained nothing");
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_window_loaded_by_another_during_the_drain_is_left_alone() {
    let (reached, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let steps = vec![Step::Reached(Arc::clone(&reached)), Step::Wait(Arc::clone(&go_on))];
    let honest = Chain::of_rows(oracle::ledgers(1..=32)).range(1..=32);
    let slow = honest.clone().then(steps);
    let world = World::of(honest.clone(), 1..=32).await;
    world.source.answer_with(move |request| match request {
        Request::Window { start: 1, end: 32, .. } => slow.answer(request),
        other => honest.answer(other),
    });

    // The first drains 1-32 while the second loads 11-20: the first discards its window, and loads the rest.
    let first = world.ingestctl("replay -s 1 -e 32 --window-ledgers 32 --json").spawn();
    reached.acquire().await.unwrap().forget();
    world.succeeds("replay -s 11 -e 20").await;
    go_on.add_permits(1);
    let report = json(&first.wait().await.expect_code(0));

    let told = |n: usize| {
        let w = &report["windows"][n];
        format!("{}-{} {} {}", w["start_ledger"], w["end_ledger"], w["status"].as_str().unwrap(), w["rows"])
    };
    assert_eq!(told(0), "1-32 partly_loaded 0");
    assert_eq!(world.windows().await, ["1-10", "11-20", "21-32"]);
    world.expect_whole(&[1..=32]).await;
}

/// Whether a session waits for the claim of another.
async fn somebody_waits(world: &World) -> bool {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock' and query like '%claim_window%'";
    world.database.value(waiting).await != "0"
}

#[tokio::test]
async fn who_waits_for_a_frozen_holder_finds_its_work_done_or_does_it() {
    for thawed in [true, false] {
        let world = World::new(1..=16).await;
        let holder = world.ingestctl("run").env("FAILPOINTS", "copied=sleep(1500)").spawn();
        let claimed = "select count(*) from pg_stat_activity where datname = current_database()
                       and application_name like 'contract-data-loader %' and query like 'set local statement_timeout%' and state = 'idle in transaction'";
        until("the claim is held", async || world.database.value(claimed).await != "0").await;
        holder.signal("STOP").await;

        let waiting = world.ingestctl("replay -s 1 -e 16").spawn();
        until("the second waits", async || somebody_waits(&world).await).await;
        if thawed {
            holder.signal("CONT").await;
            holder.wait().await.expect_code(0);
        } else {
            holder.kill9().await;
        }
        waiting.wait().await.expect_code(0);

        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn a_source_that_grows_during_the_run_gives_no_partial_ledger() {
    let (reached, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let steps = vec![Step::Reached(Arc::clone(&reached)), Step::Wait(Arc::clone(&go_on))];
    let young = Chain::of_rows(oracle::ledgers(1..=10)).range(1..=10).then(steps);
    let world = World::of(young, 1..=40).await;

    let first = world.ingestctl("run").spawn();
    reached.acquire().await.unwrap().forget();
    let grown = Chain::of_rows(oracle::ledgers(1..=40)).range(1..=40);
    world.source.answer_with(move |request| -> Answer { grown.answer(request) });
    go_on.add_permits(1);
    first.wait().await.expect_code(0);
    assert_eq!(world.windows().await, ["1-10"]);
    world.succeeds("run").await;

    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn many_workers_of_many_processes_find_every_new_partition() {
    for _ in 0..3 {
        let world = World::new(1..=1600).await;
        let line = "replay -s 1 -e 1600 --parallel 16 --window-ledgers 16";
        all_succeed((0..3).map(|_| world.ingestctl(line).spawn()).collect()).await;
        world.expect_whole(&[1..=1600]).await;
    }
}
