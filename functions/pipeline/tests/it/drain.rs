//! What a drain refuses and accepts, and that a refusal leaves nothing behind.

use pipeline::{Error, ReplayKind, ReplayOptions};
use testkit::{Answer, Chain, Info, Row, Source, Step};
use tonic::Status;

use crate::support::World;

/// Rows of ledgers 10 to 19: two in each but in 13, which has none, and five in 15.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for ledger in 10..20 {
        let count = match ledger {
            13 => 0,
            15 => 5,
            _ => 2,
        };
        rows.extend((0..count).map(|k| Row::at(ledger).key(k).value(u64::from(ledger * 100 + k))));
    }
    rows
}

/// An honest chain of the rows in small batches.
fn chain() -> Chain {
    Chain::of_rows(rows()).batch_rows(4)
}

/// 21 rows of ledger 15 in small batches: a window that cannot be narrowed.
fn single() -> Chain {
    Chain::of_rows((0..21).map(|k| Row::at(15).key(k).value(k.into())).collect()).batch_rows(4)
}

/// Replays ledgers from a faulty source: an error of the source with this text, and nothing recorded.
async fn check_refused(chain: Chain, (start, end): (u32, u32), expected: &str) {
    let source = chain.serve();
    let world = World::around(&source).await;
    let error = world.refused(start, end).await;
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
    let message = error.chain();
    assert!(message.contains(expected), "{message}");
}

#[tokio::test]
async fn a_window_is_loaded_and_numbered_in_stream_order() {
    let source = chain().serve();
    let world = World::around(&source).await;
    let report = world.replay(10, 19).await.unwrap();
    assert_eq!(report.rows(), 21);
    let places = world.database.rows(
        "select ledger_sequence, array_agg(change_index order by change_index) from contract_data.entries group by 1 order by 1",
    );
    let places = places.await;
    assert_eq!(places.len(), 9);
    assert_eq!(places[4], "15 | {0,1,2,3,4}");
    world.verified().await;
}

#[tokio::test]
async fn a_replayed_window_changes_nothing() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.replay(10, 19).await.unwrap();
    let state = "select md5(string_agg(t::text, '|' order by t::text)) from (select xmin, * from contract_data.entries) t";
    let before = world.database.value(state).await;
    let drains = source.drains();
    let report = world.replay(10, 19).await.unwrap();
    assert!(report.windows.is_empty());
    assert_eq!(world.database.value(state).await, before);
    assert_eq!(source.drains(), drains, "what is loaded is not drained again");
}

#[tokio::test]
async fn a_clean_end_before_the_declared_rows_is_no_window() {
    check_refused(
        single().end_after(3),
        (15, 15),
        "ended after 12 of the 21 rows it declared for ledgers 15-15",
    )
    .await;
}

#[tokio::test]
async fn a_clean_end_before_any_row_is_no_window() {
    check_refused(single().end_after(0), (15, 15), "ended after 0 of the 21 rows").await;
}

#[tokio::test]
async fn more_rows_than_declared_are_no_window() {
    check_refused(single().declare(|total| total - 1), (15, 15), "sent more than the 20 rows it declared")
        .await;
}

#[tokio::test]
async fn fewer_rows_than_declared_are_no_window() {
    check_refused(single().declare(|total| total + 1), (15, 15), "ended after 21 of the 22 rows").await;
}

#[tokio::test]
async fn a_cut_stream_is_no_window() {
    check_refused(single().cut_after(3), (15, 15), "the stream broke in ledgers 15-15").await;
}

#[tokio::test]
async fn a_stream_that_ends_in_an_error_is_no_window() {
    check_refused(single().error_after(5, Status::internal("disk on fire")), (15, 15), "disk on fire").await;
}

#[tokio::test]
async fn a_silent_source_is_given_up_after_the_timeout() {
    let source = single().silence_after(2).serve();
    let world = World::around(&source).await;
    world.set("FLIGHT_TIMEOUT", "300ms");
    let message = world.refused(15, 15).await.chain();
    assert!(message.contains("sent nothing for 300ms in the middle of ledgers 15-15"), "{message}");
}

#[tokio::test]
async fn a_source_that_never_answers_is_given_up_after_the_timeout() {
    let source = Source::serve(|_| Answer::Silence);
    let world = World::around(&source).await;
    world.set("FLIGHT_TIMEOUT", "300ms");
    let message = world.refused(10, 19).await.chain();
    assert!(message.contains("does not answer for its range of ledgers within 300ms"), "{message}");
}

#[tokio::test]
async fn a_row_outside_the_window_is_no_window() {
    let stray = testkit::rows::batch(&[Row::at(20)]);
    let chain = single().then(vec![Step::Batch(stray)]).declare(|total| total + 1);
    check_refused(chain, (15, 15), "sent a row of ledger 20, outside ledgers 15-15").await;
}

