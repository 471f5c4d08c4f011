//! The function as deployed: its real binary receives events over a real Runtime API, with a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::lambda::Function;
use testkit::{Database, Program};

/// The function beside an empty database, and a folder that goes with it.
async fn function(database: &Database) -> (Function, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_maintain"))
        .current_dir(folder.path())
        .env("DATABASE_URL", database.url())
        .env("PARTITION_LEDGERS", "1000");
    (Function::start(program, "maintain").await, folder)
}

#[tokio::test]
async fn migrate_makes_the_schema_and_finds_nothing_to_do_the_second_time() {
    let database = Database::create().await;
    let (function, _folder) = function(&database).await;
    let migrate = json!({"action": "migrate"});

    let first = function.invoke(&migrate).await.answer();
    assert_eq!(first["from"], 0);
    assert!(!first["applied"].as_array().unwrap().is_empty(), "{first}");
    assert_eq!(database.value("select partition_ledgers from contract_data.settings").await, "1000");

    let second = function.invoke(&migrate).await.answer();
    assert_eq!((&second["from"], &second["applied"]), (&first["to"], &json!([])));
}

#[tokio::test]
async fn maintain_makes_the_partitions_ahead_of_the_newest_ledger() {
    let database = Database::create().await;
    let (function, _folder) = function(&database).await;
    let maintain = json!({"action": "maintain"});
    function.invoke(&json!({"action": "migrate"})).await.answer();
    let nothing = json!({"dry_run": false, "partitions": [], "made": [], "tended": [], "retained_from": null, "dropped": [],
        "removed": [], "postponed": [], "strays": [], "moved_aside": []});
    assert_eq!(function.invoke(&maintain).await.answer(), nothing);

    database.execute("update contract_data.settings set schedule_start = 1999").await;
    let partitions = json!(["entries_0000001000", "entries_0000002000", "entries_0000003000"]);
    for made in [&partitions, &json!([])] {
        let answer = function.invoke(&maintain).await.answer();
        assert_eq!((&answer["partitions"], &answer["made"]), (&partitions, made));
    }
    let attached = "select count(*) from pg_inherits where inhparent = 'contract_data.entries'::regclass";
    assert_eq!(database.value(attached).await, "3");

    database.execute("update contract_data.settings set schedule_start = 4294967295").await;
    let answer = function.invoke(&maintain).await.answer();
    assert_eq!(answer["partitions"], json!(["entries_4294967000"]), "there is no ledger beyond");
}

#[tokio::test]
async fn maintain_tends_whatever_a_backfill_filled_and_drops_what_its_variables_let_go() {
    let database = Database::create().await;
    let (function, folder) = function(&database).await;
    function.invoke(&json!({"action": "migrate"})).await.answer();
    // Two partitions filled by hand, as after a killed replay: neither summarised nor analysed.
    let filled = "select contract_data.ensure_partition(1), contract_data.ensure_partition(1001);
        insert into contract_data.entries (contract_id, contract_key_type, contract_durability, last_modified_ledger, deleted,
            ledger_sequence, closed_at, ledger_key_hash, change_index, batch_id)
          select 'C', 'V', 'P', l, false, l, now(), l::text, 0, gen_random_uuid() from generate_series(1, 1999) l;
        insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, completed_at, status, last_closed_at,
            entries_processed)
          values (gen_random_uuid(), 1, 999, now(), 'completed', now(), 999),
                 (gen_random_uuid(), 1000, 1999, now(), 'completed', now(), 1000)";
    database.execute(filled).await;
    let maintain = json!({"action": "maintain"});
    let answer = function.invoke(&maintain).await.answer();
    assert_eq!(answer["tended"], json!(["entries_0000000000", "entries_0000001000"]));
    let blocks = "select count(*) from brin_summarize_new_values('contract_data.entries_0000000000_closed_at_idx') n where n > 0";
    assert_eq!(database.value(blocks).await, "0", "nothing is left to summarise");
    assert_eq!(function.invoke(&maintain).await.answer()["tended"], json!([]));
    drop((function, folder));

    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_maintain"))
        .current_dir(folder.path())
        .env("DATABASE_URL", database.url())
        .env("RETAIN_LEDGERS", "10")
        .env("RETAIN_DAYS", "");
    let function = Function::start(program, "maintain").await;
    let answer = function.invoke(&maintain).await.answer();
    assert_eq!((&answer["retained_from"], &answer["dropped"][0]["rows"]), (&json!(1000), &json!(999)));
    assert_eq!(database.value("select min(ledger_sequence) from contract_data.entries").await, "1000");
}

#[tokio::test]
async fn what_it_cannot_do_is_an_error_with_its_kind() {
    let database = Database::create().await;
    let (function, _folder) = function(&database).await;
    let failure = |reply: testkit::lambda::Reply| reply.failure();

    let (kind, message) = failure(function.invoke(&json!({"action": "maintain"})).await);
    assert_eq!(kind, "NonRetryable");
    assert!(message.contains("has no schema yet"), "{message}");
    let (kind, message) = failure(function.invoke(&Value::Null).await);
    assert_eq!(kind, "NonRetryable");
    assert!(message.contains("the event is refused"), "{message}");
}
