//! Upgrades: the loader of one release on the functions of the next, and tables that get a column.

use pipeline::{ReplayKind, ReplayOptions};
use testkit::rows::issuer;
use testkit::{Asset, Chain, Database, Row, asset};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::support::World;

/// Functions of an earlier release: one with another body, one missing, and one that this release does not have.
const BEFORE: &str = include_str!("releases/before.sql");

/// A call that only the loader of that release makes.
const NOTE: &str = "select contract_data.note_load(id) from contract_data.ingestion_progress
                    where status = 'completed' order by start_ledger limit 1";

/// The calls of loaders, with the types of arguments and result: the contract between releases. A call stays as long as
/// `settings.oldest_loader` admits a loader that sends it. Loaders before schema version 4 wrote tables instead, and are
/// refused: a right to write them is a right to destroy what they hold.
const CALLS: [(&str, &[Type], Type); 22] = [
    ("select contract_data.ensure_partition($1)", &[Type::INT8], Type::TEXT),
    ("select contract_data.tend_partition($1)", &[Type::INT8], Type::VOID),
    ("select contract_data.fold_windows(array[$1::bigint])", &[Type::INT8], Type::INT8),
    ("select contract_data.fold_pending($1) as windows", &[Type::INT8], Type::INT8),
    (
        "select contract_data.add_assets($1, $2, $3, $4)",
        &[Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::TEXT_ARRAY],
        Type::INT8,
    ),
    (
        "select contract_data.claim_window($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as id",
        &[
            Type::UUID,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::INT8,
            Type::TEXT,
            Type::INT4,
            Type::INT8,
            Type::TIMESTAMPTZ,
        ],
        Type::INT8,
    ),
    (
        "select contract_data.replace_window($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::UUID,
            Type::INT8,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::INT8,
            Type::TEXT,
            Type::INT8,
            Type::TIMESTAMPTZ,
        ],
        Type::BOOL,
    ),
    (
        "select contract_data.record_table($1, $2, $3, $4, $5)",
        &[Type::INT8, Type::TEXT, Type::INT8, Type::INT8, Type::TEXT],
        Type::VOID,
    ),
    (
        "select contract_data.name_assets($1, $2, $3, $4)",
        &[Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::TEXT_ARRAY],
        Type::INT8,
    ),
    ("select contract_data.finish_window($1, $2)", &[Type::INT8, Type::INT8], Type::VOID),
    (
        "select contract_data.fail_window($1, $2, $3, $4) as superseded",
        &[Type::INT8, Type::INT8, Type::TEXT, Type::TEXT],
        Type::TEXT_ARRAY,
    ),
    ("select contract_data.mark_archived($1, $2, $3)", &[Type::INT8, Type::UUID, Type::TEXT], Type::BOOL),
    (
        "select contract_data.hint_window($1, $2, $3, $4, $5)",
        &[Type::UUID, Type::INT8, Type::INT8, Type::FLOAT8, Type::TEXT],
        Type::VOID,
    ),
    ("select contract_data.unhint_window($1)", &[Type::UUID], Type::VOID),
    ("select contract_data.store_schedule_start($1) as schedule_start", &[Type::INT8], Type::INT8),
    ("select contract_data.store_fingerprint($1, $2)", &[Type::INT8, Type::TEXT], Type::VOID),
    ("select contract_data.store_fingerprint_hash($1, $2)", &[Type::INT8, Type::TEXT], Type::VOID),
    ("select contract_data.refresh_current_states()", &[], Type::INT8),
    (
        "select contract_data.begin_snapshot($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as claimed",
        &[
            Type::UUID,
            Type::INT8,
            Type::TEXT,
            Type::INT8,
            Type::INT8,
            Type::TEXT,
            Type::TIMESTAMPTZ,
            Type::TEXT,
            Type::TEXT,
            Type::INT8,
        ],
        Type::BOOL,
    ),
    (
        "select contract_data.record_snapshot_table($1, $2, $3, $4)",
        &[Type::TEXT, Type::INT8, Type::INT8, Type::TEXT],
        Type::VOID,
    ),
    ("select contract_data.finish_snapshot()", &[], Type::VOID),
    ("select contract_data.archive_snapshot($1, $2)", &[Type::UUID, Type::TEXT], Type::BOOL),
];

