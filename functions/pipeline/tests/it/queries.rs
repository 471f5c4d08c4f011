//! Queries of analysts and operators: correct results on synthetic rows. For index use see `plans`, for rights see
//! `access`.

use testkit::{Asset, Chain, Row, asset};

use crate::support::World;

mod access;
mod document;
mod force;
mod monitoring;
mod partitions;
mod plans;

/// The queries that must work as written, for the asset `USDC` of an issuer and a contract.
pub(crate) struct Queries {
    pub(crate) rich_list: String,
    pub(crate) activity: &'static str,
    pub(crate) balance_history: String,
    pub(crate) top_holders: String,
    pub(crate) progress: &'static str,
    pub(crate) distribution: &'static str,
    pub(crate) per_hour: &'static str,
    pub(crate) history: String,
}

impl Queries {
    pub(crate) fn of(issuer: &str, contract: &str) -> Queries {
        Queries {
            rich_list: format!(
                "SELECT balance_holder, balance / 10000000.0 AS amount, last_modified_ledger
                 FROM contract_data.current_states WHERE asset_code = 'USDC' AND asset_issuer = '{issuer}'
                 ORDER BY balance DESC LIMIT 100"
            ),
            activity: "SELECT contract_id, COUNT(*) AS changes, MIN(closed_at) AS first_seen, MAX(closed_at) AS last_seen
                 FROM contract_data.entries WHERE closed_at > NOW() - INTERVAL '24 hours'
                 GROUP BY contract_id HAVING COUNT(*) > 10 ORDER BY changes DESC",
            balance_history: format!("SELECT * FROM contract_data.get_balance_history('{contract}', 100)"),
            top_holders: format!("SELECT * FROM contract_data.get_top_holders('USDC','{issuer}',100)"),
            progress: "SELECT * FROM contract_data.ingestion_progress ORDER BY completed_at DESC LIMIT 10",
            distribution: "SELECT asset_code, asset_issuer, COUNT(*) AS holders, SUM(balance) AS total, AVG(balance) AS average
                 FROM contract_data.current_states WHERE asset_code IS NOT NULL
                 GROUP BY asset_code, asset_issuer ORDER BY holders DESC",
            per_hour: "SELECT date_trunc('hour', closed_at) AS hour, COUNT(*) AS changes FROM contract_data.entries
                 WHERE closed_at > NOW() - INTERVAL '7 days' GROUP BY hour ORDER BY hour",
            history: format!(
                "SELECT * FROM contract_data.entries WHERE contract_id = '{contract}'
                 ORDER BY ledger_sequence DESC, change_index DESC LIMIT 100"
            ),
        }
    }
}

/// The time `hours` hours ago, in microseconds since 1970.
fn hours_ago(hours: i64) -> i64 {
    chrono::Utc::now().timestamp_micros() - hours * 3_600_000_000
}

/// USDC, EURC and native with their holders, and a busy contract; ledger 1 closed nine days ago, 2 six, 3 an hour.
fn rows() -> Vec<Row> {
    let usdc = Asset::credit("USDC", 1);
    let fake = Asset::credit("USDC", 2);
    let of = |ledger, asset: &Asset| Row::at(ledger).of_contract(asset.contract_id(asset::PUBNET));
    let mut rows = vec![
        of(1, &usdc).instance(&usdc),
        of(1, &fake).instance(&fake),
        of(1, &usdc).balance(1, 10_000_000),
        of(1, &usdc).balance(2, i128::from(i64::MAX) + 1),
        of(1, &usdc).balance(3, 5),
        of(1, &usdc).balance(4, 0),
        of(1, &fake).balance(1, 999),
        of(1, &Asset::Native).balance(1, 40),
        of(2, &usdc).balance(1, 25_000_000).expires(9),
        of(2, &usdc).balance(3, 5).deleted(),
        of(3, &usdc).balance(1, 30_000_000),
    ];
    rows.extend((0..12).map(|n| Row::at(3).contract(7).key(n % 4)));
    rows.push(Row::at(3).contract(7).key(0).deleted());
    let closed = [9 * 24, 6 * 24, 1].map(hours_ago);
    rows.into_iter().map(|row| Row { closed_at: closed[row.ledger_sequence as usize - 1], ..row }).collect()
}

