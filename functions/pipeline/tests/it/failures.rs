//! Failing windows: recorded, skipped, retried, cleared; and errors that are not the window's.

use std::ops::RangeInclusive;

use pipeline::{Error, ReplayOptions, WindowStatus};
use testkit::{Answer, Chain, Request, Row, Source};
use tonic::Status;

use crate::support::World;

/// 64 windows of two ledgers with a row in each ledger; the rows of one ledger are poisoned if asked.
fn chain(poisoned: Option<u32>) -> Chain {
    let rows = (1..=128).map(|ledger| {
        let mut row = Row::at(ledger).key(ledger % 7).value(ledger.into());
        if Some(ledger) == poisoned {
            row.val_xdr = Some("\0".to_owned());
        }
        row
    });
    Chain::of_rows(rows.collect()).range(1..=128)
}

/// The failed windows, as recorded.
async fn failed(world: &World) -> Vec<String> {
    let sql = "select start_ledger, end_ledger, attempts, error_message from contract_data.ingestion_progress
               where status = 'failed' order by 1";
    world.database.rows(sql).await
}

#[tokio::test]
async fn of_128_ledgers_in_parallel_a_poisoned_one_is_reported_and_127_are_completed() {
    let source = chain(Some(77)).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "2");
    let parallel = ReplayOptions { parallel: Some(8), ..ReplayOptions::default() };
    let report = world.replay_with(1, 128, parallel.clone()).await.unwrap();
    assert_eq!(report.windows.len(), 65, "one window was narrowed down to two ledgers");
    let completed = report.windows.iter().filter(|w| w.status == WindowStatus::Completed).count();
    assert_eq!(completed, 64);
    let message = "77 | 77 | 1 | bad data in ledger 77, column val_xdr: contains a NUL byte, which PostgreSQL cannot store";
    assert_eq!(failed(&world).await, [message]);
    assert_eq!(world.objects("staging").len(), 1, "its object is kept for whoever looks into it");
    world.verified().await;

    let mended = chain(None);
    source.answer_with(move |request| mended.answer(request));
    let report = world.replay_with(1, 128, parallel).await.unwrap();
    assert_eq!(report.windows.len(), 1);
    assert_eq!(failed(&world).await, Vec::<String>::new(), "cleared by the load");
    assert_eq!(world.entries().await.len(), 128);
    world.replay(1, 128).await.unwrap();
    assert_eq!(world.objects("staging"), Vec::<String>::new(), "what the load made superfluous is swept");
    world.verified().await;
}

#[tokio::test]
async fn a_schedule_goes_on_behind_a_failed_window_and_tries_it_again_later() {
    let source = chain(Some(5)).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "4");
    world.set("COMMIT_INTERVAL", "0s");
    let report = world.run().await.unwrap();
    assert_eq!((report.rows(), report.failed().count()), (127, 1));
    assert_eq!(failed(&world).await.len(), 1);

    let asked = source.windows().len();
    assert_eq!(world.run().await.unwrap().windows.len(), 0, "not due yet");
    assert!(!source.windows()[asked..].contains(&(5, 5)));

    let later =
        "update contract_data.ingestion_progress set completed_at = completed_at - interval '61 seconds'
                 where status = 'failed'";
    world.database.execute(later).await;
    assert_eq!(world.run().await.unwrap().failed().count(), 1);
    assert!(failed(&world).await[0].starts_with("5 | 5 | 2 | "), "the second attempt");
    assert_eq!(world.objects("staging").len(), 1, "the object of the first attempt is gone");
    world.database.execute(later).await;
    assert_eq!(world.run().await.unwrap().windows.len(), 0, "two minutes after the second attempt");

    let mended = chain(None);
    source.answer_with(move |request| mended.answer(request));
    world.database.execute(later).await;
    assert_eq!(world.run().await.unwrap().rows(), 1);
    assert_eq!(failed(&world).await, Vec::<String>::new());
    world.verified().await;
}

/// An honest source of these ledgers that answers so whenever it is asked for one of the bad ones.
fn failing(ledgers: RangeInclusive<u32>, bad: &'static [u32], answer: Answer) -> Source {
    let honest = Chain::of_rows(ledgers.clone().map(Row::at).collect()).range(ledgers);
    Source::serve(move |request| match request {
        Request::Window { start, end, .. } if bad.iter().any(|bad| (start..=end).contains(bad)) => {
            answer.clone()
        }
        _ => honest.answer(request),
    })
}

#[tokio::test]
async fn a_ledger_that_the_source_fails_is_recorded_alone_wherever_it_is() {
    for bad in [&[1][..], &[10], &[20], &[1, 2, 13, 20]] {
        let source = failing(1..=20, bad, Answer::Refuse(Status::internal("a bad sector")));
        let world = World::around(&source).await;
        world.set("COMMIT_INTERVAL", "0s");
        let report = world.run().await.unwrap();
        assert_eq!((report.rows(), report.failed().count()), (20 - bad.len() as u64, bad.len()), "{bad:?}");
        let failed = failed(&world).await;
        for (failed, bad) in failed.iter().zip(bad) {
            let recorded = format!("{bad} | {bad} | 1 | source: ");
            assert!(failed.starts_with(&recorded) && failed.ends_with("a bad sector"), "{failed}");
        }
        assert_eq!(failed.len(), bad.len());
        world.verified().await;
    }
}

