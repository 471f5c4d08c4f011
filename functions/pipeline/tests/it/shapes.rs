//! Sources that send the same rows in other types: accepted if nothing is lost, otherwise refused with one error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use pipeline::{Error, LedgerWindow, ReplayOptions};
use testkit::{Asset, Chain, Row, Step};
use tonic::{Code, Status};

use crate::support::{FORGET_WINDOWS, World};

mod forged;

/// Rows of ledgers 10 to 13 with every column filled somewhere and null somewhere, and other contracts in each.
fn rows() -> Vec<Row> {
    let usdc = Asset::credit("USDC", 1);
    (10..14)
        .flat_map(|ledger| {
            [
                Row::at(ledger).contract(ledger).instance(&usdc),
                Row::at(ledger).contract(ledger).balance(ledger, i128::from(ledger) << 40),
                Row { expiration_ledger_seq: None, ..Row::at(ledger).wasm_instance(ledger).deleted() },
                Row { val_xdr: None, ..Row::at(ledger).key(ledger).temporary() },
            ]
        })
        .collect()
}

/// Three messages of rows.
fn chain() -> Chain {
    Chain::of_rows(rows()).batch_rows(6)
}

/// The batch with each column changed by name; those that become none are left out.
fn reshaped(batch: &RecordBatch, change: impl Fn(&Field, &ArrayRef) -> Option<ArrayRef>) -> RecordBatch {
    let schema = batch.schema();
    let changed = schema.fields().iter().zip(batch.columns()).filter_map(|(field, array)| {
        let array = change(field, array)?;
        Some((Field::new(field.name(), array.data_type().clone(), field.is_nullable()), array))
    });
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = changed.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The batch with every column of one type in another.
fn retyped(batch: &RecordBatch, from: &DataType, to: &DataType) -> RecordBatch {
    reshaped(batch, |_, array| {
        let fits = array.data_type() == from;
        Some(if fits { cast(array, to).unwrap() } else { Arc::clone(array) })
    })
}

fn instant(unit: TimeUnit, zone: &str) -> DataType {
    DataType::Timestamp(unit, Some(zone.into()))
}

fn dictionary(keys: DataType, values: DataType) -> DataType {
    DataType::Dictionary(Box::new(keys), Box::new(values))
}

fn permuted(batch: &RecordBatch) -> RecordBatch {
    let order: Vec<usize> = (0..18).map(|n| (n * 7 + 5) % 18).collect();
    batch.project(&order).unwrap()
}

/// More columns before, between and after, one of them named like a column of the loader.
fn widened(batch: &RecordBatch) -> RecordBatch {
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = batch.columns().to_vec();
    for (at, name) in [(0, "change_index"), (9, "batch_id"), (20, "CONTRACT_ID")] {
        fields.insert(at, Field::new(name, DataType::Float64, true));
        columns.insert(at, Arc::new(Float64Array::from(vec![f64::NAN; batch.num_rows()])));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

type Shape = fn(&RecordBatch) -> RecordBatch;

const SHAPES: [(&str, Shape); 11] = [
    ("permuted", permuted),
    ("with extra columns", widened),
    ("LargeUtf8", |b| retyped(b, &DataType::Utf8, &DataType::LargeUtf8)),
    ("Utf8View", |b| retyped(b, &DataType::Utf8, &DataType::Utf8View)),
    ("dictionary", |b| retyped(b, &DataType::Utf8, &dictionary(DataType::Int32, DataType::Utf8))),
    ("small dictionary", |b| retyped(b, &DataType::Utf8, &dictionary(DataType::UInt8, DataType::LargeUtf8))),
    ("nanoseconds", |b| {
        retyped(b, &instant(TimeUnit::Microsecond, "UTC"), &instant(TimeUnit::Nanosecond, "UTC"))
    }),
    ("milliseconds", |b| {
        retyped(b, &instant(TimeUnit::Microsecond, "UTC"), &instant(TimeUnit::Millisecond, "+02:00"))
    }),
    ("seconds", |b| {
        retyped(b, &instant(TimeUnit::Microsecond, "UTC"), &instant(TimeUnit::Second, "Asia/Kathmandu"))
    }),
    ("int64 ledgers", |b| retyped(b, &DataType::UInt32, &DataType::Int64)),
    ("everything at once", |b| {
        let text = retyped(b, &DataType::Utf8, &DataType::Utf8View);
        widened(&permuted(&retyped(&text, &DataType::UInt32, &DataType::UInt64)))
    }),
];

/// The digest of the rows of a chain, loaded into a world that is emptied for it.
async fn digest(world: &World, what: &str, chain: Chain) -> String {
    let source = chain.serve();
    world.set("FLIGHT_ENDPOINT", &source.url());
    let empty = format!("truncate contract_data.entries, contract_data.key_states; {FORGET_WINDOWS}");
    world.database.execute(&empty).await;
    let report = world.replay(10, 13).await.unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
    assert_eq!(report.rows(), 16, "{what}");
    world.verified().await;
    world.database.value("select rows_digest from contract_data.ingestion_progress").await
}

#[tokio::test]
async fn the_same_rows_in_another_shape_have_the_same_digest() {
    let source = chain().serve();
    let world = World::around(&source).await;
    let plain = digest(&world, "plain", chain()).await;
    for (what, shape) in SHAPES {
        let found = digest(&world, what, chain().reshape(move |batch| shape(&batch))).await;
        assert_eq!(found, plain, "{what}");
    }
}

#[tokio::test]
async fn key_hashes_that_the_source_leaves_out_are_derived() {
    let source = chain().serve();
    let world = World::around(&source).await;
    let plain = digest(&world, "plain", chain()).await;
    let without = chain().reshape(|batch| {
        reshaped(&batch, |field, array| {
            let derived = field.name() == "ledger_key_hash";
            Some(if derived { Arc::new(StringArray::new_null(array.len())) } else { Arc::clone(array) })
        })
    });
    assert_eq!(digest(&world, "without hashes", without).await, plain);
}

/// A replay of this chain is refused permanently with this error, and nothing is recorded.
async fn check_refused(chain: Chain, sentence: &str) {
    let source = chain.serve();
    let world = World::around(&source).await;
    world.set("MAX_RETRIES", "1");
    let error = world.refused(10, 13).await;
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
    assert_eq!(error.chain(), sentence);
    assert_eq!(source.windows().len(), 1, "no second attempt mends it");
}

#[tokio::test]
async fn a_missing_column_is_one_sentence() {
    let without = |batch: RecordBatch| {
        reshaped(&batch, |field, array| (field.name() != "closed_at").then(|| Arc::clone(array)))
    };
    check_refused(chain().reshape(without), "source: the stream has no column closed_at").await;
}

#[tokio::test]
async fn a_mistyped_column_is_one_sentence() {
    for (name, to, sentence) in [
        ("last_modified_ledger", DataType::Float64, "is Float64, which cannot be cast to UInt32"),
        ("deleted", DataType::Utf8, "is Utf8, which cannot be cast to Boolean"),
        ("val_xdr", DataType::Binary, "is Binary, which cannot be cast to Utf8"),
    ] {
        let mistyped = move |batch: RecordBatch| {
            reshaped(&batch, |field, array| {
                Some(if field.name() == name { cast(array, &to).unwrap() } else { Arc::clone(array) })
            })
        };
        check_refused(chain().reshape(mistyped), &format!("source: column {name} {sentence}")).await;
    }
}

#[tokio::test]
async fn a_schema_that_comes_twice_is_refused() {
    for schema in [testkit::rows::schema(), Arc::new(Schema::empty())] {
        let source = chain().then_after(1, vec![Step::Schema(schema)]).serve();
        let world = World::around(&source).await;
        let message = world.refused(10, 10).await.chain();
        assert!(message.starts_with("source: the stream broke in ledgers 10-10: "), "{message}");
        assert!(message.contains("multiple Schema messages"), "{message}");
    }
}

#[tokio::test]
async fn a_dictionary_that_is_replaced_in_mid_stream_decodes_right() {
    let keys = dictionary(DataType::Int8, DataType::Utf8);
    let distinct = |batch: &RecordBatch| {
        let ids = cast(batch.column(0), &dictionary(DataType::Int8, DataType::Utf8)).unwrap();
        arrow::array::AsArray::as_any_dictionary(&ids).values().clone()
    };
    let batches: Vec<RecordBatch> = rows().chunks(4).map(testkit::rows::batch).collect();
    assert_ne!(&distinct(&batches[0]), &distinct(&batches[1]), "each message needs another dictionary");
    let encoded = chain().batch_rows(4).reshape(move |batch| retyped(&batch, &DataType::Utf8, &keys));
    let source = encoded.serve();
    let world = World::around(&source).await;
    world.replay(10, 13).await.unwrap();
    let found = world.database.rows(
        "select contract_id, coalesce(ledger_key_hash, '-'), coalesce(val_xdr, '-'), coalesce(asset_code, '-')
         from contract_data.entries order by ledger_sequence, change_index",
    );
    let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
    let sent = rows().into_iter().map(|row| {
        [row.contract_id.clone(), text(&row.ledger_key_hash), text(&row.val_xdr), text(&row.asset_code)]
            .join(" | ")
    });
    assert_eq!(found.await, sent.collect::<Vec<_>>());
}

#[tokio::test]
async fn some_statuses_pass_and_others_stay() {
    let transient = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Aborted,
        Code::Internal,
        Code::Unknown,
        Code::Cancelled,
        Code::DataLoss,
    ];
    let permanent = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::PermissionDenied,
        Code::Unauthenticated,
        Code::Unimplemented,
        Code::FailedPrecondition,
        Code::OutOfRange,
    ];
    let checks = transient.map(|code| (code, 2)).into_iter().chain(permanent.map(|code| (code, 1)));
    let source = chain().serve();
    let world = World::around(&source).await;
    world.set("MAX_RETRIES", "1");
    let checks = checks.map(|(code, requests)| {
        let source = chain().refuse(Status::new(code, "no rows today")).serve();
        world.set("FLIGHT_ENDPOINT", &source.url());
        let clients = world.clients();
        let replay = move || {
            let clients = Arc::clone(&clients);
            async move {
                let window = LedgerWindow::new(10, 10).unwrap();
                let options = ReplayOptions::default();
                let outcome = pipeline::replay(&clients, window, options, None, Arc::new(|_| {})).await;
                outcome.unwrap_err().chain()
            }
        };
        async move {
            let message = replay().await;
            assert!(message.contains("no rows today"), "{code:?}: {message}");
            assert_eq!(source.windows().len(), requests, "{code:?}, refusing the window");
            source.answer_with(move |request| {
                chain().error_after(2, Status::new(code, "no more rows")).answer(request)
            });
            let message = replay().await;
            assert!(
                message.contains("the stream broke in ledgers 10-10: no more rows"),
                "{code:?}: {message}"
            );
            assert_eq!(source.windows().len(), 2 * requests, "{code:?}, in mid-stream");
        }
    });
    futures::future::join_all(checks).await;
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "0");
}