async fn loaded() -> (World, Queries) {
    let source = Chain::of_rows(rows()).range(1..=20).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "3");
    for (start, end) in [(1, 3), (4, 4), (8, 9)] {
        world.replay(start, end).await.unwrap();
    }
    world.verified().await;
    let usdc = Asset::credit("USDC", 1);
    (world, Queries::of(&testkit::rows::issuer(1), &usdc.contract_id(asset::PUBNET)))
}

#[tokio::test]
async fn the_queries_that_must_work_answer_right() {
    let (world, queries) = loaded().await;
    let database = &world.database;
    let [one, two] = [1, 2].map(testkit::rows::holder);
    let huge = "922337203685.4775808";
    let rich: Vec<String> = database.rows(&queries.rich_list).await;
    assert_eq!(
        rich.len(),
        3,
        "the deleted balance is gone, the asset's own instance entry is no balance: {rich:?}"
    );
    assert!(rich[0].starts_with(&format!("{two} | {huge}")) && rich[0].ends_with(" | 1"), "{rich:?}");
    assert!(rich[1].starts_with(&format!("{one} | 3.0000000")) && rich[1].ends_with(" | 3"), "{rich:?}");

    let contract = testkit::rows::contract(7);
    let recent =
        database.rows("select distinct closed_at from contract_data.entries where ledger_sequence = 3").await;
    assert_eq!(database.rows(queries.activity).await, [format!("{contract} | 13 | {0} | {0}", recent[0])]);

    let closed: Vec<String> = database
        .rows("select closed_at from contract_data.entries group by ledger_sequence, closed_at order by ledger_sequence")
        .await;
    let issuer = testkit::rows::issuer(1);
    let history: Vec<String> = database.rows(&queries.balance_history).await;
    let line = |ledger: usize, index: u32, holder: u32, balance: &str, deleted: char| {
        let (closed, holder) = (&closed[ledger - 1], testkit::rows::holder(holder));
        format!("{ledger} | {index} | {closed} | {holder} | {balance} | {deleted} | USDC | {issuer}")
    };
    assert_eq!(
        history,
        [
            line(3, 0, 1, "30000000", 'f'),
            line(2, 1, 3, "5", 't'),
            line(2, 0, 1, "25000000", 'f'),
            line(1, 5, 4, "0", 'f'),
            line(1, 4, 3, "5", 'f'),
            line(1, 3, 2, "9223372036854775808", 'f'),
            line(1, 2, 1, "10000000", 'f'),
        ]
    );

    let top = database.rows(&queries.top_holders).await;
    assert_eq!(top.len(), 3);
    let usdc = Asset::credit("USDC", 1).contract_id(asset::PUBNET);
    assert_eq!(
        top[0],
        format!("1 | {two} | 9223372036854775808 | {huge} | 1 | {} | {usdc} | live", closed[0])
    );
    assert_eq!(top[1], format!("2 | {one} | 30000000 | 3.0000000 | 3 | {} | {usdc} | live", closed[2]));

    let windows = queries.progress.replace('*', "start_ledger, end_ledger, entries_processed, status");
    let windows = database.rows(&windows).await;
    assert_eq!(windows, ["8 | 9 | 0 | completed", "4 | 4 | 0 | completed", "1 | 3 | 24 | completed"]);
    assert_eq!(database.rows(queries.progress).await.len(), 3);

    let total = "9223372036884775808"; // 2^63 + 30000000
    let spread = database.rows(queries.distribution).await;
    assert!(
        spread[0].starts_with(&format!("USDC | {issuer} | 3 | {total} | 3074457345628258603")),
        "{spread:?}"
    );
    assert!(
        spread[1].starts_with(&format!("USDC | {} | 1 | 999 | 999.", testkit::rows::issuer(2))),
        "{spread:?}"
    );
    let hours: Vec<String> =
        database.rows(&queries.per_hour.replace("date_trunc('hour', closed_at)", "1")).await;
    assert_eq!(hours, ["1 | 16"]);
    assert_eq!(database.rows(queries.per_hour).await.len(), 2);
    let own = queries.history.replace('*', "ledger_sequence, change_index, balance");
    let own = database.rows(&own).await;
    assert_eq!(own.len(), 8);
    assert_eq!([&own[0], &own[7]], ["3 | 0 | 30000000", "1 | 0 | -"]);
}

