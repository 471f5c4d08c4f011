//! The 19 columns as the reference source sends them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::rows::Row;

/// Names, types and nullability of the 19 columns, in the order of the source.
pub fn schema() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("contract_id", DataType::Utf8, false),
        Field::new("contract_key_type", DataType::Utf8, false),
        Field::new("contract_durability", DataType::Utf8, false),
        Field::new("asset_code", DataType::Utf8, true),
        Field::new("asset_issuer", DataType::Utf8, true),
        Field::new("asset_type", DataType::Utf8, true),
        Field::new("balance_holder", DataType::Utf8, true),
        Field::new("balance", DataType::Int64, true),
        Field::new("last_modified_ledger", DataType::UInt32, false),
        Field::new("deleted", DataType::Boolean, false),
        Field::new("ledger_sequence", DataType::UInt32, false),
        Field::new("closed_at", utc, false),
        Field::new("ledger_key_hash", DataType::Utf8, true),
        Field::new("key_xdr", DataType::Utf8, true),
        Field::new("val_xdr", DataType::Utf8, true),
        Field::new("contract_instance_type", DataType::Utf8, true),
        Field::new("contract_instance_wasm_hash", DataType::Utf8, true),
        Field::new("expiration_ledger_seq", DataType::UInt32, true),
        Field::new("ledger_entry_change", DataType::UInt32, true),
    ]))
}

/// These rows, in this order, under [`schema`].
pub fn batch(rows: &[Row]) -> RecordBatch {
    let text = |of: fn(&Row) -> &str| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let maybe = |of: fn(&Row) -> &Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row).as_deref()).collect::<StringArray>())
    };
    let number =
        |of: fn(&Row) -> Option<u32>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<UInt32Array>()) };
    let closed_at: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.closed_at)).collect();
    let columns: Vec<ArrayRef> = vec![
        text(|row| &row.contract_id),
        text(|row| &row.contract_key_type),
        text(|row| &row.contract_durability),
        maybe(|row| &row.asset_code),
        maybe(|row| &row.asset_issuer),
        maybe(|row| &row.asset_type),
        maybe(|row| &row.balance_holder),
        Arc::new(rows.iter().map(|row| row.balance).collect::<Int64Array>()),
        number(|row| Some(row.last_modified_ledger)),
        Arc::new(rows.iter().map(|row| Some(row.deleted)).collect::<BooleanArray>()),
        number(|row| Some(row.ledger_sequence)),
        Arc::new(closed_at.with_timezone("UTC")),
        maybe(|row| &row.ledger_key_hash),
        maybe(|row| &row.key_xdr),
        maybe(|row| &row.val_xdr),
        maybe(|row| &row.contract_instance_type),
        maybe(|row| &row.contract_instance_wasm_hash),
        number(|row| row.expiration_ledger_seq),
        number(|row| row.ledger_entry_change),
    ];
    RecordBatch::try_new(schema(), columns).expect("19 columns of one length")
}
