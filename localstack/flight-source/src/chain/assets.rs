//! The assets that the ledgers of a chain name, in trustlines and in the instances of asset contracts: the rows of `assets`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use pipeline::LedgerWindow;

use super::Chain;
use super::dice::{Dice, Use};
use crate::columns::assets::{ASSET_ROW_BYTES, AssetsColumns};
use crate::dataset::{Batches, MESSAGE_BYTES, in_batches};
use crate::error::Result;

/// One more than the most trustlines whose assets a ledger names.
const TRUSTLINES: u64 = 6;

impl Chain {
    /// The assets that a ledger names, by their places in the cast: the order of their contracts.
    fn named(&self, ledger: u32) -> BTreeSet<usize> {
        if self.calendar.is_empty(ledger) {
            return BTreeSet::new();
        }
        let mut dice = Dice::at(self.seed, Use::Assets, u64::from(ledger), 0);
        let trusted: Vec<usize> =
            (0..dice.below(TRUSTLINES)).map(|_| dice.rank(self.cast.trusted.len())).collect();
        let trusted = trusted.into_iter().map(|rank| self.cast.trusted[rank]);
        let instances = self.calendar.instances_in(ledger);
        trusted.chain(instances.map(|asset| self.cast.place_of(asset))).collect()
    }

    /// The number of rows of `assets` in a window.
    pub(crate) fn assets_count(&self, window: LedgerWindow) -> u64 {
        (window.start()..=window.end()).map(|ledger| self.named(ledger).len() as u64).sum()
    }

    /// The rows of `assets` in a window.
    pub(crate) fn assets(self: Arc<Self>, window: LedgerWindow, batch_rows: usize) -> Batches {
        let chain = self.clone();
        let named = (window.start()..=window.end())
            .flat_map(move |ledger| chain.named(ledger).into_iter().map(move |place| (ledger, place)));
        let rows = batch_rows.min(MESSAGE_BYTES / ASSET_ROW_BYTES);
        in_batches(named, rows, move |named| self.assets_batch(&named))
    }

    fn assets_batch(&self, named: &[(u32, usize)]) -> Result<RecordBatch> {
        let mut columns = AssetsColumns::with_capacity(named.len());
        for (ledger, place) in named {
            let (contract, asset) = &self.cast.assets[*place];
            columns.push(contract, asset, *ledger);
        }
        columns.finish()
    }
}
