//! A value that must not be loaded gives exit code 6, and the message names ledger, column and cause.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use testkit::{Chain, Row};

use crate::oracle;
use crate::support::{World, json};

const PROGRESS: &str =
    "select start_ledger, end_ledger, status, attempts, error_message from contract_data.ingestion_progress
     where status = 'failed' order by 1";

/// The microsecond before PostgreSQL's earliest timestamp, in 4714 BC. (Its latest is beyond the source's range.)
const BEFORE_TIME: i64 = -210_866_803_200_000_001;

/// Ledgers 1 to 40, where ledger 21 holds this row besides.
fn chain_with(row: Row) -> Chain {
    let mut rows = oracle::ledgers(1..=20);
    rows.push(row);
    rows.extend(oracle::ledgers(21..=40));
    Chain::of_rows(rows).range(1..=40)
}

#[tokio::test]
async fn values_that_postgresql_would_refuse_or_change_are_exit_code_6() {
    let row = || Row::at(21);
    let with = |change: fn(&mut Row)| {
        let mut row = row();
        change(&mut row);
        row
    };
    let cases = [
        ("contract_id", "contains a NUL byte", with(|row| row.contract_id = "C\0AB".to_owned())),
        ("val_xdr", "contains a NUL byte", with(|row| row.val_xdr = Some("AAAA\0".to_owned()))),
        ("asset_code", "contains a NUL byte", with(|row| row.asset_code = Some("US\0DC".to_owned()))),
        ("closed_at", "out of PostgreSQL's range", with(|row| row.closed_at = BEFORE_TIME)),
        ("closed_at", "out of PostgreSQL's range", with(|row| row.closed_at = i64::MIN)),
        (
            "ledger_key_hash",
            "cannot be derived",
            with(|row| {
                row.ledger_key_hash = None;
                row.key_xdr = Some("no XDR".to_owned());
            }),
        ),
        ("balance", "which should contain it", with(|row| row.balance_holder = Some("GABC".to_owned()))),
    ];
    let world = World::new(1..=40).await;
    for (n, (column, cause, row)) in cases.into_iter().enumerate() {
        let chain = chain_with(row);
        world.source.answer_with(move |request| chain.answer(request));
        let told = world.fails("replay -s 17 -e 32", &[], 6).await;
        let named = format!("bad data in ledger 21, column {column}: ");
        assert!(told.contains(&named), "{column}: {told}");
        assert!(told.contains(cause), "{column}: {told}");
        let problem = &told[told.find(&named).unwrap()..];
        let recorded = format!("21 | 21 | failed | {} | {problem}", n + 1);
        assert_eq!(world.database.rows(PROGRESS).await, [recorded], "{column}");
        assert_eq!(world.windows().await, ["17-20", "22-32"], "narrowed down to the bad ledger");
    }
    // An object that cannot be loaded is kept as evidence; once the source is fixed, it is not needed.
    let kept =
        "select object from contract_data.ingestion_progress where status = 'failed' and object is not null";
    for object in world.database.rows(kept).await {
        assert!(world.file(&object).exists(), "{object}");
    }
    for object in world.staged().await {
        std::fs::remove_file(world.file(&object)).unwrap();
    }

    // The schedule loads the windows around it, and leaves the bad one alone for a while.
    let told = world.succeeds("run").await.stdout;
    assert!(!told.contains("FAILED"), "{told}");
    assert_eq!(world.windows().await, ["1-16", "17-20", "22-32", "33-40"]);
    let status = json(&world.succeeds("status --json").await);
    assert_eq!(
        (&status["failed"][0]["start_ledger"], &status["failed"][0]["attempts"]),
        (&21.into(), &7.into())
    );

    let mended = Chain::of_rows(oracle::ledgers(1..=40)).range(1..=40);
    world.source.answer_with(move |request| mended.answer(request));
    world.succeeds("replay -s 17 -e 32").await;
    assert_eq!(
        world
            .database
            .rows("select start_ledger from contract_data.ingestion_progress where status = 'failed'")
            .await,
        Vec::<String>::new()
    );
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn a_bad_window_stops_none_of_the_others() {
    let bad = Row { val_xdr: Some("\0".to_owned()), ..Row::at(21) };
    let world = World::of(chain_with(bad), 1..=40).await;

    let told = world.fails("run", &[], 6).await;

    assert!(told.contains("bad data in ledger 21, column val_xdr"), "{told}");
    assert_eq!(world.windows().await, ["1-16", "17-20", "22-32", "33-40"]);
    let status = world.succeeds("status").await.stdout;
    assert!(status.contains("\n####################X###################\n"), "{status}");
    assert!(status.contains("\n  ingestctl replay -s 21 -e 21\n"), "{status}");
    world.succeeds("verify").await;
}

/// The batch with another column under that name.
fn replaced(batch: &RecordBatch, name: &str, data_type: DataType, array: ArrayRef) -> RecordBatch {
    let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    let index = batch.schema().index_of(name).unwrap();
    fields[index] = Arc::new(Field::new(name, data_type, true));
    columns[index] = array;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test]
async fn a_null_where_none_may_be_is_exit_code_6() {
    let world = World::new(1..=16).await;
    for name in ["contract_id", "contract_key_type", "deleted", "closed_at", "last_modified_ledger"] {
        let nulls = move |batch: RecordBatch| {
            let data_type = batch.column_by_name(name).unwrap().data_type().clone();
            let array = new_null_array(&data_type, batch.num_rows());
            replaced(&batch, name, data_type, array)
        };
        let chain = Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16).reshape(nulls);
        world.source.answer_with(move |request| chain.answer(request));
        let told = world.fails("replay -s 1 -e 16", &[], 6).await;
        let problem = format!("bad data in ledger 1, column {name}: null in a required column");
        assert!(told.contains(&problem), "{told}");
        let failed = &world.database.rows(PROGRESS).await[0];
        assert!(failed.starts_with("1 | 1 | failed | ") && failed.ends_with(&problem), "{failed}");
        assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "0");
    }
}

