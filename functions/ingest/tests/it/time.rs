//! Time: how the function behaves when time is short, and what remains when it is killed or frozen.

use std::time::{Duration, Instant};

use serde_json::json;

use testkit::lambda::Reply;
use testkit::{Chain, Row};

use crate::support::World;

/// Makes every load wait this long after its COPY.
async fn slow_down(world: &World, seconds: f64) {
    let sql = format!(
        "create function public.dawdle() returns trigger language plpgsql as
           $$ begin perform pg_sleep({seconds}); return null; end $$;
         create trigger dawdle after insert on contract_data.entries
           for each statement execute function public.dawdle()"
    );
    world.database.execute(&sql).await;
}

/// Removes the delay.
async fn speed_up(world: &World) {
    world.database.execute("drop function public.dawdle() cascade").await;
}

/// No session is in a transaction.
async fn expect_rest(world: &World) {
    let open =
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                and (xact_start is not null or state <> 'idle')";
    assert_eq!(world.database.value(open).await, "0", "sessions in a transaction after the answer");
    let hints = "select count(*) from contract_data.ingestion_progress where status = 'processing' and expires_at > now()";
    assert_eq!(world.database.value(hints).await, "0", "hints that still mean something");
}

/// A run that has finished no window reports it, as a transient error.
#[track_caller]
fn expect_out_of_time(reply: Reply) {
    let (kind, message) = reply.failure();
    assert_eq!(kind, "Retryable");
    assert!(message.starts_with("out of time: no window was finished in "), "{message}");
}

#[tokio::test]
async fn a_load_that_takes_too_long_is_given_up_in_time_tried_again_and_then_halved() {
    let world = World::new(16).await;
    slow_down(&world, 60.0).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s")]).await;

    // Drained, staged, and cancelled in its COPY; then the same from the staged object.
    for _ in 0..2 {
        let begun = Instant::now();
        expect_out_of_time(function.invoke_within(&json!({}), Duration::from_secs(4)).await);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        expect_rest(&world).await;
        assert_eq!(world.windows().await, Vec::<String>::new());
        assert_eq!(world.source.drains(), 1, "staged once");
    }

    speed_up(&world).await;
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(world.windows().await, ["1-8", "9-16"], "drained again, in halves");
    assert_eq!(answer["windows"][0]["source"], "flight");
    assert_eq!((&answer["caught_up"], &answer["next_ledger"]), (&json!(true), &json!(17)));
    world.expect_loaded(16).await;
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_halved_by_the_next() {
    let rows = (1..=16).flat_map(|ledger| (0..3).map(move |n| Row::at(ledger).contract(n).value(n.into())));
    let rows: Vec<Row> = rows.collect();
    let chain = move || Chain::of_rows(rows.clone()).range(1..=16);
    let silent = chain().batch_rows(5).silence_after(1);
    let world = World::of(silent).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s")]).await;
    expect_out_of_time(function.invoke_within(&json!({}), Duration::from_secs(3)).await);
    expect_rest(&world).await;

    world.source.answer_with(move |request| chain().answer(request));
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(world.windows().await, ["1-8", "9-16"], "{answer}");
    world.expect_loaded(16).await;
}

#[tokio::test]
async fn no_window_is_begun_that_is_not_likely_to_be_finished() {
    let world = World::new(200).await;
    slow_down(&world, 0.6).await;
    let function = world.function(&[]).await;
    let replay = json!({"start_ledger": 1, "end_ledger": 200, "window_ledgers": 4});

    let begun = Instant::now();
    let answer = function.invoke_within(&replay, Duration::from_secs(6)).await.answer();

    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let windows = answer["windows"].as_array().unwrap();
    assert!(!windows.is_empty() && windows.len() < 50, "{answer}");
    assert!(windows.iter().all(|window| window["status"] == "completed"), "{answer}");
    assert_eq!(answer["caught_up"], false);
    assert_eq!(answer["next_ledger"], windows.last().unwrap()["end_ledger"].as_u64().unwrap() + 1);
    expect_rest(&world).await;
    assert!(!function.process.stdout().contains("cancelled the windows"), "{}", function.process.stdout());

    speed_up(&world).await;
    let rest = json!({"start_ledger": answer["next_ledger"], "end_ledger": 200, "window_ledgers": 4});
    let answer = function.invoke(&rest).await.answer();
    assert_eq!(answer["caught_up"], true);
    world.expect_loaded(200).await;
}

#[tokio::test]
async fn a_forced_replay_that_runs_out_of_time_says_where_to_go_on() {
    let world = World::new(80).await;
    let function = world.function(&[]).await;
    function.invoke(&json!({"start_ledger": 1, "end_ledger": 80})).await.answer();
    let before = world.windows().await;
    slow_down(&world, 1.0).await;

    let forced = json!({"start_ledger": 1, "end_ledger": 80, "force": true});
    let answer = function.invoke_within(&forced, Duration::from_secs(5)).await.answer();

    let next = answer["next_ledger"].as_u64().unwrap();
    assert_eq!(answer["caught_up"], false);
    assert!(before.iter().any(|window| window.starts_with(&format!("{next}-"))), "{next} in {before:?}");
    speed_up(&world).await;
    let rest = json!({"start_ledger": next, "end_ledger": 80, "force": true});
    assert_eq!(function.invoke(&rest).await.answer()["caught_up"], true);
    assert_eq!(world.windows().await, before);
    world.expect_loaded(80).await;
}

#[tokio::test]
async fn a_function_killed_in_the_middle_of_a_copy_leaves_nothing_half_loaded() {
    let world = World::new(16).await;
    slow_down(&world, 60.0).await;
    let killed = world.function(&[("COMMIT_INTERVAL", "0s")]).await;
    let _never = killed.send(&json!({}), Duration::from_secs(3));
    let copying =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    while world.database.value(copying).await == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.process.kill9().await;
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "0");
    assert_eq!(world.windows().await, Vec::<String>::new());

    // The server notices that its client is gone.
    while world.database.value(copying).await != "0" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    speed_up(&world).await;
    let next = world.function(&[("COMMIT_INTERVAL", "0s")]).await;
    let answer = next.invoke(&json!({})).await.answer();
    assert_eq!((&answer["caught_up"], &answer["next_ledger"]), (&json!(true), &json!(17)));
    world.expect_loaded(16).await;
}

#[tokio::test]
async fn a_thawed_function_finds_its_dead_connections_and_makes_new_ones() {
    let world = World::new(16).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s")]).await;
    function.invoke(&json!({"start_ledger": 1, "end_ledger": 8})).await.answer();
    let kept = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    assert_ne!(world.database.value(kept).await, "0", "sessions are kept between invocations");

    function.process.signal("STOP").await;
    let end_all = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()";
    world.database.execute(end_all).await;
    function.process.signal("CONT").await;

    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(answer["next_ledger"], 17);
    world.expect_loaded(16).await;
}

#[tokio::test]
async fn two_functions_at_once_load_every_ledger_once() {
    let world = World::new(120).await;
    let functions = [world.function(&[]).await, world.function(&[]).await, world.function(&[]).await];
    let replay = json!({"start_ledger": 1, "end_ledger": 120, "window_ledgers": 7});
    let [a, b, c] = &functions;
    let schedule = json!({});
    let (_, _, scheduled) = tokio::join!(a.invoke(&replay), b.invoke(&replay), c.invoke(&schedule));
    scheduled.answer();
    world.expect_loaded(120).await;
}
