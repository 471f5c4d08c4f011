//! Stage: writes a drain into one sealed, self-describing Parquet object.
//!
//! An object is complete or absent: it becomes visible when its upload is completed, and the upload is completed only
//! after the drain is proven complete. Its presence is the seal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};
use chrono::DateTime;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::entries::EntryOrder;
use super::footer::{FOOTER_KEY, FORMAT_VERSION, Footer, Side, SnapshotFacts};
use super::names::{staged_snapshot_path, staging_path, table_path};
use super::object::{self, StagedObject};
use super::sort::Sorter;
use super::store::Store;
use crate::config::BATCH_BYTES;
use crate::contract::evidence::Evidence;
use crate::contract::network::Network;
use crate::contract::tables::{Table, position};
use crate::contract::tuples::{RowsDigest, Tuples, encode};
use crate::contract::values::Checker;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result, StagingContext, as_parquet};
use crate::metrics;
use crate::source::{Drain, Drained};

/// Bytes per part of an upload; S3 accepts no smaller part than 5 MiB.
const PART_BYTES: usize = 5 << 20;

/// The target of a staged object: its table, its batch, its database, and the size of its row groups.
#[derive(Debug, Clone)]
pub(crate) struct StageTarget {
    /// The table of its rows.
    pub(crate) table: Table,
    /// Unique to an attempt at a window: the objects of its tables share it.
    pub(crate) batch_id: Uuid,
    /// For `data`, the objects of the other tables, which are sealed already.
    pub(crate) sides: Vec<Side>,
    /// The network of its rows.
    pub(crate) network: Network,
    /// `settings.database_id`.
    pub(crate) database_id: Uuid,
    /// Rows per row group, at most; a row group also ends at [`BATCH_BYTES`].
    pub(crate) batch_rows: usize,
    /// Whether the object replaces a completed window.
    pub(crate) replaces: bool,
    /// Set for the state at a checkpoint.
    pub(crate) snapshot: Option<SnapshotFacts>,
}

impl StageTarget {
    /// The same attempt's target for another table.
    pub(crate) fn of(&self, table: Table) -> StageTarget {
        StageTarget { table, sides: Vec::new(), ..self.clone() }
    }

    /// The name of the object for a window.
    pub(crate) fn path(&self, window: LedgerWindow) -> Path {
        let network = &self.network.name;
        let data = match self.snapshot {
            None => staging_path(network, window, self.batch_id),
            Some(_) => staged_snapshot_path(network, window.start(), self.batch_id),
        };
        table_path(&data, self.table)
    }
}

/// The outcomes of staging a drain, other than an error.
pub(crate) enum Staged {
    /// Sealed, ready to be loaded.
    Sealed(Box<StagedObject>),
    /// Sealed and kept, but one of its values cannot be loaded.
    Bad(Box<StagedObject>, Error),
    /// No ledger is proven.
    Nothing,
    /// Ledgers came out of order and nothing was sealed: drain once more, sorting.
    NeedsSorting,
}

/// Writes the drain's rows as they arrive, and seals the object.
///
/// # Errors
/// Those of the drain, and [`Error::Staging`]. The store is then left without the object.
pub(crate) async fn stage(
    store: &Store,
    target: &StageTarget,
    window: LedgerWindow,
    mut drain: Drain<'_>,
) -> Result<Staged> {
    let begun = Instant::now();
    let mut writing = Duration::ZERO;
    let mut writer = ObjectWriter::create(store, target, window)?;
    loop {
        match drain.next().await {
            Ok(Drained::Batch(batch)) => {
                received(target.table, &batch);
                let write = Instant::now();
                if let Err(error) = writer.write(&batch).await {
                    return Err(writer.abandon(error).await);
                }
                writing += write.elapsed();
            }
            Ok(Drained::OutOfOrder(_)) => {
                writer.discard().await;
                return Ok(Staged::NeedsSorting);
            }
            Ok(Drained::Complete(evidence, Some(proven))) => {
                failpoint!("drained");
                let write = Instant::now();
                let staged = writer.seal(evidence, proven).await?;
                writing += write.elapsed();
                measured(target.table, begun.elapsed().saturating_sub(writing), writing);
                return Ok(staged);
            }
            Ok(Drained::Complete(_, None)) => {
                writer.discard().await;
                return Ok(Staged::Nothing);
            }
            Err(error) => return Err(writer.abandon(error).await),
        }
    }
}

/// Counts rows of `data`: the metrics of a window are those of its rows.
fn received(table: Table, batch: &RecordBatch) {
    if table == Table::Data {
        metrics::received(batch.num_rows() as u64);
    }
}

/// Records the times of `data`, for the same reason.
fn measured(table: Table, draining: Duration, staging: Duration) {
    if table == Table::Data {
        metrics::staged(draining, staging);
    }
}