#[tokio::test]
async fn a_column_of_another_type_or_none_is_a_fault_of_the_source() {
    let world = World::new(1..=16).await;
    let retyped = |batch: RecordBatch| {
        let array = new_null_array(&DataType::Float64, batch.num_rows());
        replaced(&batch, "balance", DataType::Float64, array)
    };
    let dropped = |batch: RecordBatch| batch.project(&(1..18).collect::<Vec<_>>()).unwrap();
    let chain = || Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16);
    let cases = [
        ("column balance is Float64", chain().reshape(retyped)),
        ("no column contract_id", chain().reshape(dropped)),
    ];
    for (reason, chain) in cases {
        world.source.answer_with(move |request| chain.answer(request));
        let told = world.fails("run", &[], 3).await;
        assert!(told.starts_with("ingestctl: source: ") && told.contains(reason), "{told}");
        world.expect_nothing().await;
    }
}

#[tokio::test]
async fn other_orders_and_more_columns_are_read_by_name() {
    let reversed = |batch: RecordBatch| {
        let extra = new_null_array(&DataType::Utf8, batch.num_rows());
        let order: Vec<usize> = (0..18).rev().collect();
        let batch = batch.project(&order).unwrap();
        let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
        fields.insert(0, Arc::new(Field::new("paging_token", DataType::Utf8, true)));
        let columns = std::iter::once(extra).chain(batch.columns().iter().cloned()).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    let chain = Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16).reshape(reversed);
    let world = World::of(chain, 1..=16).await;

    world.succeeds("run").await;

    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn the_padding_of_an_asset_code_is_trimmed() {
    let rows = oracle::ledgers(1..=16);
    let padded = |row: &Row| Row {
        asset_code: row.asset_code.as_ref().map(|code| format!("{code}\0\0")),
        ..row.clone()
    };
    let chain = Chain::of_rows(rows.iter().map(padded).collect()).range(1..=16);
    assert!(rows.iter().any(|row| row.asset_code.is_some()));
    let world = World::of(chain, 1..=16).await;

    world.succeeds("run").await;

    world.expect_whole(&[1..=16]).await;
}