#[tokio::test]
async fn a_bad_ledger_that_is_the_last_to_fail_is_recorded_and_tried_again_once_per_run() {
    let source = failing(1..=21, &[21], Answer::Refuse(Status::unavailable("a bad sector")));
    let world = World::around(&source).await;
    world.set("COMMIT_INTERVAL", "0s");
    world.replay(1, 20).await.unwrap();
    world.set("MAX_RETRIES", "1");
    let with_it = |windows: &[(u32, u32)]| windows.iter().filter(|window| window.1 == 21).count();

    assert_eq!(world.run().await.unwrap().failed().count(), 1, "nothing is loaded behind it");
    assert_eq!(failed(&world).await.len(), 1);
    let later =
        "update contract_data.ingestion_progress set completed_at = completed_at - interval '61 seconds'
                 where status = 'failed'";
    world.database.execute(later).await;
    let asked = source.windows().len();
    assert_eq!(world.run().await.unwrap().failed().count(), 1);
    assert!(failed(&world).await[0].starts_with("21 | 21 | 2 | "));
    assert_eq!(with_it(&source.windows()[asked..]), 1);
}

#[tokio::test]
async fn a_ledger_that_times_out_delays_the_others_by_one_window() {
    let source = failing(1..=64, &[40], Answer::Silence);
    let world = World::around(&source).await;
    world.set("COMMIT_INTERVAL", "0s");
    assert_eq!(world.run().await.unwrap().failed().count(), 1);
    let asked = source.windows();
    let waited: Vec<_> = asked.iter().filter(|(start, end)| (*start..=*end).contains(&40)).collect();
    assert_eq!(waited, [&(1, 64), &(40, 40)], "it is not halved, with a timeout at each step");
    assert_eq!(world.entries().await.len(), 63);
}

#[tokio::test]
async fn what_the_source_no_longer_has_is_not_narrowed() {
    let source = Chain::of_rows((100..=128).map(Row::at).collect()).serve();
    let world = World::around(&source).await;
    let report = world.replay(1, 128).await.unwrap();
    assert_eq!((report.rows(), report.failed().count()), (29, 2));
    let failed = failed(&world).await;
    assert!(failed[0].starts_with("1 | 64 | 1 | ") && failed[1].starts_with("65 | 99 | 1 | "), "{failed:?}");
}

#[tokio::test]
async fn a_source_that_fails_after_some_windows_marks_none() {
    let source = chain(None).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "10");
    world.replay(1, 30).await.unwrap();
    source.answer_with(|request| match request {
        Request::Range { .. } => chain(None).answer(request),
        _ => Answer::Refuse(Status::internal("out of memory")),
    });
    for outcome in [world.replay(31, 128).await, world.replay(128, 128).await] {
        let error = outcome.unwrap_err();
        assert!(error.chain().contains("out of memory"), "{error:?}");
    }
    assert_eq!(failed(&world).await, Vec::<String>::new());
    let asked = source.windows().len();
    assert!(asked <= 3 + 4 + 2, "it is not asked for all parts of all windows: {asked}");
}

#[tokio::test]
async fn a_source_that_fails_every_window_marks_none() {
    let source = chain(None).refuse(Status::unavailable("maintenance")).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "10");
    let error = world.replay(1, 128).await.unwrap_err();
    assert!(matches!(&error, Error::Source { .. }) && error.chain().contains("maintenance"), "{error:?}");
    assert_eq!(failed(&world).await, Vec::<String>::new());
    assert!(source.windows().len() <= 10, "it is not asked for all windows: {:?}", source.windows());
}

#[tokio::test]
async fn the_ledger_of_the_fingerprint_may_go_bad_and_stops_no_run() {
    let source = failing(1..=8, &[], Answer::Silence);
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "4");
    world.set("COMMIT_INTERVAL", "0s");
    world.set("MAX_WINDOWS", "1");
    for _ in 0..2 {
        assert_eq!(world.run().await.unwrap().rows(), 4);
    }
    world.set("MAX_WINDOWS", "9");
    let fingerprint = "select fingerprint_ledger from contract_data.settings";
    assert_eq!(world.database.value(fingerprint).await, "1");

    let longer = failing(1..=16, &[1], Answer::Refuse(Status::internal("a bad sector")));
    world.set("FLIGHT_ENDPOINT", &longer.url());
    assert_eq!(world.run().await.unwrap().rows(), 8);
    assert_eq!(failed(&world).await, Vec::<String>::new());
    world.verified().await;

    // Another chain is still refused, by the ledger next to it.
    let rows = (1..=24).map(|ledger| Row::at(ledger).key(9)).collect();
    let reset = Chain::of_rows(rows).range(1..=24);
    let reset = Source::serve(move |request| match request {
        Request::Window { start: 1, .. } => Answer::Refuse(Status::internal("a bad sector")),
        _ => reset.answer(request),
    });
    world.set("FLIGHT_ENDPOINT", &reset.url());
    let error = world.run().await.unwrap_err().to_string();
    assert!(error.contains("ledger 8 differs between source and database"), "{error}");

    // A source that serves neither is in trouble.
    let silent = failing(1..=24, &[1, 5, 6, 7, 8], Answer::Refuse(Status::internal("a bad sector")));
    world.set("FLIGHT_ENDPOINT", &silent.url());
    assert!(matches!(world.run().await.unwrap_err(), Error::Source { .. }));
}