/// Like [`stage`], for a source that sends ledgers out of order: everything goes to local disk first.
///
/// # Errors
/// As [`stage`], and [`Error::Staging`] when local disk fails.
pub(crate) async fn stage_sorted(
    store: &Store,
    target: &StageTarget,
    window: LedgerWindow,
    mut drain: Drain<'_>,
) -> Result<Staged> {
    let begun = Instant::now();
    let mut sorter = Sorter::new(target.table);
    let (evidence, proven) = loop {
        match drain.next().await? {
            Drained::Batch(batch) | Drained::OutOfOrder(batch) => {
                received(target.table, &batch);
                sorter.add(&batch)?;
            }
            Drained::Complete(evidence, Some(proven)) => break (evidence, proven),
            Drained::Complete(_, None) => return Ok(Staged::Nothing),
        }
    };
    let draining = begun.elapsed();
    let mut sorted = sorter.finish()?;
    let mut writer = ObjectWriter::create(store, target, window)?;
    loop {
        let written = match sorted.next() {
            Ok(Some(batch)) => writer.write(&batch).await,
            Ok(None) => break,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return Err(writer.abandon(error).await);
        }
    }
    let staged = writer.seal(evidence, proven).await?;
    measured(target.table, draining, begun.elapsed().saturating_sub(draining));
    Ok(staged)
}

/// Writes the rows of some ledgers of an object as an object of their own, with the same evidence. The target has its table.
///
/// # Errors
/// [`Error::Corrupt`] when the object's rows contradict its footer; [`Error::Staging`]. The store is then left without the
/// new object.
pub(crate) async fn stage_part(
    store: &Store,
    target: &StageTarget,
    object: &StagedObject,
    window: LedgerWindow,
) -> Result<StagedObject> {
    let mut rows = object::open(store, &object.path, object.bytes).await?.rows()?;
    let mut writer = ObjectWriter::create(store, target, window)?;
    let mut digest = RowsDigest::new(target.table);
    loop {
        let written = match rows.try_next().await {
            Ok(Some(batch)) => writer.write_part(&batch, window, &mut digest).await,
            Ok(None) => break,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return Err(writer.abandon(error).await);
        }
    }
    if digest.finish() != object.footer.rows_digest {
        let error = Error::corrupt(object.path.to_string(), "its rows contradict its footer");
        return Err(writer.abandon(error).await);
    }
    match writer.seal(object.footer.evidence, window).await? {
        Staged::Sealed(staged) => Ok(*staged),
        Staged::Bad(_, error) => Err(error),
        Staged::Nothing | Staged::NeedsSorting => {
            Err(Error::Unexpected(format!("nothing of {} was sealed", object.path)))
        }
    }
}

/// An object being written. It is sealed only after [`seal`](Self::seal) has returned.
struct ObjectWriter<'a> {
    store: &'a Store,
    target: &'a StageTarget,
    window: LedgerWindow,
    path: Path,
    parquet: AsyncArrowWriter<Upload>,
    /// Raw bytes in the open row group.
    group_bytes: usize,
    rows: u64,
    digest: RowsDigest,
    tuples: Tuples,
    checker: Checker,
    order: Option<EntryOrder>,
    last_closed_at: Option<i64>,
    /// The first value that cannot be loaded. From then on rows are written, but not digested.
    bad_data: Option<Error>,
}

impl<'a> ObjectWriter<'a> {
    /// Begins an object.
    fn create(store: &'a Store, target: &'a StageTarget, window: LedgerWindow) -> Result<Self> {
        let path = target.path(window);
        let writer = BufWriter::with_capacity(Arc::clone(store.inner()), path.clone(), PART_BYTES)
            .with_max_concurrency(2);
        let upload = Upload { writer, ended: false };
        let parquet = AsyncArrowWriter::try_new(upload, target.table.staged_schema(), Some(properties()?))
            .staging("begin", &path)?;
        Ok(ObjectWriter {
            store,
            target,
            window,
            path,
            parquet,
            group_bytes: 0,
            rows: 0,
            bad_data: None,
            digest: RowsDigest::new(target.table),
            tuples: Tuples::default(),
            checker: Checker::new(target.table, target.network.clone()),
            order: (target.snapshot.is_some() && target.table == Table::Data).then(EntryOrder::default),
            last_closed_at: None,
        })
    }

