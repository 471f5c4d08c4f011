//! Values, with PostgreSQL as the oracle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema};
use futures::TryStreamExt;
use pipeline::WindowStatus;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest, Sha256};
use stellar_xdr::ScVal;
use testkit::{Chain, Database, Row, Source};

use crate::support::World;

/// The columns of the source, as COPY and comparisons name them.
const COLUMNS: &str = "contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
    balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, closed_at, ledger_key_hash, key_xdr, val_xdr,
    contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq";

/// Microseconds since 1970 of PostgreSQL's first instant, 4714-11-24 BC; its last is beyond int64.
const FIRST_INSTANT: i64 = -210_866_803_200_000_000;

/// Text that breaks a text COPY, or may break a text type.
const TRICKY: [&str; 17] = [
    "",
    " ",
    "trailing blanks   ",
    "\\N",
    "\\.",
    "\\",
    "\\\\",
    "\t",
    "\n",
    "\r\n",
    "'",
    "\"",
    "NULL",
    "😀 👩‍👩‍👧",
    "é\u{301}",
    "\u{feff}",
    "\u{1}\u{7f}\u{85}\u{10ffff}",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&TRICKY[..]).prop_map(str::to_owned),
        2 => "[^\0]{0,20}",
        1 => r"[\\N.\t\n ]{0,8}",
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        prop::sample::select(&[0, 1, i32::MAX as u32, 1 << 31, u32::MAX - 1, u32::MAX][..])
    ]
}

fn amount() -> impl Strategy<Value = i128> {
    let edges = [0, 1, -1, 9_999, 10_000, -10_000, i128::from(i64::MAX), i128::from(i64::MIN)];
    let beyond = [i128::from(i64::MAX) + 1, i128::from(i64::MIN) - 1, i128::MAX, i128::MIN, 10i128.pow(38)];
    prop_oneof![
        any::<i128>(),
        any::<i64>().prop_map(i128::from),
        prop::sample::select([&edges[..], &beyond[..]].concat()),
    ]
}

fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![
        FIRST_INSTANT..=i64::MAX,
        1_400_000_000_000_000..2_000_000_000_000_000i64,
        prop::sample::select(
            &[FIRST_INSTANT, -1, 0, 1, 946_684_800_000_000, 946_684_799_999_999, i64::MAX][..]
        ),
    ]
}

/// A key of one of the types that carry bytes, with its type's name.
fn key() -> impl Strategy<Value = (&'static str, ScVal)> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        text().prop_map(|t| (
            "ScValTypeScvString",
            ScVal::String(stellar_xdr::ScString(t.as_bytes().to_vec().try_into().unwrap()))
        )),
        bytes().prop_map(|b| ("ScValTypeScvBytes", ScVal::Bytes(b.try_into().unwrap()))),
        number().prop_map(|n| ("ScValTypeScvU32", ScVal::U32(n))),
        Just(("ScValTypeScvLedgerKeyContractInstance", ScVal::LedgerKeyContractInstance)),
    ]
}

/// One of these words, or none.
fn word(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(words).prop_map(str::to_owned))
}

/// A row, its ledger counted from the start of the window, and the balance that the database should have.
fn row() -> impl Strategy<Value = (Row, Option<i128>)> {
    let asset = (
        prop::option::weighted(0.7, text().prop_map(|code| code.trim_end_matches('\0').to_owned())),
        prop::option::of((0..3u32).prop_map(testkit::rows::issuer)),
        word(&["native", "credit_alphanum4", "credit_alphanum12"]),
    );
    let instance = (
        word(&["wasm", "stellar_asset", "external_ref"]),
        prop::option::of((0..3u32).prop_map(testkit::rows::wasm_hash)),
    );
    let numbers = (0..8u32, number(), prop::option::of(number()), instant());
    let value = prop::option::weighted(0.7, key().prop_map(|(_, value)| testkit::xdr::base64(&value)));
    let balance = prop::option::of((0..3u32, amount(), any::<bool>()));
    (asset, instance, numbers, value, balance, (0..4u32, key(), any::<[bool; 3]>())).prop_map(
        |(
            asset,
            instance,
            numbers,
            val_xdr,
            balance,
            (contract, (key_type, key), [deleted, temporary, keyed]),
        )| {
            let (ledger, last_modified_ledger, expiration_ledger_seq, closed_at) = numbers;
            let row = Row::at(ledger).contract(contract).keyed(key_type, &key);
            let row = if temporary { row.temporary() } else { row };
            let row = Row {
                asset_code: asset.0,
                asset_issuer: asset.1,
                asset_type: asset.2,
                last_modified_ledger,
                deleted,
                closed_at,
                val_xdr,
                contract_instance_type: instance.0,
                contract_instance_wasm_hash: instance.1,
                expiration_ledger_seq,
                ..row
            };
            match balance {
                Some((holder, amount, true)) => (with_balance(row, holder, amount), Some(amount)),
                // A source may send a balance without a holder.
                Some((_, amount, false)) => {
                    let balance = i64::try_from(amount).unwrap_or(i64::MIN);
                    (Row { balance: Some(balance), ..row }, Some(balance.into()))
                }
                // Where no hash can be derived, the source sends its own.
                None if keyed => (Row { key_xdr: None, ..row }, None),
                None => (row, None),
            }
        },
    )
}

