//! Sorts a window whose ledgers arrive out of order: sorted runs wait on local disk and are merged, so that memory holds a
//! buffer and the beginning of a few runs, whatever the order of the rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::{Int32Type, UInt32Type};

use crate::config::BATCH_BYTES;
use crate::contract::tables::Table;
use crate::contract::weight::weights;
use crate::error::{Result, StagingContext};
use crate::spill::{Spill, Spilled};

/// A run is written once this many bytes of rows wait in memory.
const RUN_BYTES: usize = BATCH_BYTES;
/// Rows are written to a run, and returned, in batches of this many bytes, or of one row.
const PIECE_BYTES: usize = 1 << 20;
/// This many runs are merged into one: a merge holds a piece of each in memory.
const FAN_IN: usize = 8;
/// The bytes of a batch beside its rows: many small batches are not free.
const OVERHEAD_BYTES: usize = 4 << 10;
/// The rows in messages.
const NAME: &str = "the rows to sort";

/// Accepts rows in any order of ledgers; within a ledger, in their order.
pub(super) struct Sorter {
    table: Table,
    /// The bytes of a run.
    run_bytes: usize,
    /// Rows in memory, each batch in order.
    waiting: Vec<RecordBatch>,
    /// Their bytes.
    bytes: usize,
    /// Runs on disk; those of a level are merged from [`FAN_IN`] of the level below.
    levels: Vec<Vec<Spilled>>,
}

impl Sorter {
    /// An empty sorter of rows of a table.
    pub(super) fn new(table: Table) -> Self {
        Sorter::with_runs_of(table, RUN_BYTES)
    }

    fn with_runs_of(table: Table, run_bytes: usize) -> Self {
        Sorter { table, run_bytes, waiting: Vec::new(), bytes: 0, levels: Vec::new() }
    }

    /// Stores rows, a copy of them.
    ///
    /// # Errors
    /// [`Error::Staging`](crate::Error::Staging), like all functions of this module, when local disk fails.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let bytes = weights(batch.columns()).iter().sum::<usize>() + OVERHEAD_BYTES;
        if self.bytes > 0 && self.bytes + bytes > self.run_bytes {
            self.write_run()?;
        }
        self.waiting.push(sorted(self.table, batch)?);
        self.bytes += bytes;
        Ok(())
    }

    /// All stored rows, by ledger and change index.
    pub(super) fn finish(mut self) -> Result<Sorted> {
        let mut runs: Vec<Spilled> = self.levels.drain(..).flatten().collect();
        while runs.len() > FAN_IN {
            let rest = runs.split_off(FAN_IN); // the first are the shortest
            let merged = merged(self.table, runs.into_iter().map(Run::Disk).collect())?;
            runs = rest;
            runs.push(merged);
        }
        let waiting = self.waiting.into_iter().map(Run::waiting);
        Sorted::merge(self.table, runs.into_iter().map(Run::Disk).chain(waiting).collect())
    }

    /// Moves the rows in memory to disk, and merges the runs there while there are enough of a level.
    fn write_run(&mut self) -> Result<()> {
        self.bytes = 0;
        let mut run = merged(self.table, self.waiting.drain(..).map(Run::waiting).collect())?;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(run);
            if self.levels[level].len() < FAN_IN {
                break;
            }
            run = merged(self.table, self.levels[level].drain(..).map(Run::Disk).collect())?;
        }
        Ok(())
    }
}

/// A copy of the rows by ledger, and in their order within it. A slice would keep the whole message in memory.
fn sorted(table: Table, batch: &RecordBatch) -> Result<RecordBatch> {
    let ledgers = batch.column(table.ledger()).as_primitive::<UInt32Type>().values();
    let mut order: Vec<u32> = (0..).take(ledgers.len()).collect();
    order.sort_by_key(|row| ledgers[*row as usize]); // stable
    take_record_batch(batch, &UInt32Array::from(order)).staging("sort", NAME)
}

/// One run of all these, on disk.
fn merged(table: Table, runs: Vec<Run>) -> Result<Spilled> {
    let (mut run, mut rows) = (Spill::create(table)?, Sorted::merge(table, runs)?);
    while let Some(piece) = rows.next()? {
        run.write(&piece)?;
    }
    run.finish()
}

/// Rows in order.
enum Run {
    /// One batch of them, until it is taken.
    Waiting(Option<RecordBatch>),
    /// A file of them.
    Disk(Spilled),
}

