//! What the loader's password can destroy, statement by statement: nothing that is loaded. What it can spoil, a forced
//! replay repairs.

use testkit::database::connect;

use crate::roles::Roles;

/// All that is loaded, recorded and set, in one digest; and the tables that there are.
const EVERYTHING: &str = "
    select md5(concat_ws('|',
      (select string_agg(e::text, ',' order by ledger_sequence, change_index) from contract_data.entries e),
      (select string_agg(p::text, ',' order by id) from contract_data.ingestion_progress p),
      (select string_agg(k::text, ',' order by ledger_key_hash) from contract_data.key_states k),
      (select string_agg(a::text, ',' order by contract_id) from contract_data.contract_assets a),
      (select string_agg(t::text, ',' order by ledger_sequence, change_index) from contract_data.ttl_changes t),
      (select string_agg(t::text, ',' order by ledger_key_hash) from contract_data.entry_ttls t),
      (select string_agg(w::text, ',' order by window_id, table_name) from contract_data.window_tables w),
      (select string_agg(n::text, ',') from contract_data.named_assets n),
      (select s::text from contract_data.snapshots s),
      (select string_agg(t::text, ',' order by table_name) from contract_data.snapshot_tables t),
      (select string_agg(r::text, ',' order by ledger_key_hash) from contract_data.retained_states r),
      (select string_agg(r::text, ',' order by ledger_key_hash) from contract_data.retained_ttls r),
      (select string_agg(t::text, ',') from contract_data.snapshot_ttls t),
      (select f::text from contract_data.folded_ledgers f),
      (select s::text from contract_data.settings s),
      (select string_agg(relname || coalesce(relacl::text, '') || relreplident::text, ',' order by relname) from pg_class
       where relnamespace = 'contract_data'::regnamespace),
      (select string_agg(pg_get_functiondef(oid), ',' order by oid) from pg_proc
       where pronamespace = 'contract_data'::regnamespace)))";

/// The last arguments of a claim and of a replacement: the facts of a load.
fn facts(rows: &str, source: &str, object: &str, attempts: &str, closed: &str) -> String {
    format!(
        "{rows}, '{source}', 'declared', '{object}', 1, repeat('0', 64), {attempts} 1, timestamptz '{closed}')"
    )
}

/// A claim of these ledgers, with these facts.
fn claim_with(start: i64, end: i64, rows: &str, source: &str, object: &str, closed: &str) -> String {
    let facts = facts(rows, source, object, "1,", closed);
    format!("select contract_data.claim_window('{BATCH}', {start}, {end}, {facts}")
}

/// A claim that would be right if its ledgers were.
fn claim(start: i64, end: i64) -> String {
    claim_with(start, end, "0", "flight", OBJECT, "2024-01-01")
}

/// The replacement of a window by this many rows.
fn replace(id: &str, start: i64, end: i64, rows: u32) -> String {
    let facts = facts(&rows.to_string(), "flight", OBJECT, "", "2024-01-01");
    format!("select contract_data.replace_window({id}, {start}, {end}, '{BATCH}', {facts}")
}

/// A claim of the snapshot at a checkpoint, with this object and this many rows.
fn snapshot(ledger: i64, rows: &str, object: &str) -> String {
    format!(
        "select contract_data.begin_snapshot('{BATCH}', {ledger}, repeat('0', 64), 23, {rows}, repeat('0', 64),
           '2024-01-01', 'flight', '{object}', 1)"
    )
}

/// A claim of the snapshot at a checkpoint that would be right if its state was there.
fn claimed_snapshot(ledger: i64) -> String {
    snapshot(ledger, "0", &format!("staging/network=pubnet/snapshot-{ledger}-{BATCH}.parquet"))
}

/// The batch of a thief.
const BATCH: &str = "11111111-1111-4111-8111-111111111111";

/// Its staged object.
const OBJECT: &str = "staging/network=pubnet/1-16-11111111-1111-4111-8111-111111111111.parquet";

/// The id of the window of ledgers 1 to 16.
const ID: &str = "(select id from contract_data.ingestion_progress where start_ledger = 1)";