/// The row as a balance: key, hash, holder and value fit together, the rest stays.
fn with_balance(row: Row, holder: u32, amount: i128) -> Row {
    let balance = Row::at(1).of_contract(row.contract_id.clone()).balance(holder, amount);
    Row {
        contract_key_type: balance.contract_key_type,
        contract_durability: balance.contract_durability,
        balance_holder: balance.balance_holder,
        balance: balance.balance,
        ledger_key_hash: balance.ledger_key_hash,
        key_xdr: balance.key_xdr,
        val_xdr: balance.val_xdr,
        ..row
    }
}

/// What the source sends for a row: here and there without the hash that can be derived or with another spelling of it, with a
/// padded asset code, and with "" for null.
fn sent((n, row): (usize, Row)) -> Row {
    let derivable = row.key_xdr.is_some();
    let ledger_key_hash = match n % 4 {
        0 if derivable => None,
        1 => row.ledger_key_hash.map(|hash| hash.to_uppercase()),
        _ => row.ledger_key_hash,
    };
    let asset_code = row.asset_code.map(|code| if n % 4 > 0 { code } else { format!("{code}\0\0\0") });
    let or_empty = |text: Option<String>| if n % 3 == 0 { text.or(Some(String::new())) } else { text };
    Row {
        ledger_key_hash,
        asset_code: or_empty(asset_code),
        asset_issuer: or_empty(row.asset_issuer),
        asset_type: or_empty(row.asset_type),
        balance_holder: or_empty(row.balance_holder),
        val_xdr: or_empty(row.val_xdr),
        contract_instance_type: or_empty(row.contract_instance_type),
        contract_instance_wasm_hash: or_empty(row.contract_instance_wasm_hash),
        ..row
    }
}

/// A row of `entries` as the test reads it: texts, numbers, whether it is deleted, the exact balance in digits.
type Stored = ([Option<String>; 12], [Option<i64>; 5], bool, Option<String>);

fn expected(change_index: i64, row: Row, balance: Option<i128>) -> Stored {
    let texts = [
        Some(row.contract_id),
        Some(row.contract_key_type),
        Some(row.contract_durability),
        row.asset_code.filter(|code| !code.is_empty()),
        row.asset_issuer,
        row.asset_type,
        row.balance_holder,
        row.ledger_key_hash,
        row.key_xdr,
        row.val_xdr,
        row.contract_instance_type,
        row.contract_instance_wasm_hash,
    ];
    let numbers = [
        Some(row.last_modified_ledger.into()),
        Some(row.ledger_sequence.into()),
        row.expiration_ledger_seq.map(i64::from),
        Some(change_index),
        Some(row.closed_at),
    ];
    (texts, numbers, row.deleted, balance.map(|amount| amount.to_string()))
}

async fn stored(database: &Database, (start, end): (u32, u32)) -> Vec<Stored> {
    let query = "select contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
          balance_holder, ledger_key_hash, key_xdr, val_xdr, contract_instance_type, contract_instance_wasm_hash,
          last_modified_ledger, ledger_sequence, expiration_ledger_seq, change_index::bigint, timestamptz_send(closed_at),
          deleted, balance::text
        from contract_data.entries where ledger_sequence between $1 and $2 order by ledger_sequence, change_index";
    let rows = database.connect().await.query(query, &[&i64::from(start), &i64::from(end)]).await.unwrap();
    let read = |row: &tokio_postgres::Row| {
        // extract(epoch …) rounds in the far future; this is the integer that PostgreSQL keeps, counted from 2000.
        let kept = i64::from_be_bytes(row.get::<_, &[u8]>(16).try_into().unwrap());
        let number = |n| if n < 4 { row.get(12 + n) } else { Some(kept + 946_684_800_000_000) };
        (std::array::from_fn(|n| row.get(n)), std::array::from_fn(number), row.get(17), row.get(18))
    };
    rows.iter().map(read).collect()
}

