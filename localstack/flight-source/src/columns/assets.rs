//! Rows of `assets` as record batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, UInt32Builder};
use pipeline::contract::tables::Table;

use crate::asset::AssetColumns;
use crate::error::Result;

/// The approximate size of a row on the wire.
pub(crate) const ASSET_ROW_BYTES: usize = 170;

/// Builds a record batch from the assets that ledgers name.
pub(crate) struct AssetsColumns {
    contract_id: StringBuilder,
    asset_type: StringBuilder,
    asset_code: StringBuilder,
    asset_issuer: StringBuilder,
    ledger_sequence: UInt32Builder,
}

impl AssetsColumns {
    /// Empty columns with capacity for `rows` rows.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            contract_id: StringBuilder::with_capacity(rows, rows * 56),
            asset_type: StringBuilder::with_capacity(rows, rows * 16),
            asset_code: StringBuilder::with_capacity(rows, rows * 6),
            asset_issuer: StringBuilder::with_capacity(rows, rows * 56),
            ledger_sequence: UInt32Builder::with_capacity(rows),
        }
    }

    /// Adds the asset whose contract has this strkey, named in this ledger.
    pub(crate) fn push(&mut self, contract_id: &str, asset: &AssetColumns, ledger_sequence: u32) {
        self.contract_id.append_value(contract_id);
        self.asset_type.append_value(asset.asset_type);
        self.asset_code.append_option(asset.code.as_deref());
        self.asset_issuer.append_option(asset.issuer.as_deref());
        self.ledger_sequence.append_value(ledger_sequence);
    }

    /// The rows as a batch.
    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.contract_id.finish()),
            Arc::new(self.asset_type.finish()),
            Arc::new(self.asset_code.finish()),
            Arc::new(self.asset_issuer.finish()),
            Arc::new(self.ledger_sequence.finish()),
        ];
        Ok(RecordBatch::try_new(Table::Assets.source_schema(), columns)?)
    }
}
