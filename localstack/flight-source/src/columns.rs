//! Rows of contract data as record batches, and how columns spell contracts and keys.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
    UInt32Builder,
};
use pipeline::contract::tables::Table;
use pipeline::contract::xdr;
use stellar_xdr::ScVal;

use crate::error::Result;

pub(crate) mod assets;
pub(crate) mod ttl;

/// The column `contract_instance_type` of a contract with code of its own.
pub(crate) const WASM: &str = "wasm";
/// The column `contract_instance_type` of a Stellar asset contract.
pub(crate) const STELLAR_ASSET: &str = "stellar_asset";

/// The column `contract_instance_type` of a contract that runs the code of another (CAP-85).
pub(crate) const EXTERNAL_REF: &str = "external_ref";

/// The column `contract_key_type`.
pub(crate) fn key_type(key: &ScVal) -> &'static str {
    xdr::key_type(key.discriminant())
}

/// The strkey `C…` of a contract.
pub(crate) fn strkey(contract: [u8; 32]) -> String {
    stellar_strkey::Contract(contract).to_string().as_str().to_owned()
}

/// One change of one entry: the values of its row.
#[derive(Default)]
pub(crate) struct Row<'a> {
    pub(crate) contract_id: &'a str,
    pub(crate) contract_key_type: &'a str,
    pub(crate) contract_durability: &'a str,
    pub(crate) asset_code: Option<&'a str>,
    pub(crate) asset_issuer: Option<&'a str>,
    pub(crate) asset_type: Option<&'a str>,
    pub(crate) balance_holder: Option<&'a str>,
    pub(crate) balance: Option<i64>,
    pub(crate) last_modified_ledger: u32,
    pub(crate) deleted: bool,
    pub(crate) ledger_sequence: u32,
    /// Microseconds since 1970.
    pub(crate) closed_at: i64,
    pub(crate) ledger_key_hash: &'a str,
    pub(crate) key_xdr: &'a str,
    pub(crate) val_xdr: &'a str,
    pub(crate) contract_instance_type: Option<&'a str>,
    pub(crate) contract_instance_wasm_hash: Option<&'a str>,
    pub(crate) expiration_ledger_seq: Option<u32>,
    /// One of [`entry_change`](pipeline::contract::tables::entry_change); `None` if it is not known.
    pub(crate) ledger_entry_change: Option<u32>,
}

/// Builds a record batch from rows.
pub(crate) struct Columns {
    rows: usize,
    bytes: usize,
    contract_id: StringBuilder,
    contract_key_type: StringBuilder,
    contract_durability: StringBuilder,
    asset_code: StringBuilder,
    asset_issuer: StringBuilder,
    asset_type: StringBuilder,
    balance_holder: StringBuilder,
    balance: Int64Builder,
    last_modified_ledger: UInt32Builder,
    deleted: BooleanBuilder,
    ledger_sequence: UInt32Builder,
    closed_at: TimestampMicrosecondBuilder,
    ledger_key_hash: StringBuilder,
    key_xdr: StringBuilder,
    val_xdr: StringBuilder,
    contract_instance_type: StringBuilder,
    contract_instance_wasm_hash: StringBuilder,
    expiration_ledger_seq: UInt32Builder,
    ledger_entry_change: UInt32Builder,
}

impl Columns {
    /// Empty columns with capacity for `rows` rows of usual length.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        let text = |width: usize| StringBuilder::with_capacity(rows, rows * width);
        Self {
            rows: 0,
            bytes: 0,
            contract_id: text(56),
            contract_key_type: text(18),
            contract_durability: text(32),
            asset_code: text(1),
            asset_issuer: text(1),
            asset_type: text(1),
            balance_holder: text(36),
            balance: Int64Builder::with_capacity(rows),
            last_modified_ledger: UInt32Builder::with_capacity(rows),
            deleted: BooleanBuilder::with_capacity(rows),
            ledger_sequence: UInt32Builder::with_capacity(rows),
            closed_at: TimestampMicrosecondBuilder::with_capacity(rows),
            ledger_key_hash: text(64),
            key_xdr: text(96),
            val_xdr: text(320),
            contract_instance_type: text(1),
            contract_instance_wasm_hash: text(4),
            expiration_ledger_seq: UInt32Builder::with_capacity(rows),
            ledger_entry_change: UInt32Builder::with_capacity(rows),
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &Row<'_>) {
        self.rows += 1;
        // 320: the other strings of a usual row, the fixed-width columns and the offsets
        self.bytes += row.key_xdr.len() + row.val_xdr.len() + row.balance_holder.map_or(0, str::len) + 320;
        self.contract_id.append_value(row.contract_id);
        self.contract_key_type.append_value(row.contract_key_type);
        self.contract_durability.append_value(row.contract_durability);
        self.asset_code.append_option(row.asset_code);
        self.asset_issuer.append_option(row.asset_issuer);
        self.asset_type.append_option(row.asset_type);
        self.balance_holder.append_option(row.balance_holder);
        self.balance.append_option(row.balance);
        self.last_modified_ledger.append_value(row.last_modified_ledger);
        self.deleted.append_value(row.deleted);
        self.ledger_sequence.append_value(row.ledger_sequence);
        self.closed_at.append_value(row.closed_at);
        self.ledger_key_hash.append_value(row.ledger_key_hash);
        self.key_xdr.append_value(row.key_xdr);
        self.val_xdr.append_value(row.val_xdr);
        self.contract_instance_type.append_option(row.contract_instance_type);
        self.contract_instance_wasm_hash.append_option(row.contract_instance_wasm_hash);
        self.expiration_ledger_seq.append_option(row.expiration_ledger_seq);
        self.ledger_entry_change.append_option(row.ledger_entry_change);
    }

    /// The number of rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The approximate size of the rows on the wire.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows as a batch.
    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.contract_id.finish()),
            Arc::new(self.contract_key_type.finish()),
            Arc::new(self.contract_durability.finish()),
            Arc::new(self.asset_code.finish()),
            Arc::new(self.asset_issuer.finish()),
            Arc::new(self.asset_type.finish()),
            Arc::new(self.balance_holder.finish()),
            Arc::new(self.balance.finish()),
            Arc::new(self.last_modified_ledger.finish()),
            Arc::new(self.deleted.finish()),
            Arc::new(self.ledger_sequence.finish()),
            Arc::new(self.closed_at.finish().with_timezone("UTC")),
            Arc::new(self.ledger_key_hash.finish()),
            Arc::new(self.key_xdr.finish()),
            Arc::new(self.val_xdr.finish()),
            Arc::new(self.contract_instance_type.finish()),
            Arc::new(self.contract_instance_wasm_hash.finish()),
            Arc::new(self.expiration_ledger_seq.finish()),
            Arc::new(self.ledger_entry_change.finish()),
        ];
        Ok(RecordBatch::try_new(Table::Data.source_schema(), columns)?)
    }
}
