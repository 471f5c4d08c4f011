//! Output for machines: --json, one line with the documented fields; and logs, one JSON object per line.

use testkit::{Database, Source};

use crate::oracle;
use crate::support::{Store, World, json, log};

/// The names of an object's fields, sorted.
fn fields(value: &serde_json::Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn migrate_tells_what_it_applied() {
    let source = Source::of_rows(oracle::ledgers(1..=9));
    let world = World::without_schema(Database::create().await, source, vec![], Store::folder());
    let check = json(&world.ingestctl("migrate --check --json").run().await.expect_code(5));
    assert_eq!(fields(&check), ["advice", "applied", "from", "functions", "to"]);
    let applied = check["applied"].as_array().unwrap();
    assert_eq!(applied[0], "V1__settings_and_progress");
    let newest = applied.last().unwrap().as_str().unwrap();
    assert!(newest.starts_with(&format!("V{}__", check["to"])), "{check}");
    assert_eq!(check["from"], 0);
    assert_eq!(
        world.database.value("select count(*) from pg_namespace where nspname = 'contract_data'").await,
        "0"
    );

    assert_eq!(json(&world.succeeds("migrate --json").await), check);
    let again = json(&world.succeeds("migrate --json").await);
    assert_eq!((&again["from"], &again["applied"]), (&check["to"], &serde_json::json!([])));
}

#[tokio::test]
async fn run_and_replay_report_their_windows() {
    let world = World::new(1..=20).await;
    let window = |start: u32, end: u32| {
        let of_window = |row: &&testkit::Row| (start..=end).contains(&row.ledger_sequence);
        let rows = world.rows.iter().filter(of_window).count();
        serde_json::json!({"start_ledger": start, "end_ledger": end, "rows": rows, "status": "completed", "source": "flight"})
    };

    let report = json(&world.succeeds("run --max-windows 1 --json").await);
    let expected = serde_json::json!({
        "windows": [window(1, 16)], "busy": false, "caught_up": false, "next_ledger": 17,
    });
    assert_eq!(report, expected);

    let report = json(&world.ingestctl("replay -s 1 -e 30 --json").run().await.expect_code(3));
    assert_eq!(
        (&report["windows"], &report["source_ends_at"]),
        (&serde_json::json!([window(17, 20)]), &20.into())
    );
    let report = json(&world.succeeds("replay -s 1 -e 20 --json").await);
    assert_eq!((&report["windows"], report.get("source_ends_at")), (&serde_json::json!([]), None));
}

#[tokio::test]
async fn status_tells_coverage_gaps_lag_and_the_last_windows() {
    let mut world = World::new(1..=60).await;
    let empty = json(&world.succeeds("status --json").await);
    assert_eq!((&empty["windows"], &empty["first_ledger"]), (&0.into(), &serde_json::Value::Null));
    world.succeeds("replay -s 1 -e 10").await;
    world.succeeds("replay -s 21 -e 30").await;

    let status = json(&world.succeeds("status --json").await);

    let names = [
        "failed",
        "failed_count",
        "first_ledger",
        "gap_count",
        "gaps",
        "lag_ledgers",
        "lag_seconds",
        "last_ledger",
        "last_windows",
        "ledgers",
        "network",
        "retained_from",
        "rows",
        "schedule_start",
        "snapshot",
        "source",
        "source_error",
        "state",
        "state_complete_at",
        "ttls_whole_from",
        "unarchived_windows",
        "under_way",
        "unfolded_windows",
        "windows",
    ];
    assert_eq!(fields(&status), names);
    let loaded = |ledger: u32| (1..=10).contains(&ledger) || (21..=30).contains(&ledger);
    let rows = world.rows.iter().filter(|row| loaded(row.ledger_sequence)).count();
    assert_eq!(status["rows"], rows);
    let facts = ["network", "windows", "ledgers", "first_ledger", "last_ledger", "lag_ledgers"]
        .map(|name| &status[name]);
    assert_eq!(serde_json::json!(facts), serde_json::json!(["pubnet", 2, 20, 1, 30, 30]));
    assert_eq!(status["gaps"], serde_json::json!([{"start_ledger": 11, "end_ledger": 20}]));
    assert_eq!(status["source"]["end_ledger"], 60);
    assert!(status["lag_seconds"].as_i64().unwrap() > 0);
    assert_eq!(status["last_windows"][0]["start_ledger"], 21);
    assert_eq!(
        fields(&status["last_windows"][0]),
        [
            "completed_at",
            "drain_ms",
            "end_ledger",
            "load_ms",
            "object_bytes",
            "rows",
            "source",
            "start_ledger",
        ]
    );

    // An unreachable source is part of the status.
    world.source.stop();
    let status = json(&world.succeeds("status --json").await);
    assert_eq!((&status["source"], &status["windows"]), (&serde_json::Value::Null, &2.into()));
    assert!(status["source_error"].as_str().unwrap().contains("refused"), "{status}");
    let told = world.succeeds("status").await.stdout;
    assert!(told.contains("\n##########..........##########\n1                           30\n# loaded   . missing\n10 ledgers are missing.\n"), "{told}");
    assert!(told.contains("refused") && told.contains("Gaps") && told.contains("1 (below)"), "{told}");
}

#[tokio::test]
async fn verify_tells_what_it_compared_and_found() {
    let world = World::new(1..=20).await;
    world.succeeds("run").await;
    let verification = json(&world.succeeds("verify --json").await);
    let expected = serde_json::json!({"windows": 2, "rows": world.rows.len(), "not_retained": 0, "retained_from": null, "findings": []});
    assert_eq!(verification, expected);
    assert_eq!(json(&world.succeeds("verify -s 18 -e 18 --json").await)["windows"], 1);

    world.database.execute("delete from contract_data.entries where ledger_sequence = 17").await;
    let output = world.ingestctl("verify --json").run().await.expect_code(7);
    let finding = &json(&output)["findings"][0];
    assert_eq!(fields(finding), ["end_ledger", "problem", "start_ledger"]);
    assert_eq!((&finding["start_ledger"], &finding["end_ledger"]), (&17.into(), &20.into()));
}

#[tokio::test]
async fn every_step_leaves_one_line_in_the_log() {
    let world = World::new(1..=20).await;
    let lines = log(&world.succeeds("run").await);
    for step in ["staged", "loaded"] {
        let of_step: Vec<_> = lines.iter().filter(|line| line["message"] == step).collect();
        let mut windows: Vec<_> =
            of_step.iter().map(|line| (line["start_ledger"].as_u64(), line["end_ledger"].as_u64())).collect();
        windows.sort_unstable();
        assert_eq!(windows, [(Some(1), Some(16)), (Some(17), Some(20))], "{step}");
        assert!(
            of_step.iter().all(|line| line["rows"].is_u64() && line["duration_ms"].is_u64()),
            "{of_step:?}"
        );
    }
    let output = world.ingestctl("verify").env("LOG_FORMAT", "text").run().await.expect_code(0);
    assert!(!output.stderr.contains('{'), "{}", output.stderr);
}

#[tokio::test]
async fn tables_are_for_people_and_long_ones_are_cut_in_the_middle() {
    let world = World::new(1..=60).await;
    let told = world.succeeds("run --window-ledgers 4").await.stdout;
    let rows = world.rows.len();
    assert!(told.contains("(3 more)") && told.contains(&format!("\n{rows} rows in 15 windows, ")), "{told}");
    assert!(told.ends_with("Next ledger: 61 (caught up).\n"), "{told}");
    let told = world.succeeds("run").await.stdout;
    let nothing = "Nothing to do: no missing ledger can be loaded now.\nNext ledger: 61 (caught up).\n";
    assert_eq!(told, nothing);
    let told = world.succeeds("verify").await.stdout;
    let good = "object = entries = progress, current_states = fold, no overlap.";
    assert_eq!(told, format!("15 windows, {rows} rows compared: {good}\n"));
}