/// SHA-256 of what PostgreSQL itself sends for these ledgers, without header and trailer, and what progress recorded.
async fn digests(database: &Database, (start, end): (u32, u32)) -> (String, String) {
    let copy = format!(
        "copy (select {COLUMNS}, change_index from contract_data.entries where ledger_sequence between {start} and {end}
               order by ledger_sequence, change_index) to stdout (format binary)"
    );
    let client = database.connect().await;
    let messages: Vec<_> = client.copy_out(&copy).await.unwrap().try_collect().await.unwrap();
    let bytes = messages.concat();
    let hash: String =
        Sha256::digest(&bytes[19..bytes.len() - 2]).iter().map(|b| format!("{b:02x}")).collect();
    let recorded =
        format!("select rows_digest from contract_data.ingestion_progress where start_ledger = {start}");
    (hash, database.value(&recorded).await)
}

/// The window of a case: the ends of uint32 first, never across a partition.
fn window(case: u32) -> (u32, u32) {
    let start = match case {
        0 => u32::MAX - 7,
        case => (case - 1) * 1_000,
    };
    (start, start + 7)
}

/// Loads the rows and compares every value that PostgreSQL then has.
async fn check_round_trip(world: &World, source: &Source, case: u32, rows: Vec<(Row, Option<i128>)>) {
    let (start, end) = window(case);
    let mut rows = rows;
    for (row, _) in &mut rows {
        row.ledger_sequence += start;
    }
    let chain = Chain::of_rows(rows.iter().map(|(row, _)| row.clone()).enumerate().map(sent).collect());
    let chain = chain.range(start..=end.saturating_add(1)).batch_rows(7);
    source.answer_with(move |request| chain.answer(request));
    let report = world.replay(start, end).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert_eq!(report.rows(), rows.len() as u64);

    rows.sort_by_key(|(row, _)| row.ledger_sequence); // stable: in stream order inside a ledger
    let mut places = std::collections::HashMap::<u32, i64>::new();
    let expected = rows.into_iter().map(|(row, balance)| {
        let place = places.entry(row.ledger_sequence).or_default();
        *place += 1;
        expected(*place - 1, row, balance)
    });
    assert_eq!(stored(&world.database, (start, end)).await, expected.collect::<Vec<_>>());
    let (hashed, recorded) = digests(&world.database, (start, end)).await;
    assert_eq!(hashed, recorded, "the digest is that of PostgreSQL's own COPY");
}

#[test]
fn every_value_comes_back_from_postgresql_as_it_was_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let source = Source::of_rows(Vec::new());
    let world = runtime.block_on(World::around(&source));
    let cases = AtomicU32::new(0);
    let config = Config { cases: 24, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(row(), 1..40), |rows| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(check_round_trip(&world, &source, case, rows));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    runtime.block_on(world.verified());
}

/// One batch of three rows of ledger 11, with another array in one column.
fn with_column(name: &str, array: ArrayRef) -> RecordBatch {
    let batch = testkit::rows::batch(&[0, 1, 2].map(|key| Row { balance: Some(0), ..Row::at(11).key(key) }));
    let index = batch.schema().index_of(name).unwrap();
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields[index] = Field::new(name, array.data_type().clone(), true);
    let mut columns = batch.columns().to_vec();
    columns[index] = array;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test]
