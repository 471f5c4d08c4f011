//! Errors of the source give exit code 3 and one message, and nothing incomplete is recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::port::{closed_port, silent_port};
use testkit::{Answer, Chain, Database, Request, Source, Step};
use tokio::sync::Semaphore;

use crate::oracle;
use crate::support::{Store, World, json};

#[tokio::test]
async fn a_source_out_of_reach_is_exit_code_3() {
    let world = World::new(1..=16).await;
    let (closed, silent) = (closed_port(), silent_port());
    for line in ["run", "replay -s 1 -e 16", "replay -s 1 -e 16 --dry-run"] {
        let endpoint = format!("http://{}", closed.address());
        let told = world.fails(line, &[("FLIGHT_ENDPOINT", &endpoint)], 3).await;
        assert!(told.starts_with("ingestctl: source: ") && told.contains(&endpoint), "{told}");
        assert!(told.contains("refused"), "{told}");

        let endpoint = format!("http://{}", silent.address());
        let variables = [("FLIGHT_ENDPOINT", endpoint.as_str()), ("FLIGHT_TIMEOUT", "300ms")];
        let told = world.fails(line, &variables, 3).await;
        assert!(told.starts_with("ingestctl: source: ") && told.contains(&endpoint), "{told}");
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_window_that_cannot_be_proven_complete_is_not_loaded() {
    // Three rows in one ledger: a longer window would be narrowed down to the ledgers that can be proven.
    let honest = || Chain::of_rows(oracle::ledgers(1..=1)).range(1..=1).batch_rows(1);
    let faults = [
        ("sent nothing for 300ms", honest().silence_after(2)),
        ("the stream broke", honest().cut_after(2)),
        ("rows it declared", honest().end_after(2)),
        ("rows it declared", honest().end_after(0)),
        ("sent more than", honest().declare(|total| total - 1)),
        ("rows it declared", honest().declare(|total| total + 1)),
        ("does not declare ledgers 1-1", honest().undeclared()),
        ("does not declare ledgers 1-1", honest().endpoints(2).undeclared()),
        ("does not declare ledgers 1-1", honest().declare(|_| -1)),
    ];
    let world = World::new(1..=1).await;
    for (n, (reason, chain)) in faults.into_iter().enumerate() {
        world.source.answer_with(move |request| chain.answer(request));
        let line = if n % 2 == 0 { "run" } else { "replay -s 1 -e 1 --force" };
        let told = world.fails(line, &[("FLIGHT_TIMEOUT", "300ms")], 3).await;
        assert!(told.starts_with("ingestctl: source: ") && told.contains(reason), "{reason}: {told}");
        world.expect_nothing().await;
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_stays_is_not() {
    let honest = || Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16).batch_rows(4);
    let world = World::of(honest().cut_after(2).for_attempts(2), 1..=16).await;
    world.succeeds("run").await;
    assert_eq!(world.source.windows(), [(1, 16); 3]);
    world.expect_whole(&[1..=16]).await;

    let world = World::of(honest().undeclared(), 1..=16).await;
    world.ingestctl("run").run().await.expect_code(3);
    assert_eq!(world.source.windows(), [(1, 16)]);
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_range_beyond_the_tip_loads_what_is_there_and_says_so() {
    let world = World::new(1..=40).await;

    let output = world.ingestctl("replay -s 10 -e 100").run().await.expect_code(3);
    assert!(
        output.stdout.contains("The source ends at ledger 40: later ledgers are not loaded."),
        "{}",
        output.stdout
    );
    world.expect_whole(&[10..=40]).await;

    let output = world.ingestctl("replay -s 10 -e 100 --json").run().await.expect_code(3);
    assert_eq!(json(&output)["source_ends_at"], 40);
    let output = world.ingestctl("replay -s 41 -e 100").run().await.expect_code(3);
    assert!(output.stdout.contains("The source ends at ledger 40"), "{}", output.stdout);
    world.expect_whole(&[10..=40]).await;
}

#[tokio::test]
#[allow(clippy::reversed_empty_ranges, reason = "a chain without ledgers")]
async fn a_source_without_ledgers_is_caught_up_with_and_replayed_from_in_vain() {
    let world = World::of(Chain::of_rows(vec![]), 1..=0).await;

    let report = json(&world.succeeds("run --json").await);
    assert_eq!((&report["windows"], &report["caught_up"]), (&serde_json::json!([]), &true.into()));
    world.ingestctl("replay -s 5 -e 9").run().await.expect_code(3);

    world.expect_nothing().await;
}

#[tokio::test]
async fn ledgers_that_the_source_no_longer_has_are_exit_code_3() {
    let world = World::new(20..=40).await;
    let told = world.fails("replay -s 10 -e 25", &[], 3).await;
    assert!(told.contains("ledgers 10-19: source: no longer has ledger 10: its first is 20"), "{told}");
    assert_eq!(world.windows().await, ["20-25"], "what it has is loaded");

    // A window that fails while others pass is distinguished from a failing source.
    let told = world.fails("replay -s 10 -e 40", &[], 3).await;
    assert!(told.contains("source: no longer has ledger 10"), "{told}");
    assert_eq!(world.windows().await, ["20-25", "26-40"]);
    let status = json(&world.succeeds("status --json").await);
    assert_eq!(status["failed"][0]["start_ledger"], 10);
    world.succeeds("verify").await;
}

#[tokio::test]
async fn an_undeclared_source_is_followed_up_to_the_last_ledger_but_one() {
    let undeclared = || Chain::of_rows(oracle::ledgers(1..=32)).range(1..=32).batch_rows(4).undeclared();
    let world = World::of(undeclared(), 1..=32).await;

    // Of ledgers 1 to 16 the last one seen is 16, which may go on; what lies before it is whole.
    let output = world.ingestctl("replay -s 1 -e 16").run().await.expect_code(3);
    assert!(output.stdout.contains("The source ends at ledger 15"), "{}", output.stdout);
    world.expect_whole(&[1..=15]).await;
    let evidence = "select evidence from contract_data.ingestion_progress order by start_ledger";
    assert_eq!(world.database.rows(evidence).await, ["before_last"]);

    world.succeeds("replay -s 16 -e 20 --trust-end").await;
    world.ingestctl("run").env("FLIGHT_TRUST_END", "true").run().await.expect_code(0);
    assert_eq!(world.database.rows(evidence).await, ["before_last", "trusted_end", "trusted_end"]);
    world.expect_whole(&[1..=32]).await;
}

#[tokio::test]
async fn windows_before_the_trouble_stay_loaded() {
    let good = Chain::of_rows(oracle::ledgers(1..=48)).range(1..=48);
    let world = World::of(good.clone(), 1..=48).await;
    let is_broken = AtomicBool::new(false);
    world.source.answer_with(move |request| {
        if let Request::Window { start: 33, .. } = request {
            is_broken.store(true, Ordering::SeqCst);
        }
        match request {
            Request::Window { .. } if is_broken.load(Ordering::SeqCst) => {
                Answer::Refuse(testkit::flight::unauthenticated("no longer"))
            }
            other => good.answer(other),
        }
    });

    let told = world.fails("replay -s 1 -e 48", &[], 3).await;

    assert!(told.contains("ledgers 33-48"), "{told}");
    assert_eq!(world.windows().await, ["1-16", "17-32"]);
    world.succeeds("verify").await;
    // A failed replay does not fold; the next run does.
    let honest = Chain::of_rows(oracle::ledgers(1..=48)).range(1..=48);
    world.source.answer_with(move |request| -> Answer { honest.answer(request) });
    world.succeeds("replay -s 1 -e 32").await;
    world.expect_whole(&[1..=32]).await;
}

#[tokio::test]
async fn a_source_that_goes_away_and_comes_back_is_waited_for() {
    let mut source = Source::of_rows(oracle::ledgers(1..=9));
    source.stop();
    let database = Database::create().await;
    let mut world = World::without_schema(database, source, oracle::ledgers(1..=9), Store::folder());
    world.succeeds("migrate").await;

    let mut running = world.ingestctl("run").env("MAX_RETRIES", "5").spawn();
    running.wait_for_line("retrying").await;
    world.source.start();
    running.wait().await.expect_code(0);

    world.expect_whole(&[1..=9]).await;
}

#[tokio::test]
async fn a_source_that_restarts_in_the_middle_of_a_run_is_no_trouble() {
    let (reached, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let steps = vec![Step::Reached(Arc::clone(&reached)), Step::Wait(Arc::clone(&go_on))];
    let honest = Chain::of_rows(oracle::ledgers(1..=48)).range(1..=48).batch_rows(8);
    let slow = honest.clone().then_after(2, steps);
    let mut world = World::of(honest.clone(), 1..=48).await;
    world.source.answer_with(move |request| match request {
        Request::Window { start: 33, attempt: 1, .. } => slow.answer(request),
        other => honest.answer(other),
    });
    let running = world.ingestctl("run").env("MAX_RETRIES", "5").spawn();
    reached.acquire().await.unwrap().forget();
    world.source.stop();
    world.source.start();
    let output = running.wait().await.expect_code(0);
    assert!(output.stderr.contains("retrying"), "{}", output.stderr);
    world.expect_whole(&[1..=48]).await;
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_a_run_ends_it() {
    let honest = Chain::of_rows(oracle::ledgers(1..=48)).range(1..=48);
    let world = World::of(honest.clone(), 1..=48).await;
    let expired = || Answer::Refuse(testkit::flight::unauthenticated("the token has expired"));
    world.source.answer_with({
        let honest = honest.clone();
        move |request| match request {
            Request::Window { start: 1, .. } | Request::Range { .. } => honest.answer(request),
            _ => expired(),
        }
    });
    let program =
        world.ingestctl("replay -s 1 -e 48").env("FLIGHT_TOKEN", "expiring").env("LOG_LEVEL", "error");
    let told = crate::support::complaint(&program.run().await.expect_code(3));
    assert!(told.contains("the token has expired") && !told.contains("expiring"), "{told}");
    let asked = world.source.windows();
    assert!(
        asked
            .iter()
            .all(|window| window.0 == window.1 || asked.iter().filter(|other| *other == window).count() == 1),
        "{asked:?}"
    );
    assert_eq!(world.windows().await, ["1-16"]);
    world.succeeds("verify").await;
    world.source.answer_with(move |request| honest.answer(request));
    world.succeeds("replay -s 1 -e 48").await;
    world.expect_whole(&[1..=48]).await;
}
