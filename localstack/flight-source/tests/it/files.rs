//! Parquet files as a source.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, Int32Array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use flight_source::ParquetFiles;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use pipeline::LedgerWindow;

use super::record::records;
use super::*;

/// Writes rows of the chain in row groups of 500 rows.
fn write(path: &Path, start: u32, end: u32) -> RecordBatch {
    let rows = rows_of_chain(Table::Data, start, end);
    save(path, &rows);
    rows
}

fn rows_of_chain(table: Table, start: u32, end: u32) -> RecordBatch {
    let (chain, window) = (chain(&spec()), LedgerWindow::new(start, end).unwrap());
    let batches: Vec<_> = chain.batches(table, window, 300).map(Result::unwrap).collect();
    concat_batches(&table.source_schema(), &batches).unwrap()
}

fn save(path: &Path, rows: &RecordBatch) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(500)).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

async fn open(paths: &[PathBuf]) -> Source {
    serve_with(Arc::new(ParquetFiles::open(paths).unwrap()), options()).await
}

#[tokio::test]
async fn files_are_served_by_window_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a.parquet"), dir.path().join("b.parquet"));
    let parts = [write(&first, FIRST, FIRST + 99), write(&second, FIRST + 100, FIRST + 149)];
    std::fs::write(dir.path().join("README"), "no Parquet").unwrap();
    let whole = concat_batches(&parts[0].schema(), &parts).unwrap();
    let (start, end) = {
        let rows = records(&whole);
        (rows[0].ledger_sequence, rows[rows.len() - 1].ledger_sequence)
    };

    let mut source = open(&[dir.path().to_owned()]).await;
    let all = declared(&source.info(&["contract", "data"]).await.unwrap());
    assert_eq!((all.start, all.end, all.rows), (start, end, whole.num_rows() as i64));
    assert!(source.rows(0, u32::MAX).await == whole);
    assert_eq!(field(&source.window(start, end).await, "tables"), serde_json::json!(["data"]));
    for path in [&["contract", "ttl"][..], &["contract", "assets", "1", "2"]] {
        let refused = source.info(path).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().ends_with("; tables: data"), "{refused}");
    }
    let beyond = declared(&source.window(end + 1, end + 9).await);
    assert_eq!((beyond.start, beyond.end, beyond.rows), (end + 1, end, 0));

    let (from, to) = (FIRST + 37, FIRST + 111);
    let expected: Vec<_> =
        records(&whole).into_iter().filter(|row| (from..=to).contains(&row.ledger_sequence)).collect();
    assert_eq!(records(&source.rows(from, to).await), expected);
    let closed_at = DateTime::from_timestamp_micros(expected[expected.len() - 1].closed_at).unwrap();
    let declared = declared(&source.window(from, to).await);
    assert_eq!(DateTime::parse_from_rfc3339(&declared.latest_closed_at).unwrap(), closed_at);

    let mut reversed = open(&[second, first]).await;
    let expected = concat_batches(&parts[0].schema(), [&parts[1], &parts[0]]).unwrap();
    assert!(reversed.rows(0, u32::MAX).await == expected, "in the order given");
}