/// Prepares these calls as a loader does.
async fn prepared(session: &Client) -> Vec<Statement> {
    let mut statements = Vec::new();
    for (call, arguments, answer) in CALLS {
        let statement = session.prepare(call).await.unwrap_or_else(|error| panic!("{call}: {error:?}"));
        assert_eq!(statement.params(), arguments, "{call}");
        assert_eq!(statement.columns()[0].type_(), &answer, "{call}");
        statements.push(statement);
    }
    statements
}

/// Balances of an asset that is named in the middle, keys that change and vanish: a ledger of each number up to 12.
fn chain() -> Chain {
    let usdc = Asset::credit("USDC", 1);
    let contract = usdc.contract_id(asset::PUBNET);
    let rows = (1..=12).flat_map(|ledger| {
        let other = Row::at(ledger).key(ledger % 5).value(ledger.into());
        let second = if ledger == 6 {
            Row::at(ledger).of_contract(&contract).instance(&usdc)
        } else {
            Row::at(ledger).of_contract(&contract).balance(ledger % 3, i128::from(ledger))
        };
        [if ledger % 4 == 0 { other.deleted() } else { other }, second]
    });
    Chain::of_rows(rows.collect()).range(1..=12)
}

/// Sends every call for the window of these ledgers. The state is the same afterwards.
async fn call_all(session: &mut Client, statements: &[Statement], start: i64, end: i64) {
    let [
        ensure,
        tend,
        fold,
        pending,
        assets,
        claim,
        replace,
        record,
        name,
        finish,
        fail,
        archived,
        hint,
        unhint,
        schedule,
        fingerprint,
        hash,
        refresh,
        snapshot,
        snapshot_table,
        finish_snapshot,
        archive_snapshot,
    ] = statements
    else {
        panic!("calls")
    };
    let window = "select id, batch_id, object, entries_processed from contract_data.ingestion_progress
                  where start_ledger = $1 and status = 'completed'";
    let window = session.query_one(window, &[&start]).await.unwrap();
    let (id, batch): (i64, Uuid) = (window.get(0), window.get(1));
    let (object, rows): (String, i64) = (window.get(2), window.get(3));
    let partition: String = session.query_one(ensure, &[&start]).await.unwrap().get(0);
    assert_eq!(partition, "entries_0000000000");
    session.query_one(tend, &[&start]).await.unwrap();
    for call in [fold, pending] {
        let forgotten = "delete from contract_data.key_states where ledger_sequence between $1 and $2";
        session.execute(forgotten, &[&start, &end]).await.unwrap();
        let unfolded = "update contract_data.ingestion_progress set folded = false where id = $1";
        session.execute(unfolded, &[&id]).await.unwrap();
        let argument = if std::ptr::eq(call, fold) { id } else { 500_000 };
        assert_eq!(session.query_one(call, &[&argument]).await.unwrap().get::<_, i64>(0), 1);
    }
    let known: [Vec<String>; 4] = [
        vec![Asset::credit("USDC", 1).contract_id(asset::PUBNET)],
        vec!["credit_alphanum4".to_owned()],
        vec!["USDC".to_owned()],
        vec![issuer(1)],
    ];
    session.query_one(assets, &[&known[0], &known[1], &known[2], &known[3]]).await.unwrap();
    assert!(session.query_one(archived, &[&id, &batch, &object]).await.unwrap().get::<_, bool>(0));
    session.query_one(hint, &[&batch, &start, &end, &60.0, &"flight"]).await.unwrap();
    session.query_one(unhint, &[&batch]).await.unwrap();
    session.query_one(fingerprint, &[&start, &"0".repeat(64)]).await.unwrap();
    session.query_one(hash, &[&start, &"0".repeat(64)]).await.unwrap();

    let tx = session.transaction().await.unwrap();
    tx.query_one(schedule, &[&start]).await.unwrap();
    let failed = tx.query_one(fail, &[&start, &end, &"why", &None::<String>]).await.unwrap();
    assert_eq!(failed.get::<_, Vec<String>>(0), Vec::<String>::new());
    let (new, none) = (Uuid::new_v4(), None::<i64>);
    let staged = format!("staging/network=pubnet/{start}-{end}-{new}.parquet");
    let digest = "0".repeat(64);
    let closed = None::<chrono::DateTime<chrono::Utc>>;
    let taken = tx
        .query_one(
            claim,
            &[
                &new,
                &start,
                &end,
                &rows,
                &"flight",
                &"declared",
                &staged,
                &1_i64,
                &digest,
                &1_i32,
                &none,
                &closed,
            ],
        )
        .await
        .unwrap();
    assert_eq!(taken.get::<_, Option<i64>>(0), None, "the ledgers are loaded");
    let old = format!(
        "create temporary table old on commit drop as
           select * from contract_data.entries where ledger_sequence between {start} and {end};
         update old set batch_id = '{new}'"
    );
    tx.batch_execute(&old).await.unwrap();
    let replaced = tx
        .query_one(
            replace,
            &[
                &id,
                &start,
                &end,
                &new,
                &rows,
                &"flight",
                &"declared",
                &staged,
                &1_i64,
                &digest,
                &none,
                &closed,
            ],
        )
        .await
        .unwrap();
    assert!(replaced.get::<_, bool>(0));
    tx.query_one(record, &[&id, &"assets", &1_i64, &1_i64, &digest]).await.unwrap();
    tx.query_one(name, &[&known[0], &known[1], &known[2], &known[3]]).await.unwrap();
    tx.batch_execute("insert into contract_data.entries select * from old").await.unwrap();
    assert_eq!(tx.query_one(fold, &[&id]).await.unwrap().get::<_, i64>(0), 1);
    tx.query_one(finish, &[&id, &1_i64]).await.unwrap();
    tx.batch_execute("set constraints all immediate").await.unwrap();
    tx.rollback().await.unwrap();
    session.query_one(refresh, &[]).await.unwrap();

    let tx = session.transaction().await.unwrap();
    let staged = format!("staging/network=pubnet/snapshot-63-{new}.parquet");
    let hash = "0".repeat(64);
    let facts: [&(dyn tokio_postgres::types::ToSql + Sync); 10] =
        [&new, &63_i64, &hash, &23_i64, &0_i64, &digest, &closed, &"flight", &staged, &1_i64];
    assert!(tx.query_one(snapshot, &facts).await.unwrap().get::<_, bool>(0));
    tx.query_one(snapshot_table, &[&"ttl", &0_i64, &1_i64, &digest]).await.unwrap();
    let archived = "archive/snapshots/v1/network=pubnet/63.parquet";
    assert!(tx.query_one(archive_snapshot, &[&new, &archived]).await.unwrap().get::<_, bool>(0));
    let refused = tx.query_one(finish_snapshot, &[]).await.unwrap_err();
    assert!(format!("{refused:?}").contains("is loaded already"), "{refused:?}");
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn a_loader_of_the_release_before_works_while_and_after_its_functions_are_replaced() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.database.execute(BEFORE).await;
    let mut session = world.database.connect().await;
    let statements = prepared(&session).await;
    let note = session.prepare(NOTE).await.unwrap();
    world.replay(1, 4).await.unwrap();
    call_all(&mut session, &statements, 1, 4).await;
    world.verified().await;

    let migration = pipeline::migrate(&world.config()).await.unwrap();

    assert_eq!(migration.functions, ["fold_windows", "liveness"]);
    call_all(&mut session, &statements, 1, 4).await;
    world.verified().await;
    world.replay(5, 8).await.unwrap();
    call_all(&mut session, &statements, 5, 8).await;
    let noted: String = session.query_one(&note, &[]).await.unwrap().get(0);
    assert_eq!(noted, "ledgers 1 to 4", "a function that this release does not have stays");
    let mut started = world.database.connect().await;
    let statements = prepared(&started).await;
    call_all(&mut started, &statements, 5, 8).await;
    world.replay(9, 12).await.unwrap();
    world.verified().await;
}

