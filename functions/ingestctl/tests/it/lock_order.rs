//! Refresh, forced replays and runs side by side: each waits for the others' locks, in one order, and nothing deadlocks.

use crate::concurrency::expect_no_deadlock;
use crate::support::{World, all_succeed, until};

/// Begins a transaction that holds the lock of the fold, as everything does that changes the state.
const FOLDING: &str = "begin; select pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0))";

/// Waits until a session waits for the lock of the fold.
async fn until_one_waits(world: &World) {
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                   and database = (select oid from pg_database where datname = current_database())";
    until("a session waits for the fold", async || world.database.value(waiting).await != "0").await;
}

#[tokio::test]
async fn a_forced_replay_holds_no_row_while_it_waits_for_the_fold() {
    let world = World::new(1..=32).await;
    world.succeeds("replay -s 1 -e 32").await;
    for (state, work) in [
        ("true", "select contract_data.refresh_current_states()"),
        ("false", "select contract_data.fold_pending(1000000)"),
    ] {
        let slowly = world.ingestctl("replay -s 1 -e 16 --force").env("FAILPOINTS", "staged=sleep(2000)");
        let forced = slowly.spawn();
        until("it has staged the window", async || !world.staged().await.is_empty()).await;
        world
            .database
            .execute(&format!("update contract_data.ingestion_progress set folded = {state}"))
            .await;
        let session = world.database.connect().await;
        session.batch_execute(FOLDING).await.unwrap();
        until_one_waits(&world).await;
        session.batch_execute(work).await.unwrap_or_else(|error| panic!("{work}: {error:?}"));
        session.batch_execute("commit").await.unwrap();
        forced.wait().await.expect_code(0);
    }
    world.expect_whole(&[1..=32]).await;
    expect_no_deadlock(&world).await;
}

#[tokio::test]
async fn refresh_force_and_run_at_once_all_succeed() {
    let world = World::new(1..=120).await;
    world.succeeds("replay -s 1 -e 100").await;
    for _ in 0..8 {
        // Something to fold, so that the runs fold before and while the replay replaces windows.
        let unfolded =
            "update contract_data.ingestion_progress set folded = false where start_ledger % 3 = 0";
        world.database.execute(unfolded).await;
        let lines = ["run", "replay -s 1 -e 100 --force", "replay -s 1 -e 120", "run"];
        let running = lines.map(|line| world.ingestctl(line).env("FAILPOINTS", "removed=sleep(20)").spawn());
        for _ in 0..4 {
            world.database.value("select contract_data.refresh_current_states()").await;
        }
        all_succeed(running.into()).await;
    }
    world.expect_whole(&[1..=120]).await;
    expect_no_deadlock(&world).await;
}
