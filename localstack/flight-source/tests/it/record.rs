//! Rows as Rust values.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
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

/// One row of `ttl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TtlRecord {
    pub(crate) ledger_key_hash: String,
    pub(crate) change: String,
    pub(crate) live_until_ledger: Option<u32>,
    pub(crate) contract_durability: Option<String>,
    pub(crate) ledger_sequence: u32,
    pub(crate) closed_at: i64,
}

/// One row of `assets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssetRecord {
    pub(crate) contract_id: String,
    pub(crate) asset_type: String,
    pub(crate) asset_code: Option<String>,
    pub(crate) asset_issuer: Option<String>,
    pub(crate) ledger_sequence: u32,
}

/// The values of a batch by column and row.
struct Columns<'a>(&'a RecordBatch);

impl Columns<'_> {
    fn column(&self, name: &str) -> &ArrayRef {
        self.0.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"))
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        let column = self.column(name).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    }

    fn ledger(&self, name: &str, row: usize) -> Option<u32> {
        let column = self.column(name).as_primitive::<UInt32Type>();
        column.is_valid(row).then(|| column.value(row))
    }

    fn instant(&self, name: &str, row: usize) -> i64 {
        self.column(name).as_primitive::<TimestampMicrosecondType>().value(row)
    }
}

/// The rows of a batch of `ttl`.
pub(crate) fn ttl_records(batch: &RecordBatch) -> Vec<TtlRecord> {
    let columns = Columns(batch);
    let row = |row| TtlRecord {
        ledger_key_hash: columns.text("ledger_key_hash", row).unwrap(),
        change: columns.text("change", row).unwrap(),
        live_until_ledger: columns.ledger("live_until_ledger", row),
        contract_durability: columns.text("contract_durability", row),
        ledger_sequence: columns.ledger("ledger_sequence", row).unwrap(),
        closed_at: columns.instant("closed_at", row),
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The rows of a batch of `assets`.
pub(crate) fn asset_records(batch: &RecordBatch) -> Vec<AssetRecord> {
    let columns = Columns(batch);
    let row = |row| AssetRecord {
        contract_id: columns.text("contract_id", row).unwrap(),
        asset_type: columns.text("asset_type", row).unwrap(),
        asset_code: columns.text("asset_code", row),
        asset_issuer: columns.text("asset_issuer", row),
        ledger_sequence: columns.ledger("ledger_sequence", row).unwrap(),
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The rows of a batch of `data`.
pub(crate) fn records(batch: &RecordBatch) -> Vec<Record> {
    let columns = Columns(batch);
    let (text, ledger) = (|name, row| columns.text(name, row), |name, row| columns.ledger(name, row));
    let balance = columns.column("balance").as_primitive::<Int64Type>();
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
            deleted: columns.column("deleted").as_boolean().value(row),
            ledger_sequence: ledger("ledger_sequence", row).unwrap(),
            closed_at: columns.instant("closed_at", row),
            ledger_key_hash: text("ledger_key_hash", row).unwrap(),
            key_xdr: text("key_xdr", row).unwrap(),
            val_xdr: text("val_xdr", row).unwrap(),
            contract_instance_type: text("contract_instance_type", row),
            contract_instance_wasm_hash: text("contract_instance_wasm_hash", row),
            expiration_ledger_seq: ledger("expiration_ledger_seq", row),
        })
        .collect()
}
