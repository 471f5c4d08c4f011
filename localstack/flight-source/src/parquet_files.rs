//! Parquet files as a dataset: their rows unchanged, by window of ledgers, in the order of the files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt32Type};
use arrow::error::ArrowError;
use chrono::DateTime;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use pipeline::BoxError;
use pipeline::LedgerWindow;
use pipeline::contract::tables::Table;

use crate::dataset::{Batches, Close, Count, Dataset};
use crate::error::{Error, Result};

const LEDGER: &str = "ledger_sequence";
const CLOSED_AT: &str = "closed_at";

/// Rows read at a time when the files are indexed.
const SCAN_ROWS: usize = 65_536;

/// Parquet files of contract data, indexed when they are opened.
#[derive(Debug)]
pub struct ParquetFiles {
    name: String,
    schema: SchemaRef,
    files: Vec<Indexed>,
    ledgers: BTreeMap<u32, Ledger>,
    extent: LedgerWindow,
}

#[derive(Debug)]
struct Indexed {
    path: PathBuf,
    /// The ledgers of each row group; `None` for one without rows.
    row_groups: Vec<Option<LedgerWindow>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ledger {
    rows: u64,
    /// In microseconds since 1970, from the last of its rows.
    closed_at: i64,
}

impl ParquetFiles {
    /// Indexes the files in the given order; a directory stands for its `*.parquet` files by name.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::File`] name the file; [`Error::Options`] if there are no rows.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut found = Vec::new();
        for path in paths {
            expand(path, &mut found)?;
        }
        let mut schema: Option<SchemaRef> = None;
        let (mut files, mut ledgers) = (Vec::new(), BTreeMap::new());
        for path in found {
            let refuse = |problem: String| Error::File { path: path.clone(), problem };
            let builder = builder(&path)?;
            let fields = Schema::new(builder.schema().fields().clone());
            match &schema {
                None => schema = Some(Arc::new(fields)),
                Some(first) if **first == fields => {}
                Some(_) => {
                    return Err(refuse("its columns differ from those of the files before it".to_owned()));
                }
            }
            if let Some(missing) = [LEDGER, CLOSED_AT].iter().find(|name| fields_lack(builder.schema(), name))
            {
                return Err(refuse(format!("it has no column {missing}")));
            }
            let row_groups = (0..builder.metadata().num_row_groups())
                .map(|group| index(&path, group, &mut ledgers))
                .collect::<Result<_>>()?;
            files.push(Indexed { path, row_groups });
        }
        let ends = ledgers.first_key_value().zip(ledgers.last_key_value());
        let (Some(schema), Some(((start, _), (end, _)))) = (schema, ends) else {
            return Err(Error::Options("the Parquet files have no rows".to_owned()));
        };
        let extent = LedgerWindow::single(*start).span(LedgerWindow::single(*end));
        let rows: u64 = ledgers.values().map(|ledger| ledger.rows).sum();
        tracing::info!(files = files.len(), rows, ledgers = %extent, "Parquet files opened");
        Ok(Self { name: format!("files {extent} {rows}"), schema, files, ledgers, extent })
    }
}

fn fields_lack(schema: &Schema, name: &str) -> bool {
    schema.field_with_name(name).is_err()
}

/// Appends the path, or the Parquet files in it if it is a directory.
fn expand(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    let mut files = entries.map_err(|error| unreadable(path, error))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    if files.is_empty() {
        let problem = "there is no *.parquet file in it".to_owned();
        return Err(Error::File { path: path.to_owned(), problem });
    }
    files.sort();
    found.append(&mut files);
    Ok(())
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: impl Into<BoxError>) -> Error {
    Error::Read { path: path.to_owned(), source: error.into() }
}

/// A column cast to another type; an error if a value does not fit or is null.
fn column(batch: &RecordBatch, name: &str, as_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?;
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = cast_with_options(column, as_type, &options)?;
    match column.null_count() {
        0 => Ok(column),
        nulls => Err(ArrowError::InvalidArgumentError(format!("{nulls} rows have no {name}"))),
    }
}

