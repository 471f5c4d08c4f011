//! Sorting any order of ledgers, in memory and through several levels of runs.

use std::sync::Arc;

use arrow::array::{Array, Int32Array, StringArray};
use proptest::prelude::*;
use testkit::Row;

use crate::contract::tables::{Table, position};

use super::*;

/// A staged batch of one row per ledger given, numbered on from `first` to tell the rows apart.
fn staged(ledgers: &[u32], first: usize) -> RecordBatch {
    let row = testkit::rows::batch(&[Row::at(1)]);
    let indices = arrow::array::UInt32Array::from(vec![0; ledgers.len()]);
    let mut columns: Vec<_> =
        row.columns().iter().map(|c| arrow::compute::take(c, &indices, None).unwrap()).collect();
    columns[position::LEDGER_SEQUENCE] = Arc::new(arrow::array::UInt32Array::from(ledgers.to_vec()));
    columns.push(Arc::new((first as i32..).take(ledgers.len()).collect::<Int32Array>()));
    RecordBatch::try_new(Table::Data.staged_schema(), columns).unwrap()
}

/// Sorts these ledgers, stored `per_batch` at a time: every row comes out, by ledger and then in arrival order.
fn check_sorted(ledgers: &[u32], per_batch: usize) {
    check_sorter(Sorter::new(Table::Data), ledgers, per_batch);
    check_sorter(Sorter::with_runs_of(Table::Data, 50_000), ledgers, per_batch);
}

fn check_sorter(mut sorter: Sorter, ledgers: &[u32], per_batch: usize) {
    for (n, batch) in ledgers.chunks(per_batch).enumerate() {
        sorter.add(&staged(batch, n * per_batch)).unwrap();
        assert!(sorter.waiting.len() == 1 || sorter.bytes <= sorter.run_bytes, "{} bytes", sorter.bytes);
        assert!(sorter.levels.iter().all(|level| level.len() < FAN_IN));
    }
    let mut expected: Vec<(u32, i32)> = ledgers.iter().copied().zip(0..).collect();
    expected.sort_unstable();
    let mut sorted = sorter.finish().unwrap();
    let mut found = Vec::new();
    while let Some(batch) = sorted.next().unwrap() {
        let bytes: usize = weights(batch.columns()).iter().sum();
        assert!(batch.num_rows() > 0 && bytes < 2 * PIECE_BYTES, "{} rows, {bytes} bytes", batch.num_rows());
        assert_eq!(batch.schema(), Table::Data.staged_schema());
        assert_eq!(batch.column(position::CONTRACT_ID).null_count(), 0);
        let ledgers = batch.column(position::LEDGER_SEQUENCE).as_primitive::<UInt32Type>();
        let places = batch.column(Table::Data.change_index()).as_primitive::<Int32Type>();
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
fn ledgers_backwards_over_many_batches_come_out_forwards() {
    let ledgers: Vec<u32> = (0..36_000).rev().map(|n| n / 700).collect();
    check_sorted(&ledgers, 10_000);
}

#[test]
fn ledgers_in_turn_over_more_runs_than_are_merged_at_once_come_out_whole() {
    let ledgers: Vec<u32> = (0..28_000).map(|n| u32::MAX - n % 4_096).collect();
    check_sorted(&ledgers, 250); // 112 runs of 50,000 bytes: two levels are full
}

#[test]
fn a_slice_of_a_large_batch_is_copied() {
    let batch = staged(&[3; 10_000], 0).slice(7, 2);
    let copy = sorted(Table::Data, &batch).unwrap();
    assert_eq!(copy, batch);
    assert!(copy.get_array_memory_size() < 20_000, "{} bytes", copy.get_array_memory_size());
}

#[test]
fn large_rows_come_out_alone() {
    let mut sorter = Sorter::new(Table::Data);
    for ledger in [9, 3, 7] {
        let mut columns = staged(&[ledger], 0).columns().to_vec();
        columns[position::VAL_XDR] = Arc::new(StringArray::from(vec!["x".repeat(3 << 20)]));
        let batch = RecordBatch::try_new(Table::Data.staged_schema(), columns).unwrap();
        sorter.add(&batch).unwrap();
    }
    let mut sorted = sorter.finish().unwrap();
    for ledger in [3, 7, 9] {
        let batch = sorted.next().unwrap().unwrap();
        let ledgers = batch.column(position::LEDGER_SEQUENCE).as_primitive::<UInt32Type>();
        assert_eq!(ledgers.values()[..], [ledger]);
    }
    assert!(sorted.next().unwrap().is_none());
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