/// What is refused, and how: 42501 is a missing right, 22023 and 55000 are the functions' own answers.
fn refused() -> Vec<(String, &'static str)> {
    let archived = "archive/contract_data/v1/network=pubnet/ledger_range=0/17-32.parquet";
    let claimed = claim(100, 110);
    let mut statements = vec![
        // windows that are none
        (claim(0, 4_294_967_295), "22023"),
        (claim(60, 70), "22023"),
        (claim(110, 100), "22023"),
        (claim(-5, -1), "22023"),
        (claim_with(100, 110, "0", "flight", archived, "2024-01-01"), "22023"),
        (claim_with(100, 110, "0", "archive", "archive/../17-32.parquet", "2024-01-01"), "22023"),
        (claim_with(100, 110, "9223372036854775807", "flight", OBJECT, "2024-01-01"), "22023"),
        (claim_with(100, 110, "-1", "flight", OBJECT, "2024-01-01"), "22023"),
        (claim_with(100, 110, "0", "flight", OBJECT, "infinity"), "22023"),
        (replace(ID, 0, 4_294_967_295, 0), "22023"),
        // history that goes without other history in its place
        (format!("begin; {}; commit", replace(ID, 1, 16, 3)), "55000"),
        (format!("begin; {}; set constraints all immediate", replace(ID, 1, 16, 3)), "55000"),
        (format!("begin; savepoint s; {}; release s; commit", replace(ID, 1, 16, 3)), "55000"),
        // rows without a window, and windows of others
        ("insert into contract_data.entries select * from contract_data.entries".to_owned(), "55000"),
        ("insert into contract_data.ttl_changes select * from contract_data.ttl_changes".to_owned(), "55000"),
        (format!("select contract_data.record_table({ID}, 'ttl', 1, 1, repeat('0', 64))"), "55000"),
        (
            format!(
                "begin; {claimed}; select contract_data.record_table({ID}, 'ttl', 1, 1, repeat('0', 64))"
            ),
            "55000",
        ),
        (format!("select contract_data.record_table({ID}, 'ttl', -1, 1, repeat('0', 64))"), "22023"),
        (
            "select contract_data.name_assets(array['C'], array['native'], array[null], array[null])"
                .to_owned(),
            "55000",
        ),
        // a state below the first window that is none
        (snapshot(63, "0", "archive/snapshots/v1/network=pubnet/63.parquet"), "22023"),
        (snapshot(63, "-1", &format!("staging/network=pubnet/snapshot-63-{BATCH}.parquet")), "22023"),
        (format!("begin; {}; commit", claimed_snapshot(63)), "55000"),
        (format!("begin; {}; select contract_data.finish_snapshot()", claimed_snapshot(63)), "55000"),
        (
            format!(
                "begin; {}; insert into contract_data.entries select * from contract_data.entries",
                claimed_snapshot(63)
            ),
            "55000",
        ),
        ("select contract_data.finish_snapshot()".to_owned(), "55000"),
        ("select contract_data.record_snapshot_table('ttl', 1, 1, repeat('0', 64))".to_owned(), "55000"),
        (format!("select contract_data.archive_snapshot('{BATCH}', 'archive/x')"), "22023"),
        ("insert into contract_data.retained_states select * from contract_data.entries".to_owned(), "55000"),
        (
            "insert into contract_data.snapshot_ttls select * from contract_data.ttl_changes".to_owned(),
            "55000",
        ),
        (
            format!(
                "begin; {claimed}; insert into contract_data.retained_states select * from contract_data.entries"
            ),
            "55000",
        ),
        ("select contract_data.store_fingerprint_hash(1, 'x')".to_owned(), "22023"),
        (format!("select contract_data.finish_window({ID}, 1)"), "55000"),
        (format!("begin; {claimed}; select contract_data.finish_window({ID}, 1)"), "55000"),
        (format!("select contract_data.mark_archived({ID}, gen_random_uuid(), 'staging/x')"), "22023"),
        (format!("select contract_data.fail_window(100, 110, '', '{archived}')"), "22023"),
        ("select contract_data.fail_window(0, 4294967295, '', null)".to_owned(), "22023"),
        (
            "select contract_data.hint_window(gen_random_uuid(), 0, 4294967295, 1, 'flight')".to_owned(),
            "22023",
        ),
        ("select contract_data.ensure_partition(4294967295)".to_owned(), "55000"),
        ("select contract_data.store_schedule_start(-1)".to_owned(), "22023"),
        ("select contract_data.store_fingerprint(4000000000, repeat('0', 64))".to_owned(), "22023"),
        ("select contract_data.store_fingerprint(1, 'x')".to_owned(), "22023"),
        (
            "select contract_data.add_assets(array['C'], array['native'], array[null], array[null])"
                .to_owned(),
            "22023",
        ),
        (
            format!(
                "select contract_data.add_assets(array['{}'], array['credit_alphanum4'], array['USDC'], array['{}'])",
                testkit::rows::contract(1),
                testkit::rows::issuer(1)
            ),
            "22023",
        ),
    ];
    statements.extend(FORBIDDEN.map(|statement| (statement.to_owned(), "42501")));
    statements
}

