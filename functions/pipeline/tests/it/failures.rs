//! Failing windows: recorded, skipped, retried, cleared; and errors that are not the window's.

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
async fn of_64_windows_in_parallel_a_poisoned_one_is_reported_and_63_completed() {
    let source = chain(Some(77)).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "2");
    let parallel = ReplayOptions { parallel: Some(8), ..ReplayOptions::default() };
    let report = world.replay_with(1, 128, parallel.clone()).await.unwrap();
    assert_eq!(report.windows.len(), 64);
    let completed = report.windows.iter().filter(|w| w.status == WindowStatus::Completed).count();
    assert_eq!(completed, 63);
    let message = "77 | 78 | 1 | bad data in ledger 77, column val_xdr: contains a NUL byte, which PostgreSQL cannot store";
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
    assert_eq!((report.rows(), report.failed().count()), (124, 1));
    assert_eq!(failed(&world).await.len(), 1);

    let asked = source.windows().len();
    assert_eq!(world.run().await.unwrap().windows.len(), 0, "not due yet");
    assert!(!source.windows()[asked..].contains(&(5, 8)));

    let later =
        "update contract_data.ingestion_progress set completed_at = completed_at - interval '61 seconds'
                 where status = 'failed'";
    world.database.execute(later).await;
    assert_eq!(world.run().await.unwrap().failed().count(), 1);
    assert!(failed(&world).await[0].starts_with("5 | 8 | 2 | "), "the second attempt");
    assert_eq!(world.objects("staging").len(), 1, "the object of the first attempt is gone");
    world.database.execute(later).await;
    assert_eq!(world.run().await.unwrap().windows.len(), 0, "two minutes after the second attempt");

    let mended = chain(None);
    source.answer_with(move |request| mended.answer(request));
    world.database.execute(later).await;
    assert_eq!(world.run().await.unwrap().rows(), 4);
    assert_eq!(failed(&world).await, Vec::<String>::new());
    world.verified().await;
}

#[tokio::test]
async fn a_window_that_the_source_fails_while_others_pass_is_recorded() {
    let honest = chain(None);
    let source = Source::serve(move |request| match request {
        Request::Window { start: 21, end: 30, .. } => Answer::Refuse(Status::internal("a bad sector")),
        _ => honest.answer(request),
    });
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "10");
    let report = world.replay(1, 128).await.unwrap();
    assert_eq!((report.rows(), report.failed().count()), (118, 1));
    let failed = failed(&world).await;
    assert!(failed.len() == 1 && failed[0].contains("a bad sector"), "{failed:?}");
    world.verified().await;
}

#[tokio::test]
async fn a_source_that_fails_every_window_marks_none() {
    let source = chain(None).refuse(Status::unavailable("maintenance")).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "10");
    let error = world.replay(1, 128).await.unwrap_err();
    assert!(matches!(&error, Error::Source { .. }) && error.chain().contains("maintenance"), "{error:?}");
    assert_eq!(failed(&world).await, Vec::<String>::new());
    assert!(source.windows().len() <= 4, "it is not asked for all windows: {:?}", source.windows());
}
