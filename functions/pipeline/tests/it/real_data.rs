//! Real ledgers of pubnet, from `REAL_DATA_DIR`.

use std::fs::File;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType, UInt32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use testkit::{Answer, Info, Request, Source, Step};

use crate::support::{World, real_data};

const START: u32 = 51_340_657;
const END: u32 = 51_340_749;

/// The rows of the file, where it is. Its pages are compressed with snappy.
pub(crate) fn rows() -> Option<RecordBatch> {
    let path = real_data(&format!("pubnet-{START}-{END}.parquet"))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    Some(concat_batches(&schema, &batches).unwrap())
}

/// What the database should say of a value of the file, as text; null as `-`.
fn text(batch: &RecordBatch, column: usize, row: usize) -> String {
    let array = batch.column(column);
    if array.is_null(row) {
        return "-".to_owned();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        // whole seconds, as PostgreSQL writes them in UTC
        DataType::Timestamp(..) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let instant = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            instant.format("%Y-%m-%d %H:%M:%S+00").to_string()
        }
        other => panic!("the file has a column of {other}"),
    }
}

#[tokio::test]
async fn real_ledgers_come_back_as_they_are_in_the_file() {
    let Some(batch) = rows() else { return };
    assert_eq!((batch.num_rows(), batch.num_columns()), (84, 18));
    let served = batch.clone();
    let source = Source::serve(move |request| {
        let endpoints = match request {
            Request::Range { .. } | Request::Side { .. } | Request::State { .. } => vec![],
            Request::Window { start, end, .. } => {
                assert_eq!((start, end), (START, END));
                vec![vec![Step::Batch(served.slice(0, 50)), Step::Batch(served.slice(50, 34))]]
            }
        };
        Answer::Info(Info::declared(START, END, 84, endpoints))
    });
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "100");
    assert_eq!(world.replay(START, END).await.unwrap().rows(), 84);

    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let session = world.database.connect().await;
    session.batch_execute("set timezone = 'UTC'").await.unwrap();
    let stored = format!(
        "select {}, change_index from contract_data.entries order by ledger_sequence, change_index",
        names.join(", ")
    );
    let found = testkit::database::rows(&session, &stored).await;
    let ledgers = batch.column_by_name("ledger_sequence").unwrap().as_primitive::<UInt32Type>().values();
    assert!(ledgers.is_sorted(), "the file is in the order of the stream");
    let expected = (0..84).map(|row| {
        let place = ledgers[..row].iter().filter(|ledger| **ledger == ledgers[row]).count();
        let values: Vec<String> = (0..18).map(|column| text(&batch, column, row)).collect();
        format!("{} | {place}", values.join(" | "))
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(found.iter().filter(|row| row.contains(" | t | ")).count(), 2, "deletions");
    world.verified().await;

    let everything = "select md5(string_agg(t::text, '|' order by t::text)) from (
                        select xmin::text, ledger_key_hash, ledger_sequence::text from contract_data.entries
                        union all select xmin::text, ledger_key_hash, ledger_sequence::text from contract_data.key_states
                        union all select xmin::text, batch_id::text, object from contract_data.ingestion_progress) t";
    let before = world.database.value(everything).await;
    assert!(world.replay(START, END).await.unwrap().windows.is_empty());
    assert_eq!(world.database.value(everything).await, before, "a second replay changes nothing");
    assert_eq!(source.drains(), 1, "and drains nothing");
    world.verified().await;
}
