//! Datasets: the rows of ledgers, counted and streamed by window.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use crate::error::Result;

/// A range of ledgers, both ends inclusive; empty when it ends before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first ledger.
    pub start: u32,
    /// The last ledger.
    pub end: u32,
}

impl Window {
    /// How many ledgers it contains.
    pub fn ledgers(self) -> u64 {
        if self.is_empty() { 0 } else { u64::from(self.end - self.start) + 1 }
    }

    /// Whether it contains no ledger.
    pub fn is_empty(self) -> bool {
        self.end < self.start
    }

    /// Whether it contains all of `other`.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Divides the window into at most `parts` consecutive slices of about equal length; none if it is empty.
    pub fn slices(self, parts: u32) -> impl Iterator<Item = Self> {
        let (ledgers, start) = (self.ledgers(), u64::from(self.start));
        let parts = u64::from(parts.max(1)).min(ledgers);
        (0..parts).map(move |i| {
            let at = |i: u64| start + ledgers * i / parts;
            Self { start: at(i) as u32, end: (at(i + 1) - 1) as u32 }
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

/// The rows of a window in batches, made on demand. `next` may block the thread. After an error, nothing follows.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// What a range of ledgers contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// The exact number of rows; `None` if not counted.
    pub rows: Option<u64>,
    /// When the last of the ledgers closed, or the last known ledger before it.
    pub closed_at: Option<DateTime<Utc>>,
}

/// A source of contract data. The same window always has the same rows.
#[tonic::async_trait]
pub trait Dataset: Send + Sync + 'static {
    /// Identifies the dataset in a few words. Tickets contain it: those of another dataset are refused.
    fn name(&self) -> &str;

    /// The columns of its batches.
    fn schema(&self) -> SchemaRef;

    /// The ledgers that it has now.
    async fn extent(&self) -> Result<Window>;

    /// What the extent contains, as far as is known without reading all of it.
    async fn summary(&self, extent: Window) -> Result<Count> {
        self.count(extent).await
    }

    /// Counts the rows of a window inside the extent. For an empty window, the close time is that of the ledger before it,
    /// if known.
    async fn count(&self, window: Window) -> Result<Count>;

    /// The rows of a window inside the extent, by ascending ledger if the data is, in batches of at most `batch_rows` rows.
    fn batches(self: Arc<Self>, window: Window, batch_rows: usize) -> Batches;
}

/// Maximum bytes of a batch on the wire, unless a single row is larger: half of what gRPC clients accept by default.
pub(crate) const MESSAGE_BYTES: usize = 2 << 20;

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
    fn slices_cover_the_window_without_overlap() {
        for (start, end, parts) in [(1, 10, 3), (5, 5, 4), (0, u32::MAX, 7), (100, 103, 4), (9, 30, 1)] {
            let window = Window { start, end };
            let slices: Vec<_> = window.slices(parts).collect();
            assert!(slices.len() <= parts as usize && !slices.is_empty());
            assert_eq!(slices.iter().map(|s| s.ledgers()).sum::<u64>(), window.ledgers());
            assert_eq!((slices[0].start, slices[slices.len() - 1].end), (start, end));
            assert!(slices.windows(2).all(|pair| pair[0].end + 1 == pair[1].start));
        }
        assert_eq!(Window { start: 5, end: 4 }.slices(3).count(), 0);
    }

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
