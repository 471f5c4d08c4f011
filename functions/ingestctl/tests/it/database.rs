//! Errors of the database give exit code 5, and the message says what to do.

use std::time::{Duration, Instant};

use testkit::port::{closed_port, silent_port};
use testkit::{Database, Source};

use crate::oracle;
use crate::support::{Store, World, json};

const COMMANDS: [&str; 5] = ["run", "replay -s 1 -e 16", "replay -s 1 -e 16 --dry-run", "status", "verify"];

#[tokio::test]
async fn a_database_out_of_reach_is_exit_code_5() {
    let world = World::new(1..=16).await;
    let closed = closed_port();
    let nobody = format!("postgresql://postgres@{}/postgres", closed.address());
    let url = world.database.url();
    let no_such = url.replace(world.database.name(), "cdl_test_no_such_database");
    let (before, after) = url.split_once('@').unwrap();
    let (user, _) = before.rsplit_once(':').unwrap();
    let wrong_password = format!("{user}:wrong@{after}");
    for line in COMMANDS.into_iter().chain(["migrate"]) {
        for (url, reason) in [
            (&nobody, "refused"),
            (&no_such, "does not exist"),
            (&wrong_password, "password authentication failed"),
        ] {
            let told = world.fails(line, &[("DATABASE_URL", url)], 5).await;
            assert!(told.starts_with("ingestctl: database: cannot connect"), "{told}");
            assert!(told.contains(reason), "{line}: {told}");
        }
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_database_that_accepts_connections_and_never_answers_is_exit_code_5_in_time() {
    let world = World::new(1..=16).await;
    let silent = silent_port();
    let url = format!("postgresql://postgres@{}/postgres?connect_timeout=2", silent.address());
    for line in COMMANDS.into_iter().chain(["migrate"]) {
        let begun = Instant::now();
        let told = world.fails(line, &[("DATABASE_URL", &url)], 5).await;
        assert_eq!(told, "ingestctl: database: cannot connect: no answer within 2s", "{line}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{line}: {:?}", begun.elapsed());
    }
}

/// Defaults that would change what statements mean, how long they may last, or what a commit is worth.
const HOSTILE: [(&str, &str); 33] = [
    ("array_nulls", "off"),
    ("bytea_output", "'escape'"),
    ("check_function_bodies", "off"),
    ("client_connection_check_interval", "0"),
    ("client_encoding", "'LATIN1'"),
    ("client_min_messages", "'error'"),
    ("datestyle", "'German, DMY'"),
    ("default_toast_compression", "'pglz'"),
    ("default_transaction_deferrable", "on"),
    ("default_transaction_isolation", "'serializable'"),
    ("enable_indexscan", "off"),
    ("enable_nestloop", "off"),
    ("enable_partition_pruning", "off"),
    ("exit_on_error", "on"),
    ("extra_float_digits", "-15"),
    ("idle_in_transaction_session_timeout", "'300ms'"),
    ("idle_session_timeout", "'1s'"),
    ("intervalstyle", "'sql_standard'"),
    ("jit", "on"),
    ("lock_timeout", "'1ms'"),
    ("plan_cache_mode", "'force_generic_plan'"),
    ("quote_all_identifiers", "on"),
    ("restrict_nonsystem_relation_kind", "'view'"),
    ("row_security", "off"),
    ("search_path", "'public'"),
    ("session_replication_role", "'replica'"),
    ("standard_conforming_strings", "off"),
    ("statement_timeout", "'300ms'"),
    ("synchronous_commit", "off"),
    ("tcp_user_timeout", "'1s'"),
    ("timezone", "'Pacific/Auckland'"),
    ("transaction_timeout", "'500ms'"),
    ("transform_null_equals", "on"),
];

/// Sets them for the database of this world, or resets them, where the server has them.
async fn hostile_defaults(world: &World, set: bool) {
    let there = world.database.rows("select lower(name) from pg_settings").await;
    for (name, value) in HOSTILE.into_iter().filter(|(name, _)| there.iter().any(|there| there == name)) {
        let change = if set { format!("set {name} = {value}") } else { format!("reset {name}") };
        world.database.execute(&format!("alter database {} {change}", world.database.name())).await;
    }
}

#[tokio::test]
async fn sessions_set_what_matters_themselves() {
    let world = World::new(1..=16).await;
    world.database.execute("create table public.seen (name text, setting text)").await;
    hostile_defaults(&world, true).await;
    world
        .database
        .execute(
            "create function public.look() returns trigger language plpgsql as
               $$ begin insert into public.seen select name, setting from pg_settings; return null; end $$;
             create trigger look before insert on contract_data.entries for each statement execute function public.look();
             alter table contract_data.entries enable always trigger look",
        )
        .await;
    world.succeeds("run").await;
    let expected = [
        "DateStyle | ISO, DMY",
        "IntervalStyle | postgres",
        "TimeZone | UTC",
        "array_nulls | on",
        "bytea_output | hex",
        "check_function_bodies | on",
        "client_connection_check_interval | 5000",
        "client_encoding | UTF8",
        "default_transaction_deferrable | off",
        "default_transaction_isolation | read committed",
        "exit_on_error | off",
        "extra_float_digits | 1",
        "idle_in_transaction_session_timeout | 900000",
        "idle_session_timeout | 0",
        "lock_timeout | 30000",
        "quote_all_identifiers | off",
        "search_path | pg_catalog, pg_temp",
        "session_replication_role | origin",
        "standard_conforming_strings | on",
        "statement_timeout | 900000",
        "synchronous_commit | on",
        "transaction_isolation | read committed",
        "transform_null_equals | off",
    ];
    let seen = world
        .database
        .rows("select distinct name collate \"C\" as name, setting from public.seen order by 1")
        .await;
    for setting in expected {
        assert!(seen.iter().any(|seen| seen == setting), "{setting}: {seen:#?}");
    }
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_before_migrating() {
    let rows = oracle::ledgers(1..=16);
    let database = Database::create().await;
    let name = format!("{}_latin1", database.name());
    let create = format!("create database {name} template template0 encoding 'LATIN1' locale 'C'");
    database.execute(&create).await;
    let url = database.url().replace(database.name(), &name);
    let world = World::without_schema(database, Source::of_rows(rows.clone()), rows, Store::folder());
    for line in ["migrate", "migrate --check"] {
        let told = world.fails(line, &[("DATABASE_URL", &url)], 5).await;
        assert!(told.starts_with("ingestctl: database: its encoding is LATIN1"), "{line}: {told}");
    }
    let other = testkit::database::connect(&url).await;
    let schema = "select to_regnamespace('contract_data') is null";
    assert_eq!(testkit::database::rows(&other, schema).await, ["t"]);
    drop(other);
    world.database.execute(&format!("drop database {name} with (force)")).await;
}

#[tokio::test]
async fn defaults_of_the_database_change_nothing() {
    let world = World::new(1..=16).await;
    hostile_defaults(&world, true).await;
    world.succeeds("migrate").await;
    world.succeeds("migrate --check").await;
    // Longer than any of these timeouts, with the lock of the schedule held all along.
    let line = world.ingestctl("run").env("WINDOW_LEDGERS", "8");
    line.env("FAILPOINTS", "copied=sleep(1500)").run().await.expect_code(0);
    world.succeeds("replay -s 1 -e 16 --force").await;
    for line in ["status", "verify", "maintain"] {
        world.succeeds(line).await;
    }
    hostile_defaults(&world, false).await;
    world.succeeds("migrate --check").await;
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_read_only_default_is_refused_before_the_drain_and_nothing_is_written() {
    let world = World::new(1..=16).await;
    let brake = format!("alter database {} set default_transaction_read_only = on", world.database.name());
    world.database.execute(&brake).await;
    for line in ["run", "replay -s 1 -e 16"] {
        let told = world.fails(line, &[], 5).await;
        assert!(told.contains("default_transaction_read_only is on"), "{line}: {told}");
    }
    assert_eq!(world.source.drains(), 0);
    world.succeeds("status").await;
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_database_without_schema_is_exit_code_5_and_migrate_helps() {
    let rows = oracle::ledgers(1..=16);
    let source = Source::of_rows(rows.clone());
    let world = World::without_schema(Database::create().await, source, rows, Store::folder());
    for line in COMMANDS {
        let told = world.fails(line, &[], 5).await;
        assert!(told.ends_with("has no schema yet: run `ingestctl migrate`"), "{line}: {told}");
    }
    let output = world.ingestctl("migrate --check").run().await.expect_code(5);
    assert!(output.stdout.contains("run `ingestctl migrate`"), "{}", output.stdout);

    world.succeeds("migrate").await;

    world.succeeds("migrate --check").await;
    let output = world.succeeds("migrate").await;
    assert!(output.stdout.starts_with("The schema is up to date"), "{}", output.stdout);
    world.succeeds("run").await;
}

#[tokio::test]
async fn an_upgrade_says_how_to_load_anew_what_an_earlier_release_loaded() {
    let world = World::new(1..=16).await;
    world.succeeds("run").await;
    // What version 6 did may be done again, and what later versions made goes: so the schema is one of version 5.
    let before = "delete from contract_data.schema_history where version > 5;
                  drop table contract_data.window_tables, contract_data.ttl_changes, contract_data.entry_ttls,
                    contract_data.retained_ttls, contract_data.folded_ledgers, contract_data.named_assets,
                    contract_data.replaced_ttls, contract_data.snapshots, contract_data.snapshot_tables,
                    contract_data.snapshot_ttls cascade;
                  drop trigger retained_states_claimed on contract_data.retained_states;
                  drop function contract_data.check_snapshot;
                  drop index contract_data.key_states_instances;
                  drop view contract_data.hubble_contract_data;
                  drop statistics contract_data.key_states_asset;
                  alter table contract_data.entries drop column ledger_entry_change, drop column token_holder, drop column token_amount cascade;
                  alter table contract_data.retained_states drop column ledger_entry_change, drop column token_holder, drop column token_amount cascade;
                  alter table contract_data.key_states drop column ledger_entry_change, drop column token_holder, drop column token_amount cascade;
                  alter table contract_data.settings drop column fingerprint_hash";
    world.database.execute(before).await;
    let advice = "to load their rows anew in that order: ingestctl replay -s 1 -e 16 --force";
    let output = world.succeeds("migrate").await;
    assert!(output.stdout.contains("V6__fingerprint") && output.stdout.contains(advice), "{}", output.stdout);
    world.succeeds("replay -s 1 -e 16 --force").await;
    world.expect_whole(&[1..=16]).await;
    let again = world.succeeds("migrate").await;
    assert!(!again.stdout.contains(advice), "{}", again.stdout);
}

#[tokio::test]
async fn eight_migrations_at_once_are_one() {
    let rows = oracle::ledgers(1..=16);
    let source = Source::of_rows(rows.clone());
    let world = World::without_schema(Database::create().await, source, rows, Store::folder());

    crate::support::all_succeed((0..8).map(|_| world.ingestctl("migrate").spawn()).collect()).await;

    assert_eq!(world.database.value("select count(*) from contract_data.settings").await, "1");
    world.succeeds("run").await;
}

/// What `migrate --check` says of functions and views, where it ends with 5.
async fn differing(world: &World) -> String {
    let output = world.ingestctl("migrate --check").run().await.expect_code(5);
    let told = output.stdout.trim();
    let names = told.strip_prefix("Functions or views that differ from this release: ");
    let names = names.and_then(|names| names.strip_suffix(". Run `ingestctl migrate` to replace them."));
    names.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[tokio::test]
async fn functions_and_views_that_differ_are_named_and_replaced() {
    let world = World::new(1..=16).await;
    world.succeeds("run").await;
    // One changed by hand, one gone, two views with another condition and another column, one as another release had it, one
    // beside another of its name.
    for (name, change) in [
        ("spread_assets", "alter function contract_data.spread_assets(text[]) security definer"),
        ("get_balance_history", "drop function contract_data.get_balance_history(text, integer)"),
        (
            "ledger_gaps",
            "create or replace view contract_data.ledger_gaps as
               select 1::bigint as start_ledger, 1::bigint as end_ledger, 1::bigint as ledgers",
        ),
        (
            "fold_pending",
            "update contract_data.schema_functions set source_digest = 'another' where name = 'fold_pending'",
        ),
        ("liveness", "create function contract_data.liveness(text) returns text language sql as 'select $1'"),
    ] {
        world.database.execute(change).await;
        assert_eq!(differing(&world).await, name);
        let again = json(&world.ingestctl("migrate --check --json").run().await.expect_code(5));
        assert_eq!(
            (&again["applied"], &again["functions"]),
            (&serde_json::json!([]), &serde_json::json!([name]))
        );

        let output = world.succeeds("migrate").await;

        assert!(output.stdout.starts_with(&format!("Replaced: {name}\n")), "{}", output.stdout);
        world.succeeds("migrate --check").await;
        let output = world.succeeds("migrate").await;
        assert!(output.stdout.starts_with("The schema is up to date"), "nothing is left: {}", output.stdout);
    }
    assert_eq!(world.database.value("select count(*) from contract_data.ledger_gaps").await, "0");
    let definer = "select prosecdef from pg_proc where proname = 'spread_assets'";
    assert_eq!(world.database.value(definer).await, "f");
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_migrate_that_changes_nothing_waits_for_no_reader() {
    let world = World::new(1..=16).await;
    let mut reader = world.database.connect().await;
    let reading = reader.transaction().await.unwrap();
    for view in ["current_states", "asset_summary", "recent_activity", "ledger_gaps", "table_sizes"] {
        reading.query(&format!("select * from contract_data.{view}"), &[]).await.unwrap();
    }
    world.succeeds("migrate").await; // else it fails with the timeout of its locks
    drop(reading);
}

#[tokio::test]
async fn functions_and_grants_of_a_later_release_stay() {
    let world = World::new(1..=16).await;
    let later = "insert into contract_data.schema_history (version, name, applied_on, checksum)
                   select max(version) + 1, 'later', '', '' from contract_data.schema_history;
                 comment on function contract_data.liveness(bigint, bigint) is 'later';
                 update contract_data.schema_functions set source_digest = 'later' where name = 'liveness'";
    world.database.execute(later).await;
    for line in ["migrate", "migrate --check"] {
        let output = world.succeeds(line).await;
        assert!(output.stdout.starts_with("The schema is up to date"), "{}", output.stdout);
    }
    let comment = "select obj_description('contract_data.liveness(bigint, bigint)'::regprocedure)";
    assert_eq!(world.database.value(comment).await, "later");
    world.succeeds("run").await;
}

#[tokio::test]
async fn a_database_of_another_network_or_partition_size_is_refused() {
    let world = World::new(1..=16).await;
    for line in COMMANDS.into_iter().chain(["migrate"]) {
        let told = world.fails(line, &[("NETWORK", "testnet")], 5).await;
        assert!(told.contains("holds pubnet, but NETWORK is testnet"), "{line}: {told}");
        let told = world.fails(line, &[("PARTITION_LEDGERS", "100")], 5).await;
        assert!(told.contains("partitions of 64 ledgers, but PARTITION_LEDGERS is 100"), "{line}: {told}");
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused_where_it_says_so() {
    let world = World::new(1..=16).await;
    world.database.execute("update contract_data.settings set oldest_loader = 1000").await;

    for line in COMMANDS {
        let told = world.fails(line, &[], 5).await;
        assert!(told.contains("upgrade the loader"), "{line}: {told}");
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_exit_code_5_and_nothing_is_half_done() {
    let world = World::new(1..=16).await;
    let trigger = "create function contract_data.refuse() returns trigger language plpgsql as
                     $$ begin raise exception 'not today' using errcode = '42501'; end $$;
                   create trigger refuse before insert on contract_data.entries for each row
                     execute function contract_data.refuse()";
    world.database.execute(trigger).await;

    let told = world.fails("run", &[], 5).await;

    assert!(told.starts_with("ingestctl: database: ") && told.contains("not today"), "{told}");
    assert_eq!(world.windows().await, Vec::<String>::new());
    world.succeeds("verify").await;
    world.database.execute("drop trigger refuse on contract_data.entries").await;
    world.succeeds("run").await;
    assert_eq!(world.source.drains(), 1, "the sealed object is loaded");
    world.expect_whole(&[1..=16]).await;
}