#[tokio::test]
async fn a_ledger_again_in_another_endpoint_needs_an_ordered_source() {
    check_refused(single().endpoints(3).ordered(false), (15, 15), "in two endpoints without `ordered`").await;
    // 21 rows in batches of 4 over 3 endpoints: ledgers 13 and 15 go on in the next endpoint
    let source = chain().endpoints(3).serve();
    let world = World::around(&source).await;
    assert_eq!(world.replay(10, 19).await.unwrap().rows(), 21);
    world.verified().await;
}

#[tokio::test]
async fn an_undeclared_source_is_refused_by_a_schedule() {
    let source = chain().undeclared().serve();
    let world = World::around(&source).await;
    let message = world.run().await.unwrap_err().chain();
    assert!(message.contains("does not declare ledgers 10"), "{message}");
    assert_eq!(world.entries().await, Vec::<String>::new());
    world.set("FLIGHT_TRUST_END", "true");
    assert_eq!(world.run().await.unwrap().rows(), 21);
    let evidence = "select evidence from contract_data.ingestion_progress";
    assert_eq!(world.database.value(evidence).await, "trusted_end");
    world.verified().await;
}

#[tokio::test]
async fn of_an_undeclared_source_a_replay_takes_what_comes_before_the_last_ledger() {
    for batch_rows in [1, 3, 4, 100] {
        let source = chain().batch_rows(batch_rows).undeclared().serve();
        let world = World::around(&source).await;
        let report = world.replay(10, 19).await.unwrap();
        assert_eq!((report.rows(), report.source_ends_at), (19, Some(18)), "in batches of {batch_rows}");
        let window = "select start_ledger, end_ledger, evidence from contract_data.ingestion_progress";
        assert_eq!(world.database.rows(window).await, ["10 | 18 | before_last"]);
        assert_eq!(world.objects("staging"), Vec::<String>::new());
        world.verified().await;

        let trusting =
            ReplayOptions { kind: ReplayKind::Missing { trust_end: true }, ..ReplayOptions::default() };
        assert_eq!(world.replay_with(19, 19, trusting).await.unwrap().rows(), 2);
        world.verified().await;
    }
}

#[tokio::test]
async fn an_undeclared_source_that_cannot_be_followed_is_refused() {
    check_refused(
        chain().endpoints(3).undeclared(),
        (10, 19),
        "it has several endpoints without total_records",
    )
    .await;
    let mut backwards = rows();
    backwards.reverse();
    let chain = Chain::of_rows(backwards).range(10..=19).undeclared();
    check_refused(chain, (10, 19), "neither declares ledgers 10-19 nor sends its ledgers in order").await;
}

#[tokio::test]
async fn an_undeclared_source_of_one_ledger_proves_nothing() {
    let source = Chain::of_rows(vec![Row::at(10), Row::at(10)]).undeclared().serve();
    let world = World::around(&source).await;
    let report = world.replay(10, 10).await.unwrap();
    assert_eq!((report.windows.len(), report.source_ends_at), (0, Some(9)));
}

