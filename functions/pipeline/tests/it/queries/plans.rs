//! Index use: the planner's choices on tables large enough to make a scan expensive.

use testkit::{Row, Source, database};
use tokio_postgres::Client;

use super::Queries;
use crate::support::World;

/// 200,000 changes of 500 contracts in 2,000 ledgers of 60 days, in two partitions; 100,000 balances of 50 assets and of
/// native; 5,000 windows.
const FILL: &str = "
    select contract_data.ensure_partition(0), contract_data.ensure_partition(1000);
    insert into contract_data.entries (
      contract_id, contract_key_type, contract_durability, balance_holder, balance, last_modified_ledger, deleted,
      ledger_sequence, closed_at, ledger_key_hash, key_xdr, val_xdr, expiration_ledger_seq, change_index, batch_id)
    select
      'C' || lpad((n * 7919 % 500)::text, 55, 'A'), 'ScValTypeScvVec', 'ContractDataDurabilityPersistent',
      case when n % 2 = 0 then 'G' || lpad((n % 5000)::text, 55, 'B') end, case when n % 2 = 0 then n end,
      n / 100, false, n / 100, now() - (200000 - n) * interval '26 seconds', md5(n::text) || md5((-n)::text),
      repeat('k', 60), repeat('v', 160), n / 100 + 5000, n % 100, gen_random_uuid()
    from generate_series(0, 199999) n;
    insert into contract_data.key_states (
      ledger_key_hash, contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
      balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, change_index, closed_at)
    select
      md5(n::text), 'C' || lpad((n % 51)::text, 55, 'A'), 'ScValTypeScvVec', 'ContractDataDurabilityPersistent',
      case when n % 51 > 0 then 'USDC' end, case when n % 51 > 0 then 'G' || lpad((n % 51)::text, 55, 'I') end,
      case when n % 51 > 0 then 'credit_alphanum4' else 'native' end,
      'G' || lpad(n::text, 55, 'B'), n * 7919 % 1000003, n / 50, n % 40 = 0, n / 50, n % 50, now()
    from generate_series(1, 100000) n;
    insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, entries_processed, status, completed_at)
    select gen_random_uuid(), n * 10, n * 10 + 9, 1, 'completed', now() - (5000 - n) * interval '1 minute'
    from generate_series(0, 4999) n;
    select contract_data.tend_partition(0), contract_data.tend_partition(1000);
    insert into contract_data.entry_ttls
    select ledger_key_hash, 'created', ledger_sequence + 5000, null, ledger_sequence, change_index from contract_data.key_states;
    select contract_data.note_folded('{}', '{[0,50000)}', '{[0,50000)}');
    analyze contract_data.key_states, contract_data.entry_ttls, contract_data.ingestion_progress"; // tables that autovacuum sees to

const TABLES: &str = "(entries|entries_[0-9]+|key_states|entry_ttls|ingestion_progress)";

/// Tables that are read whole: they stay small.
const SMALL: [&str; 2] = ["contract_assets", "folded_ledgers"];

/// The planner uses this index and scans none of the large tables.
async fn check_planned(session: &Client, sql: &str, index: &str) {
    let plan = database::rows(session, &format!("explain {sql}")).await.join("\n");
    let scanned = plan
        .lines()
        .find(|line| line.contains("Seq Scan on ") && !SMALL.iter().any(|name| line.contains(name)));
    assert_eq!(scanned, None, "{sql}\n{plan}");
    assert!(plan.contains(index), "{index} is not used: {sql}\n{plan}");
    // The index gives the newest or largest first; at most the changes of one ledger are sorted.
    let sorts = plan
        .lines()
        .any(|line| line.trim_start().trim_start_matches("->").trim_start().starts_with("Sort  ("));
    assert!(!sorts || sql.contains("GROUP BY"), "sorted: {sql}\n{plan}");
}

/// In the newest partition, a query by time reads few more pages than it needs: they are summarised.
async fn check_summarised(session: &Client, sql: &str) {
    session.batch_execute("set max_parallel_workers_per_gather = 0").await.unwrap();
    let plan = database::rows(session, &format!("explain (analyze, timing off) {sql}")).await.join("\n");
    let lossy = plan.lines().filter_map(|line| line.split("lossy=").nth(1)?.trim().parse::<u64>().ok());
    let pages =
        database::rows(session, "select relpages from pg_class where relname = 'entries_0000001000'").await;
    let (read, pages) = (lossy.sum::<u64>(), pages[0].parse::<u64>().unwrap());
    assert!(read > 0 && read < pages / 8, "{read} of {pages} pages read: {sql}\n{plan}");
}

/// Runs a function, whose plans no EXPLAIN shows: PostgreSQL counts the scans of these indexes and of no large table.
async fn check_counted(world: &World, sql: &str, indexes: &[&str]) {
    let count = format!(
        "select relname from pg_class where pg_stat_get_xact_numscans(oid) > 0 and relnamespace = 'contract_data'::regnamespace
         and (relkind in ('i', 'I') and relname !~ 'contract_assets' or relname ~ '^{TABLES}$') order by 1"
    );
    let session = world.database.connect().await; // fresh: it counts since the session's last report
    session.batch_execute("begin").await.unwrap();
    assert_eq!(database::rows(&session, sql).await.len(), 100, "{sql}");
    assert_eq!(database::rows(&session, &count).await, indexes, "{sql}");
}

#[tokio::test]
async fn the_queries_that_must_work_go_by_index() {
    let source = Source::of_rows(vec![Row::at(1)]);
    let world = World::around(&source).await;
    world.database.execute(FILL).await;
    let session = world.database.connect().await;
    let numbered =
        |first: char, fill: &str, n: u32| format!("{first}{}{n}", fill.repeat(if n > 9 { 53 } else { 54 }));
    let contract = numbered('C', "A", 8);
    let queries = Queries::of(&numbered('G', "I", 17), &contract);

    check_planned(&session, &queries.rich_list, "Index Scan using key_states_rich_list on key_states").await;
    check_planned(&session, queries.activity, "Bitmap Index Scan on entries_0000001000_closed_at_idx").await;
    check_summarised(&session, queries.activity).await;
    let by_contract = "using entries_0000001000_contract_id_ledger_sequence_idx";
    check_planned(&session, &queries.history, by_contract).await;
    let newest = "Index Scan using ingestion_progress_completed_at on ingestion_progress";
    check_planned(&session, queries.progress, newest).await;

    let history = ["entries_0000001000_contract_id_ledger_sequence_idx"];
    check_counted(&world, &queries.balance_history, &history).await;
    // The planner itself looks at the ends of the keys that it joins by.
    check_counted(
        &world,
        &queries.top_holders,
        &["entry_ttls_pkey", "key_states_pkey", "key_states_rich_list"],
    )
    .await;
    let native = "select * from contract_data.get_top_holders('XLM', null, 100)";
    check_counted(&world, native, &["entry_ttls_pkey", "key_states_pkey", "key_states_rich_list_native"])
        .await;

    // The check can fail: a scan without an index is counted.
    let scan = "select * from contract_data.key_states order by val_xdr limit 100";
    check_counted(&world, scan, &["key_states"]).await;
}