/// A chain of ledger 10 in one message, whose values take about `bytes` bytes.
fn heavy(bytes: usize) -> (usize, Chain) {
    let row = Row::at(10).value_of_size(64 << 10);
    let rows = bytes.div_ceil(row.val_xdr.as_ref().unwrap().len());
    let rows: Vec<Row> = (0..rows as u32).map(|key| row.clone().key(key)).collect();
    (rows.len(), Chain::of_rows(rows).batch_rows(usize::MAX))
}

#[tokio::test]
async fn a_message_over_64_mib_is_refused_and_one_below_is_loaded() {
    let (_, chain) = heavy(64 << 20);
    let source = chain.serve();
    let world = World::around(&source).await;
    world.set("FLIGHT_TIMEOUT", "30s");
    world.set("MAX_RETRIES", "1");
    let error = world.refused(10, 10).await;
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
    let message = error.chain();
    assert!(message.starts_with("source: the stream broke in ledgers 10-10: "), "{message}");
    assert!(message.contains("the limit is: 67108864 bytes"), "{message}");
    assert_eq!(source.windows().len(), 1, "no second attempt mends it");

    let (rows, chain) = heavy((64 << 20) - (600 << 10));
    source.answer_with(move |request| chain.answer(request));
    assert_eq!(world.replay(10, 10).await.unwrap().rows(), rows as u64);
    world.verified().await;
}