#[tokio::test]
async fn declarations_that_do_not_fit_the_request_are_refused() {
    let honest = chain();
    let with_metadata = |metadata: serde_json::Value, total: i64| {
        let honest = honest.clone();
        Source::serve(move |request| match (request, honest.answer(request)) {
            (testkit::Request::Window { .. }, Answer::Info(info)) => {
                Answer::Info(Info { total_records: total, ..info }.metadata(&metadata))
            }
            (_, answer) => answer,
        })
    };
    for (metadata, total, expected) in [
        (
            serde_json::json!({"start_ledger": 11, "end_ledger": 19}),
            21,
            "no longer has ledger 10: its first is 11",
        ),
        (serde_json::json!({"start_ledger": 9, "end_ledger": 19}), 21, "app_metadata states another start"),
        (serde_json::json!({"first": 10}), 21, "app_metadata does not state the ledgers"),
        (serde_json::json!({"start_ledger": 10}), 21, "app_metadata has no end_ledger"),
        (
            serde_json::json!({"start_ledger": "ten", "end_ledger": 19}),
            21,
            "app_metadata has \"ten\" as start_ledger, which is not a whole number",
        ),
        (serde_json::json!({"start_ledger": 10, "end_ledger": 19}), -1, "total_records is not given"),
    ] {
        let source = with_metadata(metadata, total);
        let world = World::around(&source).await;
        let message = world.run().await.unwrap_err().chain();
        assert_eq!(world.entries().await, Vec::<String>::new());
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn ledgers_declared_as_text_or_with_a_fraction_of_zero_are_declared() {
    let honest = chain();
    let source = Source::serve(move |request| match (request, honest.answer(request)) {
        (testkit::Request::Window { start, end, .. }, Answer::Info(info)) => {
            let metadata =
                serde_json::json!({"start_ledger": start.to_string(), "end_ledger": f64::from(end)});
            Answer::Info(info.metadata(&metadata))
        }
        (_, answer) => answer,
    });
    let world = World::around(&source).await;
    assert_eq!(world.replay(10, 19).await.unwrap().rows(), 21);
    let evidence = "select distinct evidence from contract_data.ingestion_progress";
    assert_eq!(world.database.rows(evidence).await, ["declared"]);
}

#[tokio::test]
async fn trouble_that_passes_is_tried_again() {
    let faults = [
        chain().cut_after(2),
        chain().end_after(2),
        chain().silence_after(2),
        chain().error_after(1, Status::unavailable("restarting")),
        chain().refuse(Status::unavailable("not yet")),
        chain().declare(|total| total + 1),
    ];
    for fault in faults {
        let source = fault.for_attempts(1).serve();
        let world = World::around(&source).await;
        world.set("MAX_RETRIES", "1");
        world.set("FLIGHT_TIMEOUT", "500ms");
        assert_eq!(world.replay(10, 19).await.unwrap().rows(), 21);
        assert_eq!(source.windows(), [(10, 19), (10, 19)]);
        world.verified().await;
    }
}

#[tokio::test]
async fn what_a_source_refuses_for_good_is_not_asked_again() {
    let source = chain().refuse(Status::unauthenticated("who are you?")).serve();
    let world = World::around(&source).await;
    world.set("MAX_RETRIES", "3");
    let message = world.refused(10, 19).await.chain();
    assert!(message.contains("who are you?"), "{message}");
    assert_eq!(source.windows().len(), 1);
}

#[tokio::test]
async fn the_token_is_sent_as_bearer() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.set("FLIGHT_TOKEN", "open sesame");
    world.replay(10, 19).await.unwrap();
    assert!(source.authorizations().iter().all(|a| a.as_deref() == Some("Bearer open sesame")));
    assert!(!source.authorizations().is_empty());
}

#[tokio::test]
async fn a_window_ends_where_the_source_vouches_and_a_replay_says_so() {
    let source = chain().range(10..=17).serve();
    let world = World::around(&source).await;
    let report = world.replay(10, 25).await.unwrap();
    assert_eq!(report.source_ends_at, Some(17));
    let windows = "select start_ledger, end_ledger, entries_processed from contract_data.ingestion_progress";
    assert_eq!(world.database.rows(windows).await, ["10 | 17 | 17"]);
    world.verified().await;
}

#[tokio::test]
async fn a_window_without_rows_is_recorded_all_the_same() {
    let source = chain().range(10..=40).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "10");
    world.replay(20, 39).await.unwrap();
    let windows = "select start_ledger, end_ledger, entries_processed, status, archived
                   from contract_data.ingestion_progress order by 1";
    assert_eq!(
        world.database.rows(windows).await,
        ["20 | 29 | 0 | completed | t", "30 | 39 | 0 | completed | t"]
    );
    assert_eq!(world.objects("archive").len(), 2);
    world.verified().await;
}

#[tokio::test]
async fn ledgers_out_of_order_are_sorted_and_keep_their_stream_order_inside() {
    let late: Vec<Row> = rows().into_iter().filter(|row| row.ledger_sequence >= 15).collect();
    let early: Vec<Row> = rows().into_iter().filter(|row| row.ledger_sequence < 15).collect();
    let source = Chain::of_rows([late, early].concat()).range(10..=19).batch_rows(3).serve();
    let world = World::around(&source).await;
    world.replay(10, 19).await.unwrap();
    let sorted = World::around(&source).await;
    source.answer_with({
        let honest = chain();
        move |request| honest.answer(request)
    });
    sorted.replay(10, 19).await.unwrap();
    assert_eq!(world.entries().await.len(), 21);
    assert_eq!(world.entries().await, sorted.entries().await);
    let digest = "select rows_digest from contract_data.ingestion_progress";
    assert_eq!(world.database.value(digest).await, sorted.database.value(digest).await);
    world.verified().await;
}

#[tokio::test]
async fn identical_rows_are_data() {
    let row = || Row::at(10).key(7).value(7);
    let source = Source::of_rows(vec![row(), row(), row()]);
    let world = World::around(&source).await;
    assert_eq!(world.replay(10, 10).await.unwrap().rows(), 3);
    assert_eq!(world.entries().await.len(), 3);
    world.verified().await;
}

#[tokio::test]
async fn windows_keep_to_their_length_and_to_partitions() {
    let source = Chain::of_rows(vec![Row::at(995), Row::at(1005)]).range(900..=2100).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "70");
    world.replay(990, 1100).await.unwrap();
    let windows = "select start_ledger, end_ledger from contract_data.ingestion_progress order by 1";
    assert_eq!(world.database.rows(windows).await, ["990 | 999", "1000 | 1069", "1070 | 1100"]);
    let partitions = "select relname from pg_class where relname ~ '^entries_[0-9]+$' order by 1";
    assert_eq!(world.database.rows(partitions).await, ["entries_0000000000", "entries_0000001000"]);
    assert_eq!(
        world.objects("archive"),
        [
            "archive/contract_data/v1/network=pubnet/ledger_range=0/990-999.parquet",
            "archive/contract_data/v1/network=pubnet/ledger_range=1000/1000-1069.parquet",
            "archive/contract_data/v1/network=pubnet/ledger_range=1000/1070-1100.parquet",
        ]
    );
    world.verified().await;
}