/// Counts the rows of a row group by ledger, and returns its range of ledgers.
fn index(path: &Path, group: usize, ledgers: &mut BTreeMap<u32, Ledger>) -> Result<Option<LedgerWindow>> {
    let failed = |error: ArrowError| unreadable(path, error);
    let builder = builder(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [LEDGER, CLOSED_AT]);
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut range: Option<LedgerWindow> = None;
    let builder = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(SCAN_ROWS);
    for batch in builder.build().map_err(|error| unreadable(path, error))? {
        let batch = batch.map_err(failed)?;
        let sequence = column(&batch, LEDGER, &DataType::UInt32).map_err(failed)?;
        let closed_at = column(&batch, CLOSED_AT, &micros).map_err(failed)?;
        let closed_at = closed_at.as_primitive::<TimestampMicrosecondType>().values();
        for (sequence, closed_at) in sequence.as_primitive::<UInt32Type>().values().iter().zip(closed_at) {
            let ledger = ledgers.entry(*sequence).or_default();
            ledger.rows += 1;
            ledger.closed_at = *closed_at;
            let one = LedgerWindow::single(*sequence);
            range = Some(range.map_or(one, |seen| seen.span(one)));
        }
    }
    Ok(range)
}

#[tonic::async_trait]
impl Dataset for ParquetFiles {
    fn name(&self) -> &str {
        &self.name
    }

    fn tables(&self) -> &[Table] {
        &[Table::Data]
    }

    fn schema(&self, _: Table) -> SchemaRef {
        self.schema.clone()
    }

    async fn extent(&self) -> Result<LedgerWindow> {
        Ok(self.extent)
    }

    async fn count(&self, _: Table, window: LedgerWindow) -> Result<Count> {
        let rows = self.ledgers.range(window.start()..=window.end()).map(|(_, ledger)| ledger.rows).sum();
        Ok(Count { rows: Some(rows), close: self.close(window.end()).await? })
    }

    async fn close(&self, ledger: u32) -> Result<Close> {
        let last = self.ledgers.range(..=ledger).next_back();
        let at = last.and_then(|(_, ledger)| DateTime::from_timestamp_micros(ledger.closed_at));
        Ok(Close { at, hash: None })
    }

    fn batches(self: Arc<Self>, _: Table, window: LedgerWindow, batch_rows: usize) -> Batches {
        Box::new(Reader { files: self, window, batch_rows: batch_rows.max(1), next_file: 0, reader: None })
    }
}

/// Reads the row groups with ledgers of a window, and keeps the rows inside the window.
struct Reader {
    files: Arc<ParquetFiles>,
    window: LedgerWindow,
    batch_rows: usize,
    next_file: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl Reader {
    fn open(&self, file: &Indexed) -> Result<Option<ParquetRecordBatchReader>> {
        let wanted = |range: &Option<LedgerWindow>| range.is_some_and(|range| range.overlaps(self.window));
        let groups: Vec<usize> = file
            .row_groups
            .iter()
            .enumerate()
            .filter(|(_, range)| wanted(range))
            .map(|(group, _)| group)
            .collect();
        if groups.is_empty() {
            return Ok(None);
        }
        let builder = builder(&file.path)?.with_row_groups(groups).with_batch_size(self.batch_rows);
        Ok(Some(builder.build().map_err(|error| unreadable(&file.path, error))?))
    }

    fn keep(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let sequence = column(batch, LEDGER, &DataType::UInt32)?;
        let inside = sequence.as_primitive::<UInt32Type>().values().iter();
        let inside: Vec<bool> = inside.map(|at| self.window.contains(*at)).collect();
        let kept = filter_record_batch(batch, &BooleanArray::from(inside))?;
        // the schema without metadata, which differs between files
        RecordBatch::try_new(self.files.schema.clone(), kept.columns().to_vec())
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next().map(|batch| batch.and_then(|batch| self.keep(&batch))) {
                    Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                    Some(batch) => return Some(batch.map_err(Error::from)),
                    None => self.reader = None,
                }
            }
            let files = self.files.clone();
            let file = files.files.get(self.next_file)?;
            self.next_file += 1;
            match self.open(file) {
                Ok(reader) => self.reader = reader,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
