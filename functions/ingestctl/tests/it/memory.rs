//! The memory of the whole process, by the shape of what the source sends: the table in docs/operations.md.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use testkit::{Database, Info, Request, Row, Running, Source, Step};

use crate::support::{Store, World};

/// The most that a process may have, in MiB.
const LIMIT_MIB: u64 = 128;
/// Characters of a large value: that of a contract data entry of 64 KiB.
const LARGE: usize = 87_384;

/// This row in each of these ledgers.
fn batch(row: Row, ledgers: Vec<u32>) -> RecordBatch {
    let rows = testkit::rows::batch(&[row]);
    let same = UInt32Array::from(vec![0; ledgers.len()]);
    let columns = rows.columns().iter().map(|column| take(column, &same, None).unwrap()).collect();
    with(
        &RecordBatch::try_new(rows.schema(), columns).unwrap(),
        "ledger_sequence",
        Arc::new(UInt32Array::from(ledgers)),
    )
}

/// The batch with this column, in place of one of that name or after the others.
fn with(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let (mut columns, mut fields) = (batch.columns().to_vec(), batch.schema().fields().to_vec());
    let field = Arc::new(Field::new(name, column.data_type().clone(), true));
    match batch.schema().index_of(name) {
        Ok(place) => (columns[place], fields[place]) = (column, field),
        Err(_) => {
            columns.push(column);
            fields.push(field);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A source of these messages, declared as ledgers 1 to `end`, or undeclared.
fn source(end: u32, batches: Vec<RecordBatch>, declared: bool) -> Source {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    Source::serve(move |request| {
        let steps = match request {
            Request::Range { .. } | Request::Side { .. } | Request::State { .. } => vec![],
            Request::Window { .. } => vec![batches.iter().cloned().map(Step::Batch).collect()],
        };
        match declared {
            true => Info::declared(1, end, rows as i64, steps).into(),
            false => Info::undeclared(steps).into(),
        }
    })
}

/// The highest VmHWM of a process until its end, in MiB, and its exit code.
async fn peak(running: Running) -> (u64, Option<i32>) {
    let status = format!("/proc/{}/status", running.pid());
    let (mut peak, mut end) = (0, Box::pin(running.wait()));
    loop {
        tokio::select! {
            output = &mut end => return (peak, output.code),
            () = tokio::time::sleep(Duration::from_millis(2)) => {
                let status = std::fs::read_to_string(&status).unwrap_or_default();
                let line = status.lines().find(|line| line.starts_with("VmHWM:"));
                let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
                peak = peak.max(kib.unwrap_or(0) / 1024);
            }
        }
    }
}

/// Replays ledgers 1 to `end`, and expects the last of `loaded` rows to be there; the peak in MiB.
async fn load(source: Source, end: u32, code: i32, loaded: usize) -> u64 {
    let mut world = World::without_schema(Database::create().await, source, vec![], Store::folder());
    world.environment.retain(|(name, _)| !name.ends_with("_LEDGERS"));
    world.succeeds("migrate").await;
    let replay = world
        .ingestctl(&format!("replay -s 1 -e {end}"))
        .env("WINDOW_LEDGERS", "8192")
        .patience(Duration::from_secs(300));
    let (peak, ended) = peak(replay.spawn()).await;
    assert_eq!(ended, Some(code));
    let rows = world.database.value("select count(*) from contract_data.entries").await;
    assert_eq!(rows, loaded.to_string());
    peak
}

fn small(ledgers: impl IntoIterator<Item = u32>) -> Vec<RecordBatch> {
    let ledgers: Vec<u32> = ledgers.into_iter().collect();
    ledgers.chunks(1_024).map(|ledgers| batch(Row::at(1), ledgers.to_vec())).collect()
}

fn large(rows: usize, ledger: u32) -> RecordBatch {
    batch(Row::at(1).value_of_size(LARGE), vec![ledger; rows])
}

/// A batch of rows whose values are one large one, in a dictionary.
fn shared(rows: usize) -> RecordBatch {
    let value = Row::at(1).value_of_size(LARGE).val_xdr.unwrap();
    let keys = Int32Array::from(vec![0; rows]);
    let dictionary = DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec![value])));
    with(&batch(Row::at(1), vec![1; rows]), "val_xdr", Arc::new(dictionary))
}

/// The batch with two columns that are not of the contract: binary, and a dictionary.
fn with_others(batch: &RecordBatch, mib: usize) -> RecordBatch {
    let bytes = vec![b'x'; (mib << 20) / batch.num_rows()];
    let binary = BinaryArray::from_iter_values((0..batch.num_rows()).map(|_| &bytes));
    let keys = Int32Array::from(vec![0; batch.num_rows()]);
    let values = StringArray::from(vec!["y".repeat(mib << 20)]);
    let dictionary = DictionaryArray::<Int32Type>::new(keys, Arc::new(values));
    with(&with(batch, "theirs", Arc::new(binary)), "theirs_too", Arc::new(dictionary))
}

#[tokio::test]
async fn memory_is_bounded_whatever_the_shape() {
    let mut peaks = Vec::new();
    let mut add = |what: &'static str, peak: u64| {
        eprintln!("{peak:>5} MiB  {what}");
        peaks.push((what, peak));
    };
    let rows = 150_000;
    let in_order = small((0..rows).map(|n| 1 + n / 40));
    add("small rows, in order", load(source(4_096, in_order, true), 4_096, 0, rows as usize).await);
    let in_turn = small((0..rows).map(|n| 1 + n % 4_096));
    add("rows of 4,096 ledgers in turn", load(source(4_096, in_turn, true), 4_096, 0, rows as usize).await);

    add("a dictionary of one value", load(source(1, vec![shared(3_000)], true), 1, 0, 3_000).await);
    let shared = shared(3_000);
    let views = cast(shared.column_by_name("val_xdr").unwrap(), &DataType::Utf8View).unwrap();
    let views = with(&shared, "val_xdr", views);
    add("views of one value", load(source(1, vec![views], true), 1, 0, 3_000).await);

    let others = vec![with_others(&large(10, 1), 50); 4];
    add("columns that are not of the contract", load(source(1, others, true), 1, 0, 40).await);

    let undeclared = [vec![large(100, 1); 20], vec![large(1, 2)]].concat();
    add("an undeclared ledger of 170 MB", load(source(2, undeclared, false), 2, 3, 2_000).await);

    let heavy = large((63 << 20) / (LARGE + 600), 1);
    let rows = heavy.num_rows();
    add("messages of 63 MiB", load(source(1, vec![heavy; 3], true), 1, 0, 3 * rows).await);

    let above: Vec<_> = peaks.iter().filter(|(_, peak)| *peak > LIMIT_MIB).collect();
    assert!(above.is_empty(), "above {LIMIT_MIB} MiB: {above:?}");
    assert!(peaks.iter().all(|(_, peak)| *peak > 20), "nothing was measured: {peaks:?}");
}
