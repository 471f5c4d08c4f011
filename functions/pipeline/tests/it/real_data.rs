//! Real ledgers of pubnet, from `REAL_DATA_DIR`.

use std::fs::File;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const FILE: &str = "pubnet-51340657-51340749.parquet";

/// The file, where there is one.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the data stays outside of the repository"
)]
fn file() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("REAL_DATA_DIR") else {
        eprintln!("REAL_DATA_DIR is not set: no real ledgers are loaded");
        return None;
    };
    Some(PathBuf::from(folder).join(FILE))
}

#[test]
fn zzz() {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file().unwrap()).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(|b| b.unwrap()).collect();
    panic!("{:#?}\n{:?}", batches[0].schema(), batches[0].slice(0, 2));
}
