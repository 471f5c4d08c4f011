//! The function as it is deployed: its real binary, handed events over a real Runtime API, beside a real PostgreSQL.
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
    assert_eq!(function.invoke(&maintain).await.answer(), json!({"partitions": [], "tended": false}));

    database.execute("update contract_data.settings set schedule_start = 1999").await;
    let partitions = json!(["entries_0000001000", "entries_0000002000", "entries_0000003000"]);
    for _ in 0..2 {
        let answer = function.invoke(&maintain).await.answer();
        assert_eq!(answer, json!({"partitions": partitions, "tended": true}));
    }
    let attached = "select count(*) from pg_inherits where inhparent = 'contract_data.entries'::regclass";
    assert_eq!(database.value(attached).await, "3");

    database.execute("update contract_data.settings set schedule_start = 4294967295").await;
    let answer = function.invoke(&maintain).await.answer();
    assert_eq!(answer["partitions"], json!(["entries_4294967000"]), "there is no ledger beyond");
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
