//! `verify` finds every manual change, and exits with 7.

use crate::support::{World, json};

/// Tables that a test may change and put back.
const TABLES: [&str; 3] = ["entries", "ingestion_progress", "key_states"];

#[tokio::test]
async fn whatever_is_changed_in_the_database_is_found() {
    let world = World::new(1..=40).await;
    world.succeeds("replay -s 1 -e 32").await;
    for table in TABLES {
        world
            .database
            .execute(&format!("create table public.{table} as select * from contract_data.{table}"))
            .await;
    }
    let newest =
        "(select ledger_key_hash from contract_data.key_states order by ledger_sequence desc limit 1)";
    let progress = "insert into contract_data.ingestion_progress
        (batch_id, start_ledger, end_ledger, entries_processed, completed_at, status, folded, archived)
        values (gen_random_uuid(), 33, 40, 5, now(), 'completed', true, true)";
    let changes: Vec<(String, &str)> = vec![
        (
            "delete from contract_data.entries where ledger_sequence = 7 and change_index = 1".to_owned(),
            "ledgers 1-16: entries: 36 rows, but progress records 37",
        ),
        (
            "update contract_data.entries set last_modified_ledger = 3 where ledger_sequence = 7 and change_index = 1".to_owned(),
            "ledgers 1-16: entries: 37 rows as recorded, but with other values",
        ),
        (
            "update contract_data.entries set change_index = 2 - change_index where ledger_sequence = 6".to_owned(),
            "ledgers 1-16: entries: 37 rows as recorded, but with other values",
        ),
        (
            "insert into contract_data.entries select * from contract_data.entries where ledger_sequence = 7".to_owned(),
            "progress records 37",
        ),
        (progress.to_owned(), "ledgers 33-40: entries: 0 rows, but progress records 5"),
        (
            "delete from contract_data.ingestion_progress where start_ledger = 17".to_owned(),
            "which no completed window covers",
        ),
        (
            "update contract_data.ingestion_progress set rows_digest = md5('') where start_ledger = 17".to_owned(),
            "ledgers 17-32: ",
        ),
        (
            // past the trigger that refuses it
            "set session_replication_role = replica;
             update contract_data.ingestion_progress set batch_id = gen_random_uuid() where start_ledger = 17"
                .to_owned(),
            "its footer names another batch",
        ),
        (
            format!("update contract_data.key_states set val_xdr = 'AAAAAQ==' where ledger_key_hash = {newest}"),
            "is not what the history says",
        ),
        (
            format!("update contract_data.key_states set deleted = not deleted where ledger_key_hash = {newest}"),
            "is not what the history says",
        ),
        (
            "update contract_data.key_states set asset_code = 'USDT' where asset_code is not null".to_owned(),
            "is not what the history says",
        ),
        (
            format!("delete from contract_data.key_states where ledger_key_hash = {newest}"),
            "is missing from key_states",
        ),
        (
            format!("update contract_data.key_states set ledger_key_hash = repeat('0', 64) where ledger_key_hash = {newest}"),
            "is in key_states and not in the history",
        ),
    ];
    for (change, finding) in changes {
        world.database.execute(&change).await;
        let output = world.ingestctl("verify").run().await.expect_code(7);
        assert!(output.stdout.contains(finding), "{change}: {}", output.stdout);
        assert!(output.stdout.contains(" difference"), "{}", output.stdout);
        for table in TABLES {
            let identity = if table == "ingestion_progress" { "overriding system value" } else { "" };
            let restore = format!(
                "delete from contract_data.{table}; insert into contract_data.{table} {identity} select * from public.{table}"
            );
            world.database.execute(&restore).await;
        }
        world.succeeds("verify").await;
    }
    world.expect_whole(&[1..=32]).await;
}

#[tokio::test]
async fn whatever_happens_to_an_object_is_found() {
    let world = World::new(1..=32).await;
    world.succeeds("run").await;
    let folder = "archive/contract_data/v1/network=pubnet/ledger_range=0";
    let (first, second) =
        (world.file(&format!("{folder}/1-16.parquet")), world.file(&format!("{folder}/17-32.parquet")));
    let (good, other) = (std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    let flipped = {
        let mut bytes = good.clone();
        bytes[good.len() / 3] ^= 4;
        bytes
    };
    let longer = [good.clone(), vec![0]].concat();
    for (what, bytes) in
        [("flipped", flipped), ("cut", good[..good.len() - 9].to_vec()), ("longer", longer), ("other", other)]
    {
        std::fs::write(&first, bytes).unwrap();
        let findings = json(&world.ingestctl("verify --json").run().await.expect_code(7))["findings"].clone();
        assert_eq!(findings.as_array().unwrap().len(), 1, "{what}: {findings}");
        let problem = findings[0]["problem"].as_str().unwrap();
        assert!(problem.starts_with(&format!("object {folder}/1-16.parquet: ")), "{what}: {problem}");
        assert_eq!(findings[0]["end_ledger"], 16);
    }
    std::fs::remove_file(&first).unwrap();
    let output = world.ingestctl("verify").run().await.expect_code(7);
    assert!(output.stdout.contains("1-16.parquet: it is gone"), "{}", output.stdout);
    // A range without the damage has no finding.
    world.succeeds("verify -s 17 -e 32").await;

    std::fs::write(&first, good).unwrap();
    world.expect_whole(&[1..=32]).await;
}

#[tokio::test]
async fn a_window_forced_past_the_constraint_is_found_and_named() {
    let world = World::new(1..=40).await;
    world.succeeds("replay -s 1 -e 32").await;
    let constraint = "ingestion_progress_no_overlap";
    let force = format!(
        "alter table contract_data.ingestion_progress drop constraint {constraint};
         insert into contract_data.ingestion_progress
           (batch_id, start_ledger, end_ledger, entries_processed, completed_at, status, folded, archived)
           values (gen_random_uuid(), 30, 35, 2, now(), 'completed', true, true);
         insert into contract_data.entries
           select (jsonb_populate_record(e, jsonb_build_object('ledger_sequence', l, 'batch_id',
             (select batch_id from contract_data.ingestion_progress where start_ledger = 30)))).*
           from contract_data.entries e, (values (33), (34)) as later(l)
           where e.ledger_sequence = 32 and e.change_index = 0"
    );
    world.database.execute(&force).await;

    let output = world.ingestctl("verify").run().await.expect_code(7);

    let finding = "ledgers 17-32: progress: overlaps the completed window 30-35\n";
    assert!(output.stdout.contains(finding), "{}", output.stdout);
    // A range is no way around it.
    let output = world.ingestctl("verify -s 1 -e 16").run().await.expect_code(7);
    assert!(output.stdout.contains(finding), "{}", output.stdout);

    world.database.execute("delete from contract_data.ingestion_progress where start_ledger = 30").await;
    world.database.execute("delete from contract_data.entries where ledger_sequence > 32").await;
    world.expect_whole(&[1..=32]).await;
}