/// What the loader has no right to.
const FORBIDDEN: [&str; 78] = [
    "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, completed_at)
       values (gen_random_uuid(), 100, 110, 'completed', now())",
    "update contract_data.ingestion_progress set folded = false",
    "update contract_data.ingestion_progress set status = 'failed'",
    "delete from contract_data.ingestion_progress",
    "delete from contract_data.ingestion_progress where status = 'processing'",
    "truncate contract_data.ingestion_progress",
    "delete from contract_data.entries",
    "update contract_data.entries set deleted = true",
    "truncate contract_data.entries",
    "delete from contract_data.entries_0000000000",
    "insert into contract_data.entries_0000000000 select * from contract_data.entries",
    "drop table contract_data.entries_0000000000",
    "alter table contract_data.entries detach partition contract_data.entries_0000000000",
    "create table contract_data.entries_9 partition of contract_data.entries for values from (900) to (910)",
    "insert into contract_data.key_states select * from contract_data.key_states",
    "update contract_data.key_states set balance = 0",
    "delete from contract_data.key_states",
    "truncate contract_data.key_states",
    "insert into contract_data.contract_assets (contract_id, asset_type, learnt_from) values ('C', 'native', 'network')",
    "update contract_data.contract_assets set asset_code = 'MINE'",
    "delete from contract_data.contract_assets",
    "update contract_data.ttl_changes set live_until_ledger = 0",
    "delete from contract_data.ttl_changes",
    "truncate contract_data.ttl_changes",
    "insert into contract_data.ttl_changes_0000000000 select * from contract_data.ttl_changes",
    "update contract_data.entry_ttls set live_until_ledger = 0",
    "delete from contract_data.retained_ttls",
    "delete from contract_data.window_tables",
    "update contract_data.folded_ledgers set ledgers = '{}'",
    "insert into contract_data.named_assets values ('C', 'native')",
    "insert into contract_data.replaced_ttls values ('')",
    "select contract_data.note_folded('{(,)}', '{}', '{}')",
    "delete from contract_data.retained_states",
    "insert into contract_data.snapshots (ledger) values (1)",
    "update contract_data.snapshots set ledger = 1",
    "delete from contract_data.snapshots",
    "delete from contract_data.snapshot_tables",
    "select contract_data.forget_snapshot()",
    "insert into contract_data.replaced_keys values ('', '')",
    "update contract_data.settings set schedule_start = 4294967295",
    "update contract_data.settings set fingerprint_ledger = null",
    "update contract_data.settings set retained_from = 64",
    "update contract_data.settings set condensed_to = 64",
    "delete from contract_data.settings",
    "delete from contract_data.schema_functions",
    "delete from contract_data.schema_history",
    "delete from contract_data.roles",
    "select contract_data.refresh_current_states()",
    "select contract_data.retain_from(64)",
    "select contract_data.condense_partition(0)",
    "select contract_data.fold_statement('select 1')",
    "select contract_data.learn_assets('{[1,2)}')",
    "select contract_data.spread_assets('{}')",
    "begin; lock table contract_data.entries in share mode",
    "begin; lock table contract_data.ingestion_progress in row exclusive mode",
    "begin; lock table contract_data.key_states in access exclusive mode",
    "begin; lock table contract_data.settings in row share mode nowait; select * from contract_data.settings for update",
    "select * from contract_data.ingestion_progress for update",
    "set session_replication_role = replica",
    "alter table contract_data.entries disable trigger all",
    "drop trigger entries_claimed on contract_data.entries",
    "drop trigger ingestion_progress_replaced on contract_data.ingestion_progress",
    "create or replace function contract_data.check_load() returns void language sql as ''",
    "create function public.mine() returns void language sql as ''",
    "create function pg_temp.mine() returns void language sql as ''",
    "create temporary table mine ()",
    "create index on contract_data.key_states (balance)",
    "reindex table contract_data.key_states",
    "cluster contract_data.key_states using key_states_pkey",
    "set role owner",
    "set session authorization owner",
    "grant owner to loader",
    "alter role loader superuser",
    "alter role owner password 'mine'",
    "reassign owned by loader to owner",
    "create database mine",
    "copy contract_data.entries to program 'true'",
    "select pg_read_file('postgresql.conf')",
];

