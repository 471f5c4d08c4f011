//! Forced replays: replace whole windows, in one transaction each, and fold the keys again.

use pipeline::{Error, ReplayKind, ReplayOptions, WindowStatus};
use testkit::{Answer, Chain, Request, Row, Source};
use tonic::Status;

use crate::support::World;

/// A forced replay.
fn force() -> ReplayOptions {
    ReplayOptions { kind: ReplayKind::Force { trust_end: false }, ..ReplayOptions::default() }
}

/// Three windows of ten ledgers; key 1 changes in all of them, key 2 only in the second.
fn told_first() -> Vec<Row> {
    vec![
        Row::at(10).key(1).value(10),
        Row::at(20).key(1).value(20),
        Row::at(21).key(2).value(21),
        Row::at(30).key(3).value(30),
    ]
}

/// The same chain as the source has it later: in the second window key 1 and key 2 never changed, key 4 did.
fn told_later() -> Vec<Row> {
    vec![
        Row::at(10).key(1).value(10),
        Row::at(22).key(4).value(22),
        Row::at(22).key(4).value(23),
        Row::at(30).key(3).value(30),
    ]
}

/// A world that has loaded the first version, and a source that now has the second.
async fn retold() -> (World, Source) {
    let source = Chain::of_rows(told_first()).range(10..=39).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "10");
    world.replay(10, 39).await.unwrap();
    let later = Chain::of_rows(told_later()).range(10..=39);
    source.answer_with(move |request| later.answer(request));
    (world, source)
}

#[tokio::test]
async fn a_window_is_replaced_whole_and_its_keys_folded_anew() {
    let (world, _source) = retold().await;
    let batch = "select batch_id from contract_data.ingestion_progress order by start_ledger";
    let before = world.database.rows(batch).await;

    let report = world.replay_with(25, 26, force()).await.unwrap();

    assert_eq!(report.widened, Some((20, 29)));
    assert_eq!(report.windows.len(), 1);
    assert_eq!((report.windows[0].status, report.windows[0].rows), (WindowStatus::Replaced, 2));
    let after = world.database.rows(batch).await;
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]), "the windows beside it are untouched");
    assert_ne!(before[1], after[1]);
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "4");
    let states = "select ledger_sequence, change_index from contract_data.current_states order by 1";
    assert_eq!(
        world.database.rows(states).await,
        ["10 | 0", "22 | 1", "30 | 0"],
        "key 1 falls back to its change before, key 2 was never there"
    );
    assert_eq!(world.objects("archive").len(), 3);
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    world.verified().await;
}

#[tokio::test]
async fn two_at_once_replace_the_same_windows_without_harm() {
    let (world, _source) = retold().await;
    let (one, other) = tokio::join!(world.replay_with(10, 39, force()), world.replay_with(10, 39, force()));
    one.unwrap();
    other.unwrap();
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "4");
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    world.verified().await;
}

#[tokio::test]
async fn a_source_that_does_not_declare_replaces_nothing() {
    let (world, source) = retold().await;
    let undeclared = Chain::of_rows(told_later()).range(10..=39).undeclared();
    source.answer_with(move |request| undeclared.answer(request));
    let error = world.replay_with(20, 29, force()).await.unwrap_err();
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "4");
    assert_eq!(world.objects("archive").len(), 3);
    world.verified().await;
}

#[tokio::test]
async fn a_source_that_ends_within_a_window_does_not_replace_it() {
    let (world, source) = retold().await;
    let shorter = Chain::of_rows(told_first()).range(10..=35);
    source.answer_with(move |request| shorter.answer(request));
    let message = world.replay_with(30, 39, force()).await.unwrap_err().chain();
    assert!(
        message.contains("ends at ledger 35, before the end of window 30-39, which is to be replaced"),
        "{message}"
    );
    world.verified().await;
}

#[tokio::test]
async fn bad_data_replaces_nothing_and_the_window_stays() {
    let (world, source) = retold().await;
    let mut rows = told_later();
    rows[1].key_xdr = Some("\0".to_owned());
    let bad = Chain::of_rows(rows).range(10..=39);
    source.answer_with(move |request| bad.answer(request));
    let report = world.replay_with(20, 29, force()).await.unwrap();
    assert_eq!(report.windows[0].status, WindowStatus::Failed);
    let windows = "select start_ledger, end_ledger, status from contract_data.ingestion_progress order by 1";
    let completed = ["10 | 19 | completed", "20 | 29 | completed", "30 | 39 | completed"];
    assert_eq!(
        world.database.rows(windows).await,
        completed,
        "no record of a failure that nothing would clear"
    );
    assert_eq!(world.objects("staging").len(), 1, "what the source sent is kept for a while");
    world.verified().await;

    // The same if the source fails a window while it serves others.
    let later = Chain::of_rows(told_later()).range(10..=39);
    source.answer_with(move |request| match request {
        Request::Window { start: 20, .. } => Answer::Refuse(Status::internal("a bad sector")),
        _ => later.answer(request),
    });
    let report = world.replay_with(10, 39, force()).await.unwrap();
    assert_eq!((report.windows.len(), report.failed().count()), (3, 1));
    assert_eq!(world.database.rows(windows).await, completed);
    world.verified().await;
}