impl Run {
    fn waiting(batch: RecordBatch) -> Self {
        Run::Waiting(Some(batch))
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Run::Waiting(batch) => Ok(batch.take()),
            Run::Disk(file) => file.next(),
        }
    }
}

/// A batch of a run, of which the rows before `row` are merged.
struct Front {
    table: Table,
    batch: RecordBatch,
    weights: Vec<usize>,
    row: usize,
}

impl Front {
    fn of(table: Table, batch: RecordBatch) -> Self {
        Front { table, weights: weights(batch.columns()), batch, row: 0 }
    }

    /// The place of the next row, ledger and change index; `None` after the last.
    fn place(&self) -> Option<(u32, i32)> {
        let ledgers = self.batch.column(self.table.ledger()).as_primitive::<UInt32Type>();
        let indices = self.batch.column(self.table.change_index()).as_primitive::<Int32Type>();
        Some((*ledgers.values().get(self.row)?, *indices.values().get(self.row)?))
    }
}

/// Runs being merged.
pub(super) struct Sorted {
    table: Table,
    runs: Vec<Run>,
    /// The batch that each run has come to; `None` at the run's end.
    fronts: Vec<Option<Front>>,
    /// The next row of each run, and the run.
    next: BinaryHeap<Reverse<((u32, i32), usize)>>,
}

impl Sorted {
    fn merge(table: Table, runs: Vec<Run>) -> Result<Self> {
        let fronts = runs.iter().map(|_| None).collect();
        let mut sorted = Sorted { table, runs, fronts, next: BinaryHeap::new() };
        for run in 0..sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }

    /// Takes the next batch of a run that has come to the end of one; returns that one.
    fn advance(&mut self, run: usize) -> Result<Option<RecordBatch>> {
        let mut batch = self.runs[run].next()?;
        while batch.as_ref().is_some_and(|batch| batch.num_rows() == 0) {
            batch = self.runs[run].next()?;
        }
        let front = batch.map(|batch| Front::of(self.table, batch));
        if let Some(place) = front.as_ref().and_then(Front::place) {
            self.next.push(Reverse((place, run)));
        }
        Ok(std::mem::replace(&mut self.fronts[run], front).map(|front| front.batch))
    }

    /// The next rows, about 1 MiB of them; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut picked = Picked::default();
        while picked.bytes < PIECE_BYTES
            && let Some(Reverse((_, run))) = self.next.pop()
        {
            let Some(front) = &mut self.fronts[run] else { continue };
            picked.add(run, front);
            match front.place() {
                Some(place) => self.next.push(Reverse((place, run))),
                None => {
                    if let Some(ended) = self.advance(run)? {
                        picked.ended(run, ended);
                    }
                }
            }
        }
        picked.copy(&self.fronts)
    }
}

/// The rows of the next piece.
#[derive(Default)]
struct Picked {
    bytes: usize,
    /// The batch of each row, and its place there. Batches that have ended come first, then the fronts of the runs.
    rows: Vec<(Batch, usize)>,
    ended: Vec<RecordBatch>,
}

/// Where a row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// In the front of this run.
    Front(usize),
    /// In this one of the batches that have ended.
    Ended(usize),
}

impl Picked {
    /// Adds the next row of a front.
    fn add(&mut self, run: usize, front: &mut Front) {
        self.bytes += front.weights[front.row];
        self.rows.push((Batch::Front(run), front.row));
        front.row += 1;
    }

    /// Keeps a front that has ended, until its rows are copied.
    fn ended(&mut self, run: usize, batch: RecordBatch) {
        for (of, _) in &mut self.rows {
            if *of == Batch::Front(run) {
                *of = Batch::Ended(self.ended.len());
            }
        }
        self.ended.push(batch);
    }

    /// A copy of the rows; `None` if there are none.
    fn copy(&self, fronts: &[Option<Front>]) -> Result<Option<RecordBatch>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let mut places = vec![0; fronts.len()];
        let mut batches: Vec<&RecordBatch> = self.ended.iter().collect();
        for (place, front) in places.iter_mut().zip(fronts) {
            *place = batches.len();
            batches.extend(front.as_ref().map(|front| &front.batch));
        }
        let rows: Vec<(usize, usize)> = self
            .rows
            .iter()
            .map(|(batch, row)| match batch {
                Batch::Front(run) => (places[*run], *row),
                Batch::Ended(place) => (*place, *row),
            })
            .collect();
        interleave_record_batch(&batches, &rows).staging("sort", NAME).map(Some)
    }
}

#[cfg(test)]
mod tests;