/// The chain with a column that shares one value of this size through a dictionary.
fn sharing(bytes: usize) -> Chain {
    let value: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(bytes)]));
    chain().reshape(move |batch| {
        reshaped(&batch, |field, array| {
            let keys = Int32Array::from(vec![0; array.len()]);
            let shared =
                || -> ArrayRef { Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&value))) };
            Some(if field.name() == "val_xdr" { shared() } else { Arc::clone(array) })
        })
    })
}

#[tokio::test]
async fn a_row_over_8_mib_is_bad_data_however_small_its_message() {
    let source = sharing(9 << 20).serve();
    let world = World::around(&source).await;
    let report = world.replay(10, 13).await.unwrap();
    let failed = &report.windows[0];
    assert!(failed.bad_data, "{failed:?}");
    let problem = failed.error.clone().unwrap();
    assert!(problem.starts_with("bad data in ledger 10, column val_xdr: the row has 9437"), "{problem}");
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "0");
}

#[tokio::test]
async fn dictionaries_over_32_mib_are_refused() {
    let source = sharing(33 << 20).serve();
    let world = World::around(&source).await;
    world.set("FLIGHT_TIMEOUT", "30s");
    let problem = world.refused(10, 13).await.chain();
    assert!(problem.starts_with("source: sent dictionaries of more than 32 MiB: "), "{problem}");
}

#[tokio::test]
async fn a_dictionary_that_nobody_asked_for_may_have_any_size() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.set("FLIGHT_TIMEOUT", "30s");
    let plain = digest(&world, "plain", chain()).await;
    let value: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(33 << 20)]));
    let unasked = chain().reshape(move |batch| {
        let keys = Int32Array::from(vec![0; batch.num_rows()]);
        let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let mut columns = batch.columns().to_vec();
        fields.insert(3, Field::new("theirs", dictionary(DataType::Int32, DataType::Utf8), true));
        columns.insert(3, Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&value))));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    });
    assert_eq!(digest(&world, "with a column of their own", unasked).await, plain);
}
