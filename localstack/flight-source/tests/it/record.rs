//! Rows as Rust values.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType, UInt32Type};

/// One row, with all 18 columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) contract_id: String,
    pub(crate) contract_key_type: String,
    pub(crate) contract_durability: String,
    pub(crate) asset_code: Option<String>,
    pub(crate) asset_issuer: Option<String>,
    pub(crate) asset_type: Option<String>,
    pub(crate) balance_holder: Option<String>,
    pub(crate) balance: Option<i64>,
    pub(crate) last_modified_ledger: u32,
    pub(crate) deleted: bool,
    pub(crate) ledger_sequence: u32,
    pub(crate) closed_at: i64,
    pub(crate) ledger_key_hash: String,
    pub(crate) key_xdr: String,
    pub(crate) val_xdr: String,
    pub(crate) contract_instance_type: Option<String>,
    pub(crate) contract_instance_wasm_hash: Option<String>,
    pub(crate) expiration_ledger_seq: Option<u32>,
}

/// The rows of a batch.
pub(crate) fn records(batch: &RecordBatch) -> Vec<Record> {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    let text = |name: &str, row: usize| {
        let column = column(name).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let ledger = |name: &str, row: usize| {
        let column = column(name).as_primitive::<UInt32Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let balance = column("balance").as_primitive::<Int64Type>();
    (0..batch.num_rows())
        .map(|row| Record {
            contract_id: text("contract_id", row).unwrap(),
            contract_key_type: text("contract_key_type", row).unwrap(),
            contract_durability: text("contract_durability", row).unwrap(),
            asset_code: text("asset_code", row),
            asset_issuer: text("asset_issuer", row),
            asset_type: text("asset_type", row),
            balance_holder: text("balance_holder", row),
            balance: balance.is_valid(row).then(|| balance.value(row)),
            last_modified_ledger: ledger("last_modified_ledger", row).unwrap(),
            deleted: column("deleted").as_boolean().value(row),
            ledger_sequence: ledger("ledger_sequence", row).unwrap(),
            closed_at: column("closed_at").as_primitive::<TimestampMicrosecondType>().value(row),
            ledger_key_hash: text("ledger_key_hash", row).unwrap(),
            key_xdr: text("key_xdr", row).unwrap(),
            val_xdr: text("val_xdr", row).unwrap(),
            contract_instance_type: text("contract_instance_type", row),
            contract_instance_wasm_hash: text("contract_instance_wasm_hash", row),
            expiration_ledger_seq: ledger("expiration_ledger_seq", row),
        })
        .collect()
}
