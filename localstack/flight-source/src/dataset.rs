//! Datasets: the rows of ledgers, counted and streamed by window.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use pipeline::LedgerWindow;
use pipeline::contract::tables::Table;

use crate::error::Result;

/// The rows of a window in batches, made on demand. `next` may block the thread. After an error, nothing follows.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// How a ledger closed, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Close {
    /// When.
    pub at: Option<DateTime<Utc>>,
    /// The hash of its header.
    pub hash: Option<[u8; 32]>,
}

/// What a range of ledgers contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// The exact number of rows; `None` if not counted.
    pub rows: Option<u64>,
    /// How the last of the ledgers closed.
    pub close: Close,
}

/// A source of contract data. The same window always has the same rows.
#[tonic::async_trait]
pub trait Dataset: Send + Sync + 'static {
    /// Identifies the dataset in a few words. Tickets contain it: those of another dataset are refused.
    fn name(&self) -> &str;

    /// The tables that it has, in the order of [`Table::ALL`]; the other methods are asked for these alone.
    fn tables(&self) -> &[Table];

    /// The columns of a table's batches.
    fn schema(&self, table: Table) -> SchemaRef;

    /// The ledgers that it has now, the same for all tables.
    async fn extent(&self) -> Result<LedgerWindow>;

    /// What the extent contains, as far as is known without reading all of it.
    async fn summary(&self, table: Table, extent: LedgerWindow) -> Result<Count> {
        self.count(table, extent).await
    }

    /// Counts the rows of a table in a window inside the extent.
    async fn count(&self, table: Table, window: LedgerWindow) -> Result<Count>;

    /// How a ledger closed, inside the extent or not; or the last ledger before it that the dataset knows of.
    async fn close(&self, ledger: u32) -> Result<Close>;

    /// The rows of a table in a window inside the extent, by ascending ledger if the data is, in batches of at most
    /// `batch_rows` rows.
    fn batches(self: Arc<Self>, table: Table, window: LedgerWindow, batch_rows: usize) -> Batches;
}

/// Maximum bytes of a batch on the wire, unless a single row is larger: half of what gRPC clients accept by default.
pub(crate) const MESSAGE_BYTES: usize = 2 << 20;

/// The batches that `make` makes of `rows` (at least 1) items at a time.
pub(crate) fn in_batches<T: 'static>(
    mut items: impl Iterator<Item = T> + Send + 'static,
    rows: usize,
    make: impl Fn(Vec<T>) -> Result<RecordBatch> + Send + 'static,
) -> Batches {
    Box::new(std::iter::from_fn(move || {
        let next: Vec<T> = items.by_ref().take(rows.max(1)).collect();
        (!next.is_empty()).then(|| make(next))
    }))
}

/// Appends `batch` to `out`, halved until no part exceeds [`MESSAGE_BYTES`].
pub(crate) fn split(batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
    let size = |column: &Arc<dyn Array>| column.to_data().get_slice_memory_size();
    let bytes = batch.columns().iter().map(size).sum::<Result<usize, ArrowError>>()?;
    if bytes <= MESSAGE_BYTES || batch.num_rows() < 2 {
        out.push(batch);
        return Ok(());
    }
    let half = batch.num_rows() / 2;
    split(batch.slice(0, half), out)?;
    split(batch.slice(half, batch.num_rows() - half), out)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};

    use super::*;

    #[test]
    fn batches_are_split_to_the_size_of_a_message() {
        let values: Vec<String> = (0..200).map(|i| "x".repeat(i * 500)).collect();
        let column: ArrayRef = Arc::new(StringArray::from(values));
        let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
        let mut parts = Vec::new();
        split(batch.clone(), &mut parts).unwrap();
        assert!(parts.len() > 4);
        for part in &parts {
            assert!(part.column(0).to_data().get_slice_memory_size().unwrap() <= MESSAGE_BYTES);
        }
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &parts).unwrap(), batch);
    }
}