    /// Adds rows, in pieces small enough for the memory budget.
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Some(order) = &mut self.order {
            order.check(batch)?;
        }
        let rows = batch.num_rows();
        let bytes_per_row = (raw_bytes(batch) / rows.max(1)).max(1);
        let mut start = 0;
        while start < rows {
            let room = (BATCH_BYTES.saturating_sub(self.group_bytes) / bytes_per_row).max(1);
            let room =
                room.min(self.target.batch_rows.saturating_sub(self.parquet.in_progress_rows()).max(1));
            let piece = batch.slice(start, room.min(rows - start));
            start += piece.num_rows();
            self.rows += piece.num_rows() as u64;
            self.group_bytes += bytes_per_row * piece.num_rows();
            if self.bad_data.is_none() {
                // An encoded value is one that PostgreSQL can store; a checked one means what its column says.
                match encode(self.target.table, &piece, self.target.batch_id, &mut self.tuples)
                    .and_then(|()| self.checker.check(&piece))
                {
                    Ok(()) => self.digest.update(&self.tuples),
                    Err(error @ Error::BadData { .. }) => self.bad_data = Some(error),
                    Err(error) => return Err(error),
                }
            }
            self.parquet.write(&piece).await.staging("write", &self.path)?;
            if self.group_bytes >= BATCH_BYTES || self.parquet.in_progress_rows() >= self.target.batch_rows {
                self.parquet.flush().await.staging("write", &self.path)?;
                self.group_bytes = 0;
            }
        }
        if self.target.table == Table::Data {
            let closed = batch.column(position::CLOSED_AT).as_primitive::<TimestampMicrosecondType>();
            self.last_closed_at = arrow::compute::max(closed).max(self.last_closed_at);
        }
        Ok(())
    }

    /// Adds the rows of a batch that are in a window, and all of them to `digest`. Ledgers are in order.
    async fn write_part(
        &mut self,
        batch: &RecordBatch,
        window: LedgerWindow,
        digest: &mut RowsDigest,
    ) -> Result<()> {
        let mut tuples = Tuples::default();
        encode(self.target.table, batch, self.target.batch_id, &mut tuples)?;
        digest.update(&tuples);
        let ledgers = batch.column(self.target.table.ledger()).as_primitive::<UInt32Type>().values();
        let first = ledgers.partition_point(|ledger| *ledger < window.start());
        let end = ledgers.partition_point(|ledger| *ledger <= window.end());
        if first == end {
            return Ok(());
        }
        self.write(&batch.slice(first, end - first)).await
    }

    /// Writes the footer and completes the upload, which makes the object visible. `proven` may end before the
    /// requested window; the object is then renamed.
    async fn seal(mut self, evidence: Evidence, proven: LedgerWindow) -> Result<Staged> {
        let footer = Footer {
            format_version: FORMAT_VERSION,
            table: self.target.table,
            network: self.target.network.name.clone(),
            database_id: self.target.database_id,
            start_ledger: proven.start(),
            end_ledger: proven.end(),
            rows: self.rows,
            batch_id: self.target.batch_id,
            evidence,
            rows_digest: self.digest.finish(),
            last_closed_at: self.last_closed_at.and_then(DateTime::from_timestamp_micros),
            bad_data: self.bad_data.as_ref().map(ToString::to_string),
            replaces: self.target.replaces,
            snapshot: self.target.snapshot.clone(),
            sides: self.target.sides.clone(),
        };
        let text = serde_json::to_string(&footer).map_err(|e| Error::Unexpected(e.to_string()))?;
        self.parquet.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_owned(), text));
        let finished = self.parquet.finish().await;
        let bytes = self.parquet.bytes_written() as u64;
        if let Err(error) = finished.staging("complete", &self.path) {
            abort(self.parquet, &self.path).await;
            return Err(error);
        }
        let mut path = self.path;
        if proven != self.window {
            // Under its first name the object contradicts its footer, so nothing uses it.
            let named = self.target.path(proven);
            self.store.rename(&path, &named).await?;
            path = named;
        }
        failpoint!("staged");
        let object = Box::new(StagedObject { path, bytes, footer });
        Ok(match self.bad_data {
            None => Staged::Sealed(object),
            Some(error) => Staged::Bad(object, error),
        })
    }

    /// Discards the object and returns the error.
    async fn abandon(self, error: Error) -> Error {
        self.discard().await;
        error
    }

    /// Discards the object.
    async fn discard(self) {
        tracing::debug!(object = %self.store.url_of(self.path.as_ref()), "discarded the incomplete object");
        abort(self.parquet, &self.path).await;
    }
}

/// Aborts the upload. If that fails, the bucket's rule for incomplete uploads removes it; it is never visible.
async fn abort(parquet: AsyncArrowWriter<Upload>, path: &Path) {
    let mut upload = parquet.into_inner();
    if upload.ended {
        return; // a failed completion aborts by itself, and a second abort would panic
    }
    if let Err(error) = upload.writer.abort().await {
        tracing::warn!(object = %path, %error, "cannot abort the incomplete upload");
    }
}

/// Parquet's sink: a shared upload, so that it can be aborted.
struct Upload {
    writer: BufWriter,
    /// Whether completion has started.
    ended: bool,
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: bytes::Bytes) -> futures::future::BoxFuture<'_, parquet::errors::Result<()>> {
        Box::pin(async move { self.writer.put(bytes).await.map_err(as_parquet) })
    }

    fn complete(&mut self) -> futures::future::BoxFuture<'_, parquet::errors::Result<()>> {
        self.ended = true;
        Box::pin(async move { self.writer.shutdown().await.map_err(as_parquet) })
    }
}

/// Uncompressed bytes of the rows in Arrow.
fn raw_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|c| c.to_data().get_slice_memory_size().unwrap_or_else(|_| c.get_array_memory_size()))
        .sum()
}

/// zstd-1; no dictionary where values rarely repeat, no statistics where queries do not prune by them.
fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|e| Error::Unexpected(e.to_string()))?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_created_by(concat!("contract-data-loader ", env!("CARGO_PKG_VERSION")).to_owned());
    for name in ["key_xdr", "val_xdr", "ledger_key_hash"] {
        let column = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_statistics_enabled(column, EnabledStatistics::None);
    }
    Ok(builder.build())
}