/// The columns of a table in their order, with type and nullability, less these.
async fn columns(world: &World, table: &str, without: &str) -> Vec<String> {
    let columns = format!(
        "select attname, format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation from pg_attribute
         where attrelid = 'contract_data.{table}'::regclass and attnum > 0 and not attisdropped
         and attname not in ({without}) order by attnum"
    );
    world.database.rows(&columns).await
}

#[tokio::test]
async fn the_tables_of_a_change_have_the_same_columns_in_the_same_order() {
    let world = World::around(&chain().serve()).await;
    let entries = columns(&world, "entries", "''").await;
    assert_eq!(columns(&world, "retained_states", "''").await, entries);
    let without = columns(&world, "entries", "'batch_id', 'ingested_at'").await;
    assert_eq!(columns(&world, "key_states", "''").await, without);
    let ttls = columns(&world, "entry_ttls", "''").await;
    assert_eq!(columns(&world, "retained_ttls", "''").await, ttls);
}

/// A migration that adds a column, and rows that have it.
const ANOTHER: &str = "
    alter table contract_data.entries add column another_column bigint;
    alter table contract_data.retained_states add column another_column bigint;
    alter table contract_data.key_states add column another_column bigint;
    update contract_data.entries set another_column = ledger_sequence";

#[tokio::test]
async fn a_column_that_a_migration_adds_is_folded_refolded_condensed_and_refreshed() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.database.execute("update contract_data.settings set partition_ledgers = 4").await;
    world.set("PARTITION_LEDGERS", "4");
    world.replay(1, 8).await.unwrap();
    world.database.execute(ANOTHER).await;
    let folded = "select count(*) from contract_data.key_states where another_column = ledger_sequence";
    let states = world.database.value("select count(*) from contract_data.key_states").await;

    world.database.value("select contract_data.refresh_current_states()").await;
    assert_eq!(world.database.value(folded).await, states, "folded");
    world.set("RETAIN_LEDGERS", "1");
    pipeline::maintain(&world.config(), false).await.unwrap();
    let retained = "select count(*), count(*) filter (where another_column = ledger_sequence)
                    from contract_data.retained_states";
    let retained = world.database.value(retained).await;
    let (all, with_it) = retained.split_once(" | ").unwrap();
    assert!(all != "0" && all == with_it, "condensed: {retained}");
    world.database.value("select contract_data.refresh_current_states()").await;
    assert_eq!(world.database.value(folded).await, states, "refreshed");

    // The loader does not know the column: the rows of the window that it replaces lack it, older rows have it.
    let kind = ReplayKind::Force { trust_end: false };
    world.replay_with(8, 8, ReplayOptions { kind, ..ReplayOptions::default() }).await.unwrap();
    let below = "select count(*) from contract_data.key_states where ledger_sequence < 8";
    assert_eq!(world.database.value(folded).await, world.database.value(below).await, "refolded");
    world.verified().await;
}

#[tokio::test]
async fn between_migrations_and_functions_no_window_is_recorded_as_loaded() {
    let database = Database::create().await;
    database.execute("create schema contract_data").await;
    database.execute(include_str!("../../../../sql/migrations/V0001__settings_and_progress.sql")).await;
    let window = |status: &str| {
        format!(
            "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, completed_at)
             values (gen_random_uuid(), 1, 1, '{status}', now())"
        )
    };
    let session = database.connect().await;
    session.batch_execute(&window("failed")).await.unwrap();
    let refused = session.batch_execute(&window("completed")).await.unwrap_err();
    assert!(format!("{refused:?}").contains("the functions of this schema are missing"), "{refused:?}");
}
