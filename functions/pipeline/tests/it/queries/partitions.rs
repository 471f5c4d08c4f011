//! Partitions created concurrently, and the constraint against overlapping windows.

use testkit::{Row, Source, database};

use crate::support::World;

const PARTITIONS: &str = "select inhrelid::regclass, pg_get_expr(c.relpartbound, c.oid) from pg_inherits
    join pg_class c on c.oid = inhrelid where inhparent = 'contract_data.entries'::regclass order by 1";

async fn world() -> (World, Source) {
    let source = Source::of_rows(vec![Row::at(1)]);
    (World::around(&source).await, source)
}

#[tokio::test]
async fn eight_at_once_make_a_partition_once() {
    let (world, _source) = world().await;
    let sessions = futures::future::join_all((0..8).map(|_| world.database.connect())).await;
    for start in [5_000_i64, 4_294_967_000] {
        let makers = sessions.iter().zip(0..).map(|(session, n)| async move {
            let ledger = start + 42 * n;
            let row =
                session.query_one("select contract_data.ensure_partition($1)", &[&ledger]).await.unwrap();
            row.get::<_, String>(0)
        });
        let names = futures::future::join_all(makers).await;
        assert_eq!(names, vec![format!("entries_{start:010}"); 8]);
    }
    assert_eq!(
        world.database.rows(PARTITIONS).await,
        [
            "contract_data.entries_0000005000 | FOR VALUES FROM ('5000') TO ('6000')",
            "contract_data.entries_4294967000 | FOR VALUES FROM ('4294967000') TO ('4294968000')",
        ]
    );
    let indexes = "select count(*) filter (where indisvalid) from pg_index
                   where indrelid in ('contract_data.entries'::regclass, 'contract_data.entries_0000005000'::regclass)
                   group by indrelid order by indrelid";
    let indexes = world.database.rows(indexes).await;
    assert_eq!(indexes[0], indexes[1], "the partition has every index of its parent");
    assert_ne!(indexes[0], "0");
}

#[tokio::test]
async fn what_is_no_ledger_gets_no_partition() {
    let (world, _source) = world().await;
    let session = world.database.connect().await;
    for ledger in ["-1", "4294967296", "null", "9223372036854775807", "(-9223372036854775808)"] {
        let error = session.batch_execute(&format!("select contract_data.ensure_partition({ledger})")).await;
        let error = error.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22023", "{ledger}");
        assert!(error.as_db_error().unwrap().message().ends_with("is no ledger"), "{error:?}");
    }
    assert_eq!(world.database.rows(PARTITIONS).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_new_partition_waits_for_no_reader_and_no_reader_for_it() {
    let (world, _source) = world().await;
    world.replay(1, 1).await.unwrap();
    let rows = "select count(*) from contract_data.entries";
    let [reader, maker, late] =
        [world.database.connect().await, world.database.connect().await, world.database.connect().await];
    for session in [&reader, &maker, &late] {
        session.batch_execute("set lock_timeout = '2s'").await.unwrap();
    }
    reader.batch_execute("begin isolation level repeatable read").await.unwrap();
    assert_eq!(database::rows(&reader, rows).await, ["1"]);
    maker.batch_execute("begin; select contract_data.ensure_partition(7000)").await.unwrap();
    // while the maker's transaction is open: an old snapshot, a new one, and a writer
    assert_eq!(database::rows(&reader, rows).await, ["1"]);
    late.batch_execute("begin isolation level repeatable read").await.unwrap();
    assert_eq!(database::rows(&late, rows).await, ["1"]);
    late.batch_execute("insert into contract_data.entries select * from contract_data.entries; rollback")
        .await
        .unwrap();
    maker.batch_execute("commit").await.unwrap();
    assert_eq!(database::rows(&reader, rows).await, ["1"]);
    reader.batch_execute("commit").await.unwrap();
    assert_eq!(world.database.rows(PARTITIONS).await.len(), 2);
}

#[tokio::test]
async fn completed_windows_never_overlap_whoever_writes() {
    let (world, _source) = world().await;
    let session = world.database.connect().await;
    let insert = |start: i64, end: i64, status: &str| {
        let sql = format!(
            "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, completed_at)
             values (gen_random_uuid(), {start}, {end}, '{status}', now())"
        );
        let session = &session;
        async move { session.batch_execute(&sql).await.map_err(|error| error.code().unwrap().code().to_owned()) }
    };
    assert_eq!(insert(10, 19, "completed").await, Ok(()));
    for (start, end) in [(10, 19), (19, 30), (0, 10), (12, 12), (0, 4_294_967_295)] {
        assert_eq!(insert(start, end, "completed").await, Err("23P01".to_owned()), "{start}-{end}");
        assert_eq!(insert(start, end, "failed").await, Ok(()), "only completed windows hold their ledgers");
    }
    assert_eq!(insert(20, 20, "completed").await, Ok(()), "adjacent");
    assert_eq!(insert(9, 9, "completed").await, Ok(()), "adjacent");
    let update = "update contract_data.ingestion_progress set status = 'completed' where (start_ledger, end_ledger) = (12, 12)";
    let error = session.batch_execute(update).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23P01");
    assert_eq!(insert(30, 29, "completed").await, Err("23514".to_owned()), "reversed");
    assert_eq!(insert(-1, 0, "completed").await, Err("23514".to_owned()), "before the first ledger");
}
