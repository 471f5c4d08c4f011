//! sql/monitoring: the operator's queries, against a database with a gap, a failed window and an active session.

use std::path::Path;

use testkit::database::rows;
use testkit::{Chain, Row};

use crate::support::World;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/monitoring");

/// The answer of one of the files, cells of a row by ` | `, to these columns.
async fn answer(session: &tokio_postgres::Client, file: &str, columns: &str) -> Vec<String> {
    let sql = std::fs::read_to_string(Path::new(FOLDER).join(file)).unwrap();
    let sql = sql.trim().trim_end_matches(';');
    rows(session, &format!("select {columns} from ({sql}\n) as answer")).await
}

/// Windows 10-19 and 40-49 are loaded with 3 rows each; the window 20-29 has failed.
async fn world() -> World {
    let rows = (10..50).filter(|ledger| ledger % 10 < 3).map(Row::at).collect();
    let source = Chain::of_rows(rows).range(10..=49).serve();
    let world = World::around(&source).await;
    world.replay(10, 19).await.unwrap();
    world.replay(40, 49).await.unwrap();
    world
        .database
        .execute(
            "insert into contract_data.ingestion_progress
               (batch_id, start_ledger, end_ledger, status, completed_at, error_message, attempts)
             values (gen_random_uuid(), 20, 29, 'failed', now(), 'bad data in ledger 21', 2)",
        )
        .await;
    world
}

#[tokio::test]
async fn every_question_of_an_operator_is_answered() {
    let world = world().await;
    let session = world.database.connect().await;
    let mut asked = Vec::new();
    let expected: [(&str, &str, &[&str]); 9] = [
        ("progress.sql", "windows, ledgers, rows", &["2 | 20 | 6"]),
        ("slowest_windows.sql", "rows, attempts", &["3 | 1", "3 | 1"]),
        (
            "gaps.sql",
            "start_ledger, end_ledger, ledgers, command",
            &["20 | 39 | 20 | ingestctl replay -s 20 -e 39"],
        ),
        (
            "open_windows.sql",
            "status, start_ledger, end_ledger, attempts, remark",
            &["failed | 20 | 29 | 2 | bad data in ledger 21"],
        ),
        ("unfinished.sql", "not_folded, rows_not_folded, not_archived", &["0 | 0 | 0"]),
        ("partition_sizes.sql", "partition", &["entries_0000000000"]),
        ("table_sizes.sql", "partitions, table_name = 'entries' as found", &["1 | t"]),
        ("index_usage.sql", "table_name, size <> '' as found", &["entries | t"]),
        ("statistics.sql", "live_rows >= 0 as found, table_name", &["t | entries_0000000000"]),
    ];
    for (file, columns, wanted) in expected {
        let found = answer(&session, file, columns).await;
        for line in wanted {
            assert!(found.iter().any(|found| found == line), "{file}: no {line} in {found:#?}");
        }
        asked.push(file);
    }
    asked.push("sessions.sql");
    let mut files: Vec<_> =
        std::fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    asked.sort_unstable();
    assert_eq!(files, asked, "each file is asked here");
}

#[tokio::test]
async fn a_session_in_the_way_of_the_loader_is_named() {
    let world = world().await;
    let analyst = world.database.connect().await;
    let loader = world.database.connect().await;
    let watcher = world.database.connect().await;
    let pid = |row: Vec<String>| row.into_iter().next().unwrap();
    let blocker = pid(rows(&analyst, "select pg_backend_pid()").await);
    analyst.batch_execute("begin; lock table contract_data.entries in access exclusive mode").await.unwrap();
    loader.batch_execute("set application_name = 'contract-data-loader 1234'").await.unwrap();
    let waiting =
        tokio::spawn(async move { loader.batch_execute("select 1 from contract_data.entries").await });
    let columns = "pid, application_name, coalesce(blocked_by::text, '')";
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen = answer(&watcher, "sessions.sql", columns).await;
        if seen.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(
        seen.iter().any(|row| row.starts_with(&format!("{blocker} |")) && row.ends_with("{}")),
        "{seen:#?}"
    );
    let blocked = format!("contract-data-loader 1234 | {{{blocker}}}");
    assert!(seen.iter().any(|row| row.ends_with(&blocked)), "{seen:#?}");
    analyst.batch_execute("rollback").await.unwrap();
    waiting.await.unwrap().unwrap();
}
