//! Reads staged and archived objects back: first the footer, then the rows, which are not trusted before their digest
//! is checked.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::footer::{FOOTER_KEY, FORMAT_VERSION, Footer, Side};
use super::names::table_path;
use super::store::Store;
use crate::contract::tables::{Table, with_columns};
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result, as_parquet};

/// Rows per batch read back: 2.5 MB with tuples of 600 bytes.
const READ_ROWS: usize = 4_096;

/// A sealed object.
#[derive(Debug, Clone)]
pub(crate) struct StagedObject {
    /// Where it is, relative to the staging URL.
    pub(crate) path: Path,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its footer.
    pub(crate) footer: Footer,
}

impl StagedObject {
    /// The ledgers in it.
    pub(crate) fn window(&self) -> Result<LedgerWindow> {
        LedgerWindow::new(self.footer.start_ledger, self.footer.end_ledger)
    }

    /// What the object of `data` says of this one.
    pub(crate) fn as_side(&self) -> Side {
        Side {
            table: self.footer.table,
            bytes: self.bytes,
            rows: self.footer.rows,
            rows_digest: self.footer.rows_digest.clone(),
        }
    }

    /// The objects of the window's other tables, with the footers that they must have.
    pub(crate) fn sides(&self) -> impl Iterator<Item = StagedObject> {
        self.footer.sides.iter().map(|side| StagedObject {
            path: table_path(&self.path, side.table),
            bytes: side.bytes,
            footer: self.footer.of_side(side),
        })
    }
}

/// An opened object: the footer has been read, the rows have not.
pub(crate) struct OpenObject {
    path: Path,
    footer: Footer,
    builder: ParquetRecordBatchStreamBuilder<ObjectReader>,
}

/// Opens an object of `bytes` bytes and reads its footer.
///
/// # Errors
/// [`Error::Corrupt`] when it is gone, of another size, or not an object of this loader; [`Error::Staging`] when the
/// store fails.
pub(crate) async fn open(store: &Store, path: &Path, bytes: u64) -> Result<OpenObject> {
    let corrupt = |problem: String| Error::corrupt(path.to_string(), problem);
    let found = store.size(path).await?.ok_or_else(|| corrupt("it is gone".to_owned()))?;
    if found != bytes {
        return Err(corrupt(format!("it has {found} bytes instead of {bytes}")));
    }
    let reader = ObjectReader { store: Arc::clone(store.inner()), path: path.clone(), bytes };
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|e| unreadable(path, e))?;
    let metadata = builder.metadata().file_metadata();
    let text = metadata
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == FOOTER_KEY))
        .and_then(|pair| pair.value.as_deref())
        .ok_or_else(|| corrupt(format!("its footer has no {FOOTER_KEY}")))?;
    let footer: Footer =
        serde_json::from_str(text).map_err(|e| corrupt(format!("its footer is unreadable: {e}")))?;
    if !(1..=FORMAT_VERSION).contains(&footer.format_version) {
        return Err(corrupt(format!(
            "it has format {}, but this loader reads formats 1 to {FORMAT_VERSION}",
            footer.format_version
        )));
    }
    let has = |field: &Field| footer.format_version > 1 || !is_newer(footer.table, field.name());
    let staged = footer.table.staged_schema();
    if !builder.schema().fields().iter().eq(staged.fields().iter().filter(|field| has(field))) {
        return Err(corrupt("its columns are not the staged columns".to_owned()));
    }
    Ok(OpenObject { path: path.clone(), footer, builder })
}

/// Whether an object of `bytes` bytes is a complete Parquet file, of any writer.
///
/// # Errors
/// [`Error::Staging`] when the store fails.
pub(crate) async fn is_parquet(store: &Store, path: &Path, bytes: u64) -> Result<bool> {
    let reader = ObjectReader { store: Arc::clone(store.inner()), path: path.clone(), bytes };
    match ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|e| unreadable(path, e)) {
        Ok(_) => Ok(true),
        Err(Error::Corrupt { .. }) => Ok(false),
        Err(_) if store.size(path).await?.is_none() => Ok(false),
        Err(error) => Err(error),
    }
}

impl OpenObject {
    /// The rows, in order, if the footer is still the one that is known.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not.
    pub(crate) fn rows_of(
        self,
        known: &StagedObject,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + Unpin> {
        if self.footer == known.footer {
            return self.rows();
        }
        Err(Error::corrupt(self.path.to_string(), "its footer has changed"))
    }

    /// The object's footer.
    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The rows, in order.
    pub(crate) fn rows(self) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + Unpin> {
        let path = self.path;
        let table = self.footer.table;
        let stream = self.builder.with_batch_size(READ_ROWS).build().map_err(|e| unreadable(&path, e))?;
        let stream = stream.map_err(move |e| unreadable(&path, e));
        Ok(stream.and_then(move |batch| std::future::ready(widened(table, batch))))
    }
}

/// Whether objects of the format before do not have this column.
fn is_newer(table: Table, column: &str) -> bool {
    table.columns().iter().any(|known| known.optional && known.name == column)
}

/// A batch with all staged columns: null where its object does not have them.
fn widened(table: Table, batch: RecordBatch) -> Result<RecordBatch> {
    let schema = table.staged_schema();
    if batch.num_columns() == schema.fields().len() {
        return Ok(batch);
    }
    with_columns(schema, &batch).map_err(|e| Error::Unexpected(e.to_string()))
}

/// Reads byte ranges of an object for Parquet.
struct ObjectReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

impl ObjectReader {
    /// A footer that points beyond the end means a corrupt object, not a failing store.
    fn check(&self, range: &Range<u64>) -> parquet::errors::Result<()> {
        if range.end > self.bytes {
            return Err(ParquetError::EOF(format!("byte {} of {}", range.end, self.bytes)));
        }
        Ok(())
    }
}

impl AsyncFileReader for ObjectReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            self.check(&range)?;
            self.store.get_range(&self.path, range).await.map_err(as_parquet)
        }
        .boxed()
    }

    /// The columns of a row group lie side by side: the store reads them with one request.
    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            ranges.iter().try_for_each(|range| self.check(range))?;
            self.store.get_ranges(&self.path, &ranges).await.map_err(as_parquet)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            reader.load_and_finish(self, bytes).await.map(Arc::new)
        }
        .boxed()
    }
}

/// Distinguishes a failing store from corrupt bytes.
fn unreadable(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => Error::Staging { action: "read", object: path.to_string(), source },
        other => Error::corrupt(path.to_string(), format!("it cannot be decoded: {other}")),
    }
}
