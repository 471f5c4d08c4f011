//! Events and their answers, logs and metrics.

use serde_json::{Value, json};

use testkit::{Answer, Chain, Info, Request, Row, State};

use crate::support::{World, event, lines_with};

/// A window of an answer.
fn window(start: u32, end: u32, status: &str) -> Value {
    let rows = if status == "already_loaded" { 0 } else { (end - start + 1) * 3 };
    json!({"start_ledger": start, "end_ledger": end, "rows": rows, "status": status, "source": "flight"})
}

#[tokio::test]
async fn a_schedule_loads_to_the_tip_and_answers_what_it_did() {
    let world = World::new(40).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s")]).await;

    let answer = function.invoke(&event("schedule.json")).await.answer();

    let windows = [window(1, 16, "completed"), window(17, 32, "completed"), window(33, 40, "completed")];
    assert_eq!(answer["windows"], json!(windows));
    assert_eq!((&answer["busy"], &answer["caught_up"]), (&json!(false), &json!(true)));
    assert_eq!(answer["next_ledger"], 41);
    world.expect_loaded(40).await;

    let again = function.invoke(&json!({})).await.answer();
    assert_eq!(again, json!({"windows": [], "busy": false, "caught_up": true, "next_ledger": 41}));
}

#[tokio::test]
async fn a_replay_loads_its_range_in_windows_of_its_own_size() {
    let world = World::new(40).await;
    let function = world.function(&[]).await;
    function.invoke(&json!({"start_ledger": 1, "end_ledger": 2})).await.answer();

    let replay = json!({"start_ledger": 5, "end_ledger": 20, "window_ledgers": 8});
    let answer = function.invoke(&replay).await.answer();
    assert_eq!(answer["windows"], json!([window(5, 12, "completed"), window(13, 20, "completed")]));
    assert_eq!((&answer["caught_up"], &answer["next_ledger"]), (&json!(true), &Value::Null));

    let nothing = function.invoke(&replay).await.answer();
    assert_eq!((&nothing["windows"], &nothing["caught_up"]), (&json!([]), &json!(true)));

    let forced = json!({"start_ledger": 14, "end_ledger": 14, "force": true});
    let answer = function.invoke(&forced).await.answer();
    assert_eq!(answer["windows"], json!([window(13, 20, "replaced")]));
}

#[tokio::test]
async fn a_plan_is_made_of_replays() {
    let world = World::new(40).await;
    let function = world.function(&[]).await;
    function.invoke(&json!({"start_ledger": 9, "end_ledger": 12})).await.answer();

    let plan = json!({"action": "plan", "start_ledger": 1, "end_ledger": 100, "window_ledgers": 20});
    let planned = function.invoke(&plan).await.answer();

    let replay =
        |start: u32, end: u32| json!({"start_ledger": start, "end_ledger": end, "window_ledgers": 20});
    let windows = [replay(1, 8), replay(13, 32), replay(33, 40)];
    assert_eq!(planned, json!({"windows": windows, "ledgers": 36, "source_ends_at": 40}));
    for replay in windows {
        function.invoke(&replay).await.answer();
    }
    assert_eq!(world.windows().await, ["1-8", "9-12", "13-32", "33-40"]);
    world.expect_loaded(40).await;
}

/// A source of the ledgers 64 to 80 and of the state before them.
fn with_state() -> Chain {
    let entries = (1..=9).map(|key| Row::at(63).key(key).expires(900)).collect();
    let rows = (64..=80).flat_map(|ledger| (0..3).map(move |n| Row::at(ledger).contract(n)));
    Chain::of_rows(rows.collect()).with_states(vec![State::at(63, entries, Vec::new(), Vec::new())])
}

#[tokio::test]
async fn a_snapshot_is_loaded_and_followed_by_the_schedule() {
    let world = World::of(with_state()).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s")]).await;
    let answer = function.invoke(&event("snapshot.json")).await.answer();
    assert_eq!(
        (&answer["ledger"], &answer["rows"], &answer["loaded"]),
        (&json!(63), &json!(9), &json!(true))
    );
    let again = function.invoke(&json!({"action": "snapshot", "ledger": 63})).await.answer();
    assert_eq!(again["loaded"], false);
    let (kind, message) = function.invoke(&json!({"action": "snapshot", "ledger": 127})).await.failure();
    assert!(
        kind == "NonRetryable" && message.contains("begins with the state at checkpoint 63"),
        "{kind}: {message}"
    );
    let answer = function.invoke(&json!({})).await.answer();
    assert_eq!(answer["windows"], json!([window(64, 79, "completed"), window(80, 80, "completed")]));
}

#[tokio::test]
async fn a_snapshot_that_the_function_has_no_time_for_is_refused_before_it_begins() {
    let world = World::of(with_state()).await;
    let chain = with_state();
    world.source.answer_with(move |request| match (request, chain.answer(request)) {
        (Request::State { ledger: Some(_), .. }, Answer::Info(info)) => {
            Answer::Info(Info { total_records: 100_000_000, ..info })
        }
        (_, answer) => answer,
    });
    let function = world.function(&[]).await;
    let (kind, message) = function.invoke(&event("snapshot.json")).await.failure();
    assert_eq!(kind, "NonRetryable");
    assert!(message.contains("has 100000000 entries") && message.contains("ingestctl snapshot"), "{message}");
    assert_eq!(world.source.drains(), 0);
}