/// The rows with a column `change_index`, as in the archive.
fn numbered(rows: &RecordBatch) -> RecordBatch {
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("change_index", DataType::Int32, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int32Array::from_iter_values(0..rows.num_rows() as i32)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Writes the object of a window into the archive, and returns its rows.
fn archive(root: &Path, table: Table, start: u32, end: u32) -> (PathBuf, RecordBatch) {
    let folder = root.join(format!("contract_{}/v1/network=pubnet/ledger_range={FIRST}", table.name()));
    std::fs::create_dir_all(&folder).unwrap();
    let (path, rows) =
        (folder.join(format!("{start}-{end}.parquet")), numbered(&rows_of_chain(table, start, end)));
    save(&path, &rows);
    (path, rows)
}

#[tokio::test]
async fn an_archive_has_the_tables_that_it_has_for_all_its_ledgers() {
    let dir = tempfile::tempdir().unwrap();
    let (windows, mut objects) = ([(FIRST, FIRST + 63), (FIRST + 64, FIRST + 127)], Vec::new());
    let mut whole = Vec::new();
    for table in Table::ALL {
        let (paths, rows): (Vec<_>, Vec<_>) =
            windows.iter().map(|(start, end)| archive(dir.path(), table, *start, *end)).unzip();
        whole.push(concat_batches(&rows[0].schema(), &rows).unwrap());
        objects.push(paths);
    }
    let aside = dir.path().join("superseded/network=pubnet");
    std::fs::create_dir_all(&aside).unwrap();
    std::fs::copy(&objects[0][0], aside.join("1-2-3.parquet")).unwrap();

    let tables = async |source: &mut Source| {
        let info = source.info(&["contract", "data"]).await.unwrap();
        (declared(&info).start, declared(&info).end, field(&info, "tables"))
    };
    let mut source = open(&[dir.path().to_owned()]).await;
    let expected = (FIRST, FIRST + 127, serde_json::json!(["data", "ttl", "assets"]));
    assert_eq!(tables(&mut source).await, expected, "the ledgers of the names");
    for (table, whole) in Table::ALL.into_iter().zip(&whole) {
        assert!(source.rows_of(table, 0, u32::MAX).await == *whole, "{}", table.name());
        let inside = source.rows_of(table, FIRST + 60, FIRST + 70).await;
        let column = whole.column_by_name("ledger_sequence").unwrap().as_primitive::<UInt32Type>();
        let expected = column.values().iter().filter(|at| (FIRST + 60..=FIRST + 70).contains(at)).count();
        assert!(expected > 0 && inside.num_rows() == expected, "{}", table.name());
    }

    // a window that was loaded without times to live: the others do not vouch for it
    std::fs::remove_file(&objects[1][0]).unwrap();
    let mut source = open(&[dir.path().to_owned()]).await;
    assert_eq!(tables(&mut source).await.2, serde_json::json!(["data", "assets"]));
    let refused = source.info(&["contract", "ttl"]).await.unwrap_err();
    assert!(refused.message().ends_with("; tables: data, assets"), "{refused}");
    let mut second = open(&[objects[0][1].clone(), objects[1][1].clone()]).await;
    assert_eq!(tables(&mut second).await.2, serde_json::json!(["data", "ttl"]));
}

#[test]
fn files_that_cannot_be_served_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let refused = |paths: &[PathBuf]| ParquetFiles::open(paths).unwrap_err().chain();
    let missing = refused(&[file("missing.parquet")]);
    assert!(missing.contains("missing.parquet"), "{missing}");
    let empty = refused(&[dir.path().to_owned()]);
    assert!(empty.contains("no *.parquet file"), "{empty}");
    std::fs::write(file("text.parquet"), "no Parquet").unwrap();
    let text = refused(&[file("text.parquet")]);
    assert!(text.contains("text.parquet"), "{text}");

    let whole = write(&file("whole.parquet"), FIRST, FIRST + 9);
    let save = |name: &str, batch: &RecordBatch| save(&file(name), batch);
    save("fewer.parquet", &whole.project(&[0, 10, 11]).unwrap());
    let fewer = refused(&[file("whole.parquet"), file("fewer.parquet")]);
    assert!(fewer.contains("fewer.parquet: its columns differ from those"), "{fewer}");
    save("no-time.parquet", &whole.project(&[0, 10]).unwrap());
    let no_time = refused(&[file("no-time.parquet")]);
    assert!(no_time.contains("no column closed_at"), "{no_time}");
    save("no-rows.parquet", &whole.slice(0, 0));
    assert_eq!(refused(&[file("no-rows.parquet")]), "the Parquet files have no rows");
}

#[tokio::test]
async fn rows_of_the_public_network_are_served() {
    #[allow(clippy::disallowed_methods, reason = "real data lies outside of the repository")]
    let Some(dir) = std::env::var_os("REAL_DATA_DIR") else {
        eprintln!("REAL_DATA_DIR is not set: the rows of the public network are not served");
        return;
    };
    let mut source = open(&[Path::new(&dir).join("pubnet-51340657-51340749.parquet")]).await;
    let all = declared(&source.info(&["contract", "data"]).await.unwrap());
    assert_eq!((all.start, all.end, all.rows), (51_340_657, 51_340_749, 84));
    let rows = source.rows(51_340_657, 51_340_749).await;
    assert_eq!((rows.num_rows(), rows.num_columns()), (84, 18));
    let first = source.rows(51_340_657, 51_340_657).await;
    assert!(first.num_rows() > 0 && first == rows.slice(0, first.num_rows()));
}
