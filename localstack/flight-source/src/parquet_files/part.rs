//! The files of one table, indexed: which ledgers they are for, and how many rows each ledger has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt32Type};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pipeline::BoxError;
use pipeline::LedgerWindow;
use pipeline::contract::tables::Table;

use crate::error::{Error, Result};

/// The column by which rows belong to windows.
pub(crate) const LEDGER: &str = "ledger_sequence";
const CLOSED_AT: &str = "closed_at";

/// Rows read at a time when the files are indexed.
const SCAN_ROWS: usize = 65_536;

/// The column that the archive adds to those of a table.
const CHANGE_INDEX: &str = "change_index";
/// The column that older files of the archive do not have.
const ENTRY_CHANGE: &str = "ledger_entry_change";

/// The files of a table.
#[derive(Debug)]
pub(crate) struct Part {
    /// That of each file, without metadata.
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<Indexed>,
    /// Those with rows.
    pub(crate) ledgers: BTreeMap<u32, Ledger>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) path: PathBuf,
    /// The ledgers that it is for: those in its name, or else from the first to the last of its rows; `None` if it has none.
    pub(crate) ledgers: Option<LedgerWindow>,
    /// The ledgers of each row group; `None` for one without rows.
    pub(crate) row_groups: Vec<Option<LedgerWindow>>,
}

/// What the files have of one ledger.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ledger {
    pub(crate) rows: u64,
    /// In microseconds since 1970, from the last of its rows; 0 in `assets`, which have none.
    pub(crate) closed_at: i64,
}

impl Part {
    /// No files yet.
    pub(crate) fn new(table: Table) -> Self {
        Self { schema: table.source_schema(), files: Vec::new(), ledgers: BTreeMap::new() }
    }

    /// Indexes one more file. All files of a table must have the columns of the first, but for `ledger_entry_change`: older files of
    /// the archive do without it.
    pub(crate) fn add(
        &mut self,
        path: PathBuf,
        builder: &ParquetRecordBatchReaderBuilder<File>,
    ) -> Result<()> {
        let refuse = |problem: String| Error::File { path: path.clone(), problem };
        let fields = Schema::new(builder.schema().fields().clone());
        if !self.files.is_empty() && without_change(&self.schema) != without_change(&fields) {
            return Err(refuse("its columns differ from those of the files before it".to_owned()));
        }
        if self.files.is_empty() || self.schema.fields().len() < fields.fields().len() {
            self.schema = Arc::new(fields);
        }
        let needed: &[&str] =
            if table_of(&self.schema) == Table::Assets { &[LEDGER] } else { &[LEDGER, CLOSED_AT] };
        if let Some(missing) = needed.iter().find(|name| fields_lack(builder.schema(), name)) {
            return Err(refuse(format!("it has no column {missing}")));
        }
        let row_groups = (0..builder.metadata().num_row_groups())
            .map(|group| index(&path, group, needed, &mut self.ledgers))
            .collect::<Result<Vec<_>>>()?;
        let of_rows = row_groups.iter().flatten().copied().reduce(LedgerWindow::span);
        let named = named_window(&path).filter(|named| of_rows.is_none_or(|rows| named.span(rows) == *named));
        self.files.push(Indexed { path, ledgers: named.or(of_rows), row_groups });
        Ok(())
    }

    /// The ledgers that the files are for, in order; adjoining ones are one window.
    pub(crate) fn covered(&self) -> Vec<LedgerWindow> {
        let mut windows: Vec<_> = self.files.iter().filter_map(|file| file.ledgers).collect();
        windows.sort_by_key(|window| window.start());
        let mut covered: Vec<LedgerWindow> = Vec::new();
        for window in windows {
            match covered.last_mut() {
                Some(last) if window.start() <= last.end().saturating_add(1) => *last = last.span(window),
                _ => covered.push(window),
            }
        }
        covered
    }

    /// The first of the `wanted` windows that the files are not for.
    pub(crate) fn lacks(&self, wanted: &[LedgerWindow]) -> Option<LedgerWindow> {
        let covered = self.covered();
        let has = |window: &LedgerWindow| covered.iter().any(|whole| whole.span(*window) == *whole);
        wanted.iter().copied().find(|window| !has(window))
    }
}

/// The table with the columns of a file, perhaps with `change_index`; any other columns are those of some `data`.
pub(crate) fn table_of(schema: &Schema) -> Table {
    let names = |schema: &Schema| -> BTreeSet<String> {
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.filter(|name| name != CHANGE_INDEX).collect()
    };
    let of_file = names(schema);
    Table::SIDES.into_iter().find(|table| names(&table.source_schema()) == of_file).unwrap_or(Table::Data)
}

/// The columns, without the one that older files of the archive do not have.
fn without_change(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().filter(|field| field.name() != ENTRY_CHANGE);
    Schema::new(fields.cloned().collect::<Vec<_>>())
}

/// The window in the name of an object of the archive, such as `51340657-51340749.parquet`.
fn named_window(path: &Path) -> Option<LedgerWindow> {
    let (start, end) = path.file_stem()?.to_str()?.split_once('-')?;
    LedgerWindow::new(start.parse().ok()?, end.parse().ok()?).ok()
}

fn fields_lack(schema: &Schema, name: &str) -> bool {
    schema.field_with_name(name).is_err()
}

/// A reader of the file.
pub(crate) fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(path, error))
}

/// The error of a file or directory that cannot be read.
pub(crate) fn unreadable(path: &Path, error: impl Into<BoxError>) -> Error {
    Error::Read { path: path.to_owned(), source: error.into() }
}

/// A column cast to another type; an error if a value does not fit or is null.
pub(crate) fn column(batch: &RecordBatch, name: &str, as_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?;
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = cast_with_options(column, as_type, &options)?;
    match column.null_count() {
        0 => Ok(column),
        nulls => Err(ArrowError::InvalidArgumentError(format!("{nulls} rows have no {name}"))),
    }
}

/// Counts the rows of a row group by ledger, and returns its range of ledgers. `needed` are the columns that it needs.
fn index(
    path: &Path,
    group: usize,
    needed: &[&str],
    ledgers: &mut BTreeMap<u32, Ledger>,
) -> Result<Option<LedgerWindow>> {
    let failed = |error: ArrowError| unreadable(path, error);
    let builder = builder(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), needed.iter().copied());
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut range: Option<LedgerWindow> = None;
    let builder = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(SCAN_ROWS);
    for batch in builder.build().map_err(|error| unreadable(path, error))? {
        let batch = batch.map_err(failed)?;
        let sequence = column(&batch, LEDGER, &DataType::UInt32).map_err(failed)?;
        let closed_at = match needed.contains(&CLOSED_AT) {
            true => Some(column(&batch, CLOSED_AT, &micros).map_err(failed)?),
            false => None,
        };
        let closed_at = closed_at.as_ref().map(|column| column.as_primitive::<TimestampMicrosecondType>());
        for (row, sequence) in sequence.as_primitive::<UInt32Type>().values().iter().enumerate() {
            let ledger = ledgers.entry(*sequence).or_default();
            ledger.rows += 1;
            ledger.closed_at = closed_at.map_or(0, |column| column.value(row));
            let one = LedgerWindow::single(*sequence);
            range = Some(range.map_or(one, |seen| seen.span(one)));
        }
    }
    Ok(range)
}
