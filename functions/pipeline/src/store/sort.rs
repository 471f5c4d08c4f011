//! Sorts a window whose ledgers arrive out of order: rows wait on local disk, memory holds only their positions.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;

use crate::contract::tables::{STAGED_SCHEMA, position};
use crate::error::{Result, StagingContext};

/// Rows per chunk on disk, the unit of reading back.
const CHUNK_ROWS: usize = 4_096;
/// Chunks cached when read back.
const CHUNKS_KEPT: usize = 4;
/// The file's name in messages.
const NAME: &str = "the temporary file of rows to sort";

/// Consecutive rows of one ledger in one chunk.
#[derive(Debug, Clone, Copy)]
struct Run {
    ledger: u32,
    chunk: usize,
    offset: usize,
    rows: usize,
}

/// Accepts rows in any order of ledgers; within a ledger, in their order.
pub(super) struct Sorter {
    file: FileWriter<File>,
    chunks: usize,
    runs: Vec<Run>,
}

impl Sorter {
    /// An empty sorter, on a file that disappears with the process.
    pub(super) fn create() -> Result<Self> {
        let file = tempfile::tempfile().staging("create", NAME)?;
        let file = FileWriter::try_new(file, &STAGED_SCHEMA).staging("write", NAME)?;
        Ok(Sorter { file, chunks: 0, runs: Vec::new() })
    }

    /// Stores rows.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(CHUNK_ROWS) {
            let chunk = batch.slice(start, CHUNK_ROWS.min(batch.num_rows() - start));
            let ledgers = chunk.column(position::LEDGER_SEQUENCE).as_primitive::<UInt32Type>();
            let mut offset = 0;
            for run in ledgers.values().chunk_by(|a, b| a == b) {
                self.runs.push(Run { ledger: run[0], chunk: self.chunks, offset, rows: run.len() });
                offset += run.len();
            }
            self.file.write(&chunk).staging("write", NAME)?;
            self.chunks += 1;
        }
        Ok(())
    }

    /// All stored rows, by ledger; rows of one ledger in arrival order.
    pub(super) fn finish(mut self) -> Result<Sorted> {
        self.file.finish().staging("write", NAME)?;
        let file = self.file.into_inner().staging("write", NAME)?;
        // stable: runs of one ledger keep their order
        self.runs.sort_by_key(|run| run.ledger);
        let reader = FileReader::try_new(file, None).staging("read", NAME)?;
        Ok(Sorted { reader, runs: self.runs.into(), kept: VecDeque::new() })
    }
}

/// The rows in order.
pub(super) struct Sorted {
    reader: FileReader<File>,
    runs: VecDeque<Run>,
    kept: VecDeque<(usize, RecordBatch)>,
}

impl Sorted {
    /// The next rows, about a chunk of them; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut pieces = Vec::new();
        let mut rows = 0;
        while rows < CHUNK_ROWS
            && let Some(run) = self.runs.pop_front()
        {
            pieces.push(self.chunk(run.chunk)?.slice(run.offset, run.rows));
            rows += run.rows;
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        arrow::compute::concat_batches(&Arc::clone(&STAGED_SCHEMA), &pieces).staging("read", NAME).map(Some)
    }

    /// A chunk from disk, or one of the last few.
    fn chunk(&mut self, number: usize) -> Result<RecordBatch> {
        if let Some((_, batch)) = self.kept.iter().find(|(n, _)| *n == number) {
            return Ok(batch.clone());
        }
        self.reader.set_index(number).staging("read", NAME)?;
        let batch = self
            .reader
            .next()
            .unwrap_or_else(|| Err(arrow::error::ArrowError::IpcError("a chunk is missing".to_owned())))
            .staging("read", NAME)?;
        if self.kept.len() == CHUNKS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((number, batch.clone()));
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Int32Array};
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;
    use testkit::Row;

    use super::*;

    /// A staged batch of one row per ledger given, numbered on from `first` to tell the rows apart.
    fn staged(ledgers: &[u32], first: usize) -> RecordBatch {
        let row = testkit::rows::batch(&[Row::at(1)]);
        let indices = arrow::array::UInt32Array::from(vec![0; ledgers.len()]);
        let mut columns: Vec<_> =
            row.columns().iter().map(|c| arrow::compute::take(c, &indices, None).unwrap()).collect();
        columns[position::LEDGER_SEQUENCE] = Arc::new(arrow::array::UInt32Array::from(ledgers.to_vec()));
        columns.push(Arc::new((first as i32..).take(ledgers.len()).collect::<Int32Array>()));
        RecordBatch::try_new(Arc::clone(&STAGED_SCHEMA), columns).unwrap()
    }

    /// Sorts these ledgers, stored `per_batch` at a time: every row comes out, by ledger and then in arrival order.
    fn check_sorted(ledgers: &[u32], per_batch: usize) {
        let mut sorter = Sorter::create().unwrap();
        for (n, batch) in ledgers.chunks(per_batch).enumerate() {
            sorter.add(&staged(batch, n * per_batch)).unwrap();
        }
        let mut expected: Vec<(u32, i32)> = ledgers.iter().copied().zip(0..).collect();
        expected.sort_unstable();
        let mut sorted = sorter.finish().unwrap();
        let mut found = Vec::new();
        while let Some(batch) = sorted.next().unwrap() {
            assert!((1..2 * CHUNK_ROWS).contains(&batch.num_rows()), "{} rows at once", batch.num_rows());
            assert_eq!(batch.schema(), *STAGED_SCHEMA);
            assert_eq!(batch.column(position::CONTRACT_ID).null_count(), 0);
            let ledgers = batch.column(position::LEDGER_SEQUENCE).as_primitive::<UInt32Type>();
            let places = batch.column(position::CHANGE_INDEX).as_primitive::<Int32Type>();
            found.extend(ledgers.values().iter().copied().zip(places.values().iter().copied()));
        }
        assert!(found == expected, "{} rows in, {} out, or in another order", expected.len(), found.len());
        assert!(sorted.next().unwrap().is_none(), "the end stays the end");
    }

    #[test]
    fn nothing_put_aside_is_nothing() {
        check_sorted(&[], 1);
    }

    #[test]
    fn ledgers_backwards_over_many_chunks_come_out_forwards() {
        let ledgers: Vec<u32> = (0..9 * CHUNK_ROWS as u32).rev().map(|n| n / 700).collect();
        check_sorted(&ledgers, 10_000);
    }

    #[test]
    fn ledgers_spread_over_more_chunks_than_are_kept_come_out_whole() {
        let ledgers: Vec<u32> = (0..7 * CHUNK_ROWS as u32).map(|n| u32::MAX - n % 5).collect();
        check_sorted(&ledgers, CHUNK_ROWS + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_order_comes_out_by_ledger_and_then_as_it_came(
            runs in prop::collection::vec((0..40u32, 1..900usize), 1..50),
            per_batch in 1_000..9_000usize,
        ) {
            let ledgers: Vec<u32> = runs.iter().flat_map(|(ledger, rows)| vec![*ledger; *rows]).collect();
            check_sorted(&ledgers, per_batch);
        }
    }
}
