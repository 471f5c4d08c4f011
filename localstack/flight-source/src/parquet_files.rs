//! Parquet files as a dataset: their rows unchanged, by window of ledgers, in the order of the files. The files of the
//! loader's archive also have the tables beside `data`; the columns of a file tell its table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, SchemaRef, UInt32Type};
use arrow::error::ArrowError;
use chrono::DateTime;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use pipeline::LedgerWindow;
use pipeline::contract::tables::{Table, with_columns};

use crate::dataset::{Batches, Close, Count, Dataset};
use crate::error::{Error, Result};

mod part;

use part::{Indexed, LEDGER, Part, builder, column, table_of, unreadable};

/// The folder of the archive with objects that others have replaced.
const SUPERSEDED: &str = "superseded";

/// Parquet files of contract data, indexed when they are opened.
#[derive(Debug)]
pub struct ParquetFiles {
    name: String,
    /// Those with files for all ledgers.
    tables: Vec<Table>,
    /// The files of each table, by its place in [`Table::ALL`].
    parts: [Part; Table::ALL.len()],
    extent: LedgerWindow,
}

impl ParquetFiles {
    /// Indexes the files in the given order; a directory stands for the `*.parquet` files in it and its folders, by name.
    /// A table is served if there are files of it for all ledgers of `data`.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::File`] name the file; [`Error::Options`] if there are no rows.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut found = Vec::new();
        for path in paths {
            expand(path, &mut found)?;
        }
        let mut parts = Table::ALL.map(Part::new);
        for path in found {
            let builder = builder(&path)?;
            parts[table_of(builder.schema()) as usize].add(path, &builder)?;
        }
        let [data, ..] = &parts;
        let rows: u64 = data.ledgers.values().map(|ledger| ledger.rows).sum();
        let covered = data.covered();
        let (Some(extent), 1..) = (covered.iter().copied().reduce(LedgerWindow::span), rows) else {
            return Err(Error::Options("the Parquet files have no rows".to_owned()));
        };
        let mut tables = Vec::new();
        for (table, part) in Table::ALL.into_iter().zip(&parts) {
            match part.lacks(&covered) {
                None => tables.push(table),
                Some(_) if part.files.is_empty() => {}
                Some(ledgers) => {
                    tracing::warn!(%ledgers, "{} is not served: no file of it has these ledgers", table.name());
                }
            }
        }
        let files: usize = parts.iter().map(|part| part.files.len()).sum();
        tracing::info!(files, rows, ledgers = %extent, ?tables, "Parquet files opened");
        Ok(Self { name: format!("files {extent} {rows}"), tables, parts, extent })
    }

    fn part(&self, table: Table) -> &Part {
        &self.parts[table as usize]
    }
}

/// Appends the path, or the Parquet files in it and in its folders if it is a directory.
fn expand(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let before = found.len();
    collect(path, found).map_err(|error| unreadable(path, error))?;
    if found.len() == before {
        let problem = "there is no *.parquet file in it".to_owned();
        return Err(Error::File { path: path.to_owned(), problem });
    }
    found[before..].sort();
    Ok(())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with(SUPERSEDED) {
                collect(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    Ok(())
}

#[tonic::async_trait]
impl Dataset for ParquetFiles {
    fn name(&self) -> &str {
        &self.name
    }

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    fn schema(&self, table: Table) -> SchemaRef {
        self.part(table).schema.clone()
    }

    async fn extent(&self) -> Result<LedgerWindow> {
        Ok(self.extent)
    }

    async fn count(&self, table: Table, window: LedgerWindow) -> Result<Count> {
        let rows = self
            .part(table)
            .ledgers
            .range(window.start()..=window.end())
            .map(|(_, ledger)| ledger.rows)
            .sum();
        Ok(Count { rows: Some(rows), close: self.close(window.end()).await? })
    }

    async fn close(&self, ledger: u32) -> Result<Close> {
        let last = self.part(Table::Data).ledgers.range(..=ledger).next_back();
        let at = last.and_then(|(_, ledger)| DateTime::from_timestamp_micros(ledger.closed_at));
        Ok(Close { at, hash: None })
    }

    fn batches(self: Arc<Self>, table: Table, window: LedgerWindow, batch_rows: usize) -> Batches {
        Box::new(Reader {
            files: self,
            table,
            window,
            batch_rows: batch_rows.max(1),
            next_file: 0,
            reader: None,
        })
    }
}

/// Reads the row groups with ledgers of a window, and keeps the rows inside the window.
struct Reader {
    files: Arc<ParquetFiles>,
    table: Table,
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
        with_columns(self.files.schema(self.table), &kept)
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
            let file = files.part(self.table).files.get(self.next_file)?;
            self.next_file += 1;
            match self.open(file) {
                Ok(reader) => self.reader = reader,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