#[tokio::test]
async fn the_views_and_functions_answer_right() {
    let (world, _) = loaded().await;
    let database = &world.database;
    let issuer = testkit::rows::issuer(1);
    let summary = database
        .rows(
            "select asset_code, asset_issuer, asset_type, holders, total_balance, average_balance, largest_balance, last_ledger
             from contract_data.asset_summary order by total_balance desc",
        )
        .await;
    assert_eq!(
        summary,
        [
            // a holder with nothing left is not a holder, and does not count in the average
            format!(
                "USDC | {issuer} | credit_alphanum4 | 2 | 9223372036884775808 | 4611686018442387904 | 9223372036854775808 | 3"
            ),
            format!("USDC | {} | credit_alphanum4 | 1 | 999 | 999 | 999 | 1", testkit::rows::issuer(2)),
            "- | - | native | 1 | 40 | 40 | 40 | 1".to_owned(),
        ]
    );
    let recent = "select contract_id, changes, keys, deletions, first_seen = last_seen
                  from contract_data.recent_activity order by changes desc";
    let usdc = Asset::credit("USDC", 1).contract_id(asset::PUBNET);
    let busy = testkit::rows::contract(7);
    assert_eq!(
        database.rows(recent).await,
        [format!("{busy} | 13 | 4 | 1 | t"), format!("{usdc} | 1 | 1 | 0 | t")]
    );

    assert_eq!(database.rows("select * from contract_data.ledger_gaps").await, ["5 | 7 | 3"]);
    for (expires, at_ledger, expected) in [
        ("10", "9", "live"),
        ("10", "10", "live"),
        ("10", "11", "unknown"), // it may have been extended
        ("null", "10", "unknown"),
        ("10", "null", "unknown"),
    ] {
        let found = database.value(&format!("select contract_data.liveness({expires}, {at_ledger})")).await;
        assert_eq!(found, expected, "{expires} at {at_ledger}");
    }
    let limited = format!("select count(*) from contract_data.get_top_holders('USDC', '{issuer}', 2)");
    assert_eq!(database.value(&limited).await, "2");
    let limited = format!("select count(*) from contract_data.get_balance_history('{usdc}', 3)");
    assert_eq!(database.value(&limited).await, "3");
    for native in ["'XLM'", "'native'", "null"] {
        let top = format!("select balance from contract_data.get_top_holders({native}, null)");
        assert_eq!(database.rows(&top).await, ["40"], "{native}");
    }
    let error =
        database.connect().await.batch_execute("select contract_data.get_top_holders('USDC', null)").await;
    let error = error.unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "asset USDC needs its issuer; only native (XLM) has none"
    );
}

#[tokio::test]
async fn sizes_add_partitions_up() {
    let source = Chain::of_rows(vec![Row::at(5), Row::at(1_005), Row::at(2_005)]).serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "1000");
    world.replay(5, 2_005).await.unwrap();
    world.database.execute("analyze").await;
    let sizes = "select table_name, partitions, estimated_rows from contract_data.table_sizes
                 where table_name in ('entries', 'settings') order by 1";
    assert_eq!(world.database.rows(sizes).await, ["entries | 3 | 3", "settings | 1 | 1"]);
    let sum = "select (select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'contract_data.entries'::regclass)
                    = total_bytes, total_bytes = table_bytes + index_bytes, total = pg_size_pretty(total_bytes)
               from contract_data.table_sizes where table_name = 'entries'";
    assert_eq!(world.database.value(sum).await, "t | t | t");
}

#[tokio::test]
async fn everything_that_a_reader_meets_has_a_comment() {
    let (world, _) = loaded().await;
    let bare = world
        .database
        .rows(
            "with relations as (
               select c.oid, c.relname from pg_class c
               where c.relnamespace = 'contract_data'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                 and not c.relispartition and c.relname <> 'schema_history'
             )
             select relname::text from relations where obj_description(oid, 'pg_class') is null
             union all
             select relname || '.' || attname from relations join pg_attribute on attrelid = oid
             where attnum > 0 and not attisdropped and col_description(oid, attnum) is null
             union all
             select oid::regprocedure::text from pg_proc
             where pronamespace = 'contract_data'::regnamespace and obj_description(oid, 'pg_proc') is null
             union all
             select 'schema' where obj_description('contract_data'::regnamespace, 'pg_namespace') is null
             order by 1",
        )
        .await;
    assert!(bare.is_empty(), "without a comment: {}", bare.join(", "));
}