#[tokio::test]
async fn events_that_cannot_be_meant_are_refused_before_anything_is_done() {
    let world = World::new(8).await;
    // A request to these addresses would give another error.
    let nowhere =
        [("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere"), ("FLIGHT_ENDPOINT", "127.0.0.1:1")];
    let function = world.function(&nowhere).await;
    for (refused, because) in [
        (event("malformed.json"), "the event is refused: "),
        (json!({"start_ledger": 9, "end_ledger": 5}), "is reversed"),
        (json!({"start_ledger": 0, "end_ledger": 4294967296u64}), "the event is refused: "),
        (json!({"start_ledger": 0, "end_ledger": 5, "extra": 1}), "unknown field `extra`"),
    ] {
        let (kind, message) = function.invoke(&refused).await.failure();
        assert_eq!(kind, "NonRetryable");
        assert!(message.contains(because), "{message}");
    }
    assert_eq!(world.source.requests().len(), 0);
}

#[tokio::test]
async fn errors_say_whether_another_attempt_may_go_better() {
    let world = World::new(8).await;
    let down = world.function(&[("FLIGHT_ENDPOINT", "127.0.0.1:1")]).await;
    let (kind, message) = down.invoke(&json!({})).await.failure();
    assert_eq!(kind, "Retryable", "{message}");
    assert!(message.starts_with("source: "), "{message}");

    let elsewhere = world.function(&[("NETWORK", "testnet")]).await;
    let (kind, message) = elsewhere.invoke(&json!({})).await.failure();
    assert_eq!(kind, "NonRetryable", "{message}");
    assert!(message.contains("but NETWORK is testnet"), "{message}");

    let misconfigured = world.function(&[("WINDOW_LEDGERS", "many")]).await;
    for _ in 0..2 {
        let (kind, message) = misconfigured.invoke(&json!({})).await.failure();
        assert_eq!(kind, "NonRetryable");
        assert!(message.contains("WINDOW_LEDGERS"), "{message}");
    }
}

#[tokio::test]
async fn every_line_is_json_with_the_request_and_the_step() {
    let world = World::new(8).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s")]).await;
    function.invoke(&event("schedule.json")).await.answer();

    let steps = lines_with(&function, "step");
    for step in ["stage", "load"] {
        let line =
            steps.iter().find(|line| line["step"] == step).unwrap_or_else(|| panic!("{step}: {steps:?}"));
        assert_eq!(line["span"]["requestId"], "request-1", "{line}");
        for field in ["start_ledger", "end_ledger", "rows", "duration_ms"] {
            assert!(line[field].is_u64(), "{field}: {line}");
        }
    }
}

#[tokio::test]
async fn metrics_leave_as_embedded_metric_format() {
    let world = World::new(8).await;
    let function = world.function(&[("COMMIT_INTERVAL", "0s"), ("METRICS_NAMESPACE", "Tested")]).await;
    function.invoke(&event("schedule.json")).await.answer();

    let lines = lines_with(&function, "_aws");
    let line = lines.last().unwrap();
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(
        (&directive["Namespace"], &directive["Dimensions"]),
        (&json!("Tested"), &json!([["Network"]]))
    );
    assert_eq!((&line["Network"], &line["requestId"]), (&json!("pubnet"), &json!("request-1")));
    let declared = directive["Metrics"].as_array().unwrap();
    let value = |name: &str| {
        assert!(declared.iter().any(|metric| metric["Name"] == name), "{name}: {line}");
        line[name].clone()
    };
    assert_eq!(value("postgresql_consumer_records_received_total"), 24);
    assert_eq!(value("postgresql_consumer_records_inserted_total"), 24);
    assert_eq!(value("contract_data_loader_rows_total"), 24);
    let windows = world.windows().await.len();
    assert_eq!(value("postgresql_consumer_batches_processed_total"), windows);
    assert_eq!(value("contract_data_loader_windows_total"), windows);
    for histogram in [
        "postgresql_consumer_batch_insert_duration_seconds",
        "postgresql_consumer_batch_size",
        "contract_data_loader_drain_duration_seconds",
        "contract_data_loader_stage_duration_seconds",
        "contract_data_loader_load_duration_seconds",
        "contract_data_loader_fold_duration_seconds",
    ] {
        assert_eq!(value(histogram).as_array().unwrap().len(), windows, "{histogram}");
    }
    assert_eq!(value("contract_data_loader_lag_ledgers"), 0.0);
    assert_eq!(value("contract_data_loader_gaps"), 0.0);
    assert_eq!(value("contract_data_loader_failed_windows"), 0.0);
    assert!(value("contract_data_loader_lag_seconds").as_f64().unwrap() > 0.0);
    assert!(line.get("postgresql_consumer_errors_total").is_none(), "{line}");
}
