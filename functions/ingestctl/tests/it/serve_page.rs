//! The page: how a failed window looks, and that values from the database are escaped.

use std::time::Duration;

use testkit::{Chain, Row};

use crate::http::Serving;
use crate::oracle;
use crate::support::{World, until};

#[tokio::test]
async fn a_window_that_failed_is_shown_with_its_cause_and_its_cure() {
    let mut rows = oracle::ledgers(1..=20);
    rows.push(Row { val_xdr: Some("\0".to_owned()), ..Row::at(21) });
    rows.extend(oracle::ledgers(21..=40));
    let world = World::of(Chain::of_rows(rows).range(1..=40), 1..=40).await;
    let serving = Serving::start(&world, &[]).await;
    serving.until_windows(4).await;
    let page = serving.get("/").await.body;
    assert!(page.contains("One window failed and is not loaded."), "{page}");
    assert!(
        page.contains("bad data in ledger 21, column val_xdr")
            && page.contains("ingestctl replay -s 21 -e 21")
    );
    let stats = serving.get("/stats").await.json();
    assert_eq!((&stats["state"], &stats["status"]["failed_count"]), (&"trouble".into(), &1.into()));
    assert_eq!(stats["coverage"]["bins"][20]["failed"], 1);
    assert_eq!(serving.metric("contract_data_loader_failed_windows").await, Some(1.0));
    assert_eq!(serving.metric("contract_data_loader_gaps").await, Some(1.0));
}

#[tokio::test]
async fn whatever_is_in_the_database_is_text() {
    let world = World::new(1..=20).await;
    let hostile = "</title></code><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x && y";
    let failed = format!(
        "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, completed_at, error_message,
           attempts)
         select gen_random_uuid(), 100, 110, 'failed', now(), '{hostile}' || repeat('x', 100000), 3"
    );
    world.database.execute(&failed).await;
    let serving = Serving::start(&world, &[]).await;
    serving.until_windows(2).await;
    let page = serving.get("/").await.body;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\" onload"), "{page}");
    assert!(page.len() < 100_000, "{} bytes", page.len());
    assert!(serving.get("/stats").await.body.len() < 200_000);
}

#[tokio::test]
async fn nothing_and_a_hundred_thousand_windows_fit() {
    let world = World::new(1..=4).await;
    let serving = Serving::start(&world, &[("START_LEDGER", "400000")]).await;
    serving.until_windows(0).await;
    let empty = serving.get("/").await.body;
    assert!(empty.contains("Well: nothing is loaded yet") && !empty.contains("NaN"), "{empty}");

    // 100,000 windows of two ledgers, each followed by two that are missing; and as many that failed.
    let many = "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, completed_at,
          entries_processed, folded, archived, error_message)
        select gen_random_uuid(), 400000 + n * 4 + step, 400001 + n * 4 + step, status, now() - n * interval '1 second', 10,
          true, true, repeat('long ', 200)
        from generate_series(0, 99999) n, (values ('completed', 0), ('failed', 2)) kinds (status, step)";
    world.database.execute(many).await;
    serving.until_windows(100_000).await;
    let page = serving.get("/").await.body;
    let stats = serving.get("/stats").await;
    assert!(
        page.len() < 150_000 && stats.body.len() < 400_000,
        "{} and {} bytes",
        page.len(),
        stats.body.len()
    );
    let stats = stats.json();
    assert_eq!(stats["coverage"]["bins"].as_array().unwrap().len(), 240);
    let loaded: i64 = stats["coverage"]["bins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["completed"].as_i64().unwrap())
        .sum();
    assert_eq!(loaded, 200_000);
    assert_eq!(
        (&stats["status"]["gap_count"], &stats["status"]["failed_count"]),
        (&99_999.into(), &100_000.into())
    );
    assert_eq!(stats["last_hour"]["bins"][30]["windows"], 60);
    assert!(page.contains("100,000 windows failed") && page.contains("… and 99,980 more."), "{page}");
    let fresh = async || {
        let at = serving.get("/health").await.json();
        at["healthy"] == true
    };
    until("it is healthy all the same", fresh).await;
    serving.ends_within(Duration::from_secs(5)).await;
}