async fn values_that_must_not_be_loaded_are_bad_data_with_ledger_and_column() {
    let null_at_11 = |column: &str| {
        let good = with_column("balance", Arc::new(Int64Array::from(vec![0; 3])));
        let array = good.column_by_name(column).unwrap();
        let hole = new_null_array(array.data_type(), 1);
        let holed = arrow::compute::concat(&[&array.slice(0, 1), &hole, &array.slice(2, 1)]).unwrap();
        with_column(column, holed)
    };
    let row = |row: Row| testkit::rows::batch(&[Row::at(11), row, Row::at(11)]);
    let text = |text: &str| Some(text.to_owned());
    let of = |ledger: i64| Arc::new(Int64Array::from(vec![11, ledger, 11]));
    let nul = "contains a NUL byte, which PostgreSQL cannot store";
    let no_amount = "is null, and so is val_xdr, which should contain it";
    // A staged object is kept as evidence.
    let kept = [
        (row(Row { val_xdr: text("a\0b"), ..Row::at(11) }), "val_xdr", nul),
        (row(Row { asset_code: text("U\0SD\0"), ..Row::at(11) }), "asset_code", nul),
        (row(Row { contract_id: "C\0".to_owned(), ..Row::at(11) }), "contract_id", nul),
        (row(Row { balance: None, val_xdr: None, ..Row::at(11).balance(1, 5) }), "balance", no_amount),
        (row(Row { val_xdr: text("rubbish"), ..Row::at(11) }), "val_xdr", "is not base64 XDR of an SCVal"),
        (row(Row { contract_id: text("C").unwrap(), ..Row::at(11) }), "contract_id", "is not a strkey C…"),
        (row(Row { asset_type: text("token"), ..Row::at(11) }), "asset_type", "is none of native"),
        (
            row(Row { ledger_key_hash: Row::at(11).key(2).ledger_key_hash, ..Row::at(11) }),
            "ledger_key_hash",
            "is not the hash of contract, key and durability",
        ),
        (
            row(Row { balance: Some(6), ..Row::at(11).balance(1, 5) }),
            "balance",
            "is 6, but val_xdr contains 5",
        ),
        (row(Row { closed_at: FIRST_INSTANT - 1, ..Row::at(11) }), "closed_at", "out of PostgreSQL's range"),
    ];
    let underivable = "is null and cannot be derived: key_xdr is null";
    let out = "4294967296 is out of range";
    let not_kept = [
        (
            row(Row { key_xdr: None, ledger_key_hash: None, ..Row::at(11) }),
            11,
            "ledger_key_hash",
            underivable,
        ),
        (null_at_11("deleted"), 11, "deleted", "null in a required column"),
        (null_at_11("closed_at"), 11, "closed_at", "null in a required column"),
        (with_column("last_modified_ledger", of(1 << 32)), 11, "last_modified_ledger", out),
        (with_column("ledger_sequence", of(1 << 32)), 0, "ledger_sequence", out),
        (with_column("ledger_sequence", of(-1)), 0, "ledger_sequence", "-1 is out of range"),
    ];
    let cases = kept.into_iter().map(|(batch, column, cause)| (batch, 11, column, cause, 1));
    let cases = cases
        .chain(not_kept.into_iter().map(|(batch, ledger, column, cause)| (batch, ledger, column, cause, 0)));
    let source = Source::of_rows(Vec::new());
    let world = World::around(&source).await;
    world.set("MAX_RETRIES", "1");
    for (batch, ledger, column, cause, objects) in cases {
        let windows = source.windows().len();
        let chain = Chain::of_rows(vec![Row::at(11); 3]).reshape(move |_| batch.clone());
        source.answer_with(move |request| chain.answer(request));
        let report = world.replay(11, 11).await.unwrap();
        assert_eq!(report.windows.len(), 1, "{column}");
        let window = &report.windows[0];
        assert_eq!(
            (window.rows, window.status, window.bad_data),
            (0, WindowStatus::Failed, true),
            "{column}"
        );
        let error = window.error.clone().unwrap();
        assert!(error.starts_with(&format!("bad data in ledger {ledger}, column {column}: ")), "{error}");
        assert!(error.contains(cause), "{error}");
        assert_eq!(source.windows().len(), windows + 1, "{column}: no second attempt mends it");

        let failed = "select start_ledger, end_ledger, status, folded, error_message from contract_data.ingestion_progress";
        assert_eq!(world.database.rows(failed).await, [format!("11 | 11 | failed | f | {error}")]);
        assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "0");
        let names = world.objects("staging");
        assert_eq!(names.len(), objects, "{column}: what an earlier failure kept is gone");
        let object = world.database.value("select object from contract_data.ingestion_progress").await;
        assert_eq!(names.contains(&object), objects == 1, "{column}: {object} in {names:?}");
        assert_eq!(world.objects("archive"), Vec::<String>::new());
    }

    source.answer_with(|request| Chain::of_rows(vec![Row::at(11), Row::at(11)]).answer(request));
    assert_eq!(world.replay(11, 11).await.unwrap().rows(), 2, "once the source is mended it loads");
    let status = world.database.rows("select status from contract_data.ingestion_progress").await;
    assert_eq!(status, ["completed"]);
    world.verified().await;
}