/// What is not refused, and changes nothing: a thief learns nothing new, others lose nothing.
fn vain() -> Vec<String> {
    let other = "gen_random_uuid()";
    vec![
        claim(1, 16),
        replace("4711", 1, 16, 0),
        replace(ID, 1, 15, 0),
        format!("select contract_data.mark_archived({ID}, {other}, 'archive/contract_data/1-16.parquet')"),
        "select contract_data.store_schedule_start(4294967295)".to_owned(),
        "select contract_data.store_fingerprint(1, repeat('0', 64))".to_owned(),
        "select contract_data.store_fingerprint_hash(2, repeat('0', 64))".to_owned(),
        format!("select contract_data.unhint_window({other})"),
        "select contract_data.fold_pending(1000000)".to_owned(),
        format!("select contract_data.fold_windows(array[{ID}])"),
        "vacuum full contract_data.entries".to_owned(),
        "drop owned by loader".to_owned(),
    ]
}

#[tokio::test]
async fn nothing_that_is_loaded_can_be_destroyed() {
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    roles.succeeds("loader", "run").await;
    let before = roles.value(EVERYTHING).await;
    for (statement, state) in refused() {
        roles.refused("loader", &statement, state).await;
        assert_eq!(roles.value(EVERYTHING).await, before, "{statement}");
    }
    let thief = connect(&roles.url("loader")).await;
    for statement in vain() {
        thief.batch_execute(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        assert_eq!(roles.value(EVERYTHING).await, before, "{statement}");
        eprintln!("loader | {statement} | without effect");
    }
    roles.world.expect_whole(&[1..=64]).await;
}

#[tokio::test]
async fn partitions_without_end_are_refused() {
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    roles.succeeds("loader", "run").await;
    // Each in its own transaction: what was made before the refusal stays.
    let without_end = "do $$ begin for n in 2..4000 loop
        perform contract_data.ensure_partition(n * 64); commit; end loop; end $$";
    roles.refused("loader", without_end, "55000").await;
    let empty = "select count(*) from pg_inherits
        where inhparent = 'contract_data.entries'::regclass and pg_relation_size(inhrelid) = 0";
    assert_eq!(roles.value(empty).await, "1000");
    roles.succeeds("loader", "replay -s 1 -e 64 --force").await;
    // The owner is not bound.
    connect(&roles.url("owner"))
        .await
        .batch_execute("select contract_data.ensure_partition(640000)")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_stolen_login_spoils_is_found_and_repaired() {
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    roles.succeeds("loader", "run").await;
    let thief = connect(&roles.url("loader")).await;
    // A window replaced by nothing, in words that add up; and rows where they do not belong, beside a claim.
    thief.batch_execute(&format!("begin; {}; commit", replace(ID, 1, 16, 0))).await.unwrap();
    let stray = format!(
        "begin; {}; insert into contract_data.entries select * from contract_data.entries where ledger_sequence between 17 and 32;
         commit",
        claim(100, 110)
    );
    thief.batch_execute(&stray).await.unwrap();
    let output = roles.world.ingestctl("verify").run().await;
    assert_eq!(output.code, Some(7), "{}{}", output.stdout, output.stderr);
    roles
        .world
        .database
        .execute("delete from contract_data.ingestion_progress where start_ledger = 100")
        .await;

    roles.succeeds("loader", "replay -s 1 -e 32 --force").await;

    roles.world.expect_whole(&[1..=64]).await;
}
