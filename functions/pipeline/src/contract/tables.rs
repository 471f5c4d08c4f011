//! The tables of a window and their columns: `data`, one row per change of a contract data entry.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The kind of a column's values, independently of the source's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UTF-8 without NUL.
    Text,
    /// A ledger number.
    Ledger,
    /// A signed 64-bit integer.
    Amount,
    /// True or false.
    Flag,
    /// An instant, in microseconds.
    Instant,
}

/// The texts that a column may hold; `contract/values.rs` checks each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Any text.
    Any,
    /// One of these words.
    Words(&'static [&'static str]),
    /// `ScValTypeScv` and the name of a type; where `key_xdr` is known, the type of the key.
    KeyType,
    /// A strkey `C…`.
    Contract,
    /// A strkey `G…`.
    Account,
    /// A strkey of anything that can hold a balance: `C…`, `G…`, `M…`, `B…` or `L…`.
    Holder,
    /// A SHA-256 in lower-case hexadecimal.
    Hash,
    /// The base64 XDR of an `SCVal`.
    Value,
}

/// A column of the source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// The name, in Flight, Parquet and PostgreSQL alike.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Which texts it may hold; [`Domain::Any`] for other kinds.
    pub(crate) domain: Domain,
    /// Whether it may be null.
    pub(crate) nullable: bool,
}

/// Shorthand for the table below: a column that is no text.
const fn column(name: &'static str, kind: Kind, nullable: bool) -> Column {
    Column { name, kind, domain: Domain::Any, nullable }
}

/// Shorthand for the table below: a text.
const fn text(name: &'static str, domain: Domain, nullable: bool) -> Column {
    Column { name, kind: Kind::Text, domain, nullable }
}

/// The column `contract_durability` of temporary and of persistent entries.
pub(crate) const DURABILITIES: [&str; 2] =
    ["ContractDataDurabilityTemporary", "ContractDataDurabilityPersistent"];
const ASSET_TYPES: &[&str] = &["native", "credit_alphanum4", "credit_alphanum12"];
const INSTANCE_TYPES: &[&str] = &["wasm", "stellar_asset", "external_ref"];

/// The columns of the source, in the order of the table.
pub(crate) const COLUMNS: &[Column] = &[
    text("contract_id", Domain::Contract, false),
    text("contract_key_type", Domain::KeyType, false),
    text("contract_durability", Domain::Words(&DURABILITIES), false),
    text("asset_code", Domain::Any, true),
    text("asset_issuer", Domain::Account, true),
    text("asset_type", Domain::Words(ASSET_TYPES), true),
    text("balance_holder", Domain::Holder, true),
    column("balance", Kind::Amount, true),
    column("last_modified_ledger", Kind::Ledger, false),
    column("deleted", Kind::Flag, false),
    column("ledger_sequence", Kind::Ledger, false),
    column("closed_at", Kind::Instant, false),
    text("ledger_key_hash", Domain::Hash, true),
    text("key_xdr", Domain::Value, true),
    text("val_xdr", Domain::Value, true),
    text("contract_instance_type", Domain::Words(INSTANCE_TYPES), true),
    text("contract_instance_wasm_hash", Domain::Hash, true),
    column("expiration_ledger_seq", Kind::Ledger, true),
];

/// The name of the column after those of the source: the number of a change within its ledger.
pub(crate) const CHANGE_INDEX: &str = "change_index";

/// Positions of columns in [`COLUMNS`] and so in every staged batch.
pub(crate) mod position {
    use super::{COLUMNS, position_of};

    pub(crate) const CONTRACT_ID: usize = position_of("contract_id");
    pub(crate) const CONTRACT_KEY_TYPE: usize = position_of("contract_key_type");
    pub(crate) const CONTRACT_DURABILITY: usize = position_of("contract_durability");
    pub(crate) const ASSET_CODE: usize = position_of("asset_code");
    pub(crate) const ASSET_ISSUER: usize = position_of("asset_issuer");
    pub(crate) const ASSET_TYPE: usize = position_of("asset_type");
    pub(crate) const BALANCE_HOLDER: usize = position_of("balance_holder");
    pub(crate) const BALANCE: usize = position_of("balance");
    pub(crate) const DELETED: usize = position_of("deleted");
    pub(crate) const LEDGER_SEQUENCE: usize = position_of("ledger_sequence");
    pub(crate) const CLOSED_AT: usize = position_of("closed_at");
    pub(crate) const LEDGER_KEY_HASH: usize = position_of("ledger_key_hash");
    pub(crate) const KEY_XDR: usize = position_of("key_xdr");
    pub(crate) const VAL_XDR: usize = position_of("val_xdr");
    /// After the columns of the source.
    pub(crate) const CHANGE_INDEX: usize = COLUMNS.len();
}

/// The position of a column, computed at compile time: an unknown name does not compile.
const fn position_of(name: &str) -> usize {
    let mut position = 0;
    while !is_equal(COLUMNS[position].name.as_bytes(), name.as_bytes()) {
        position += 1;
    }
    position
}

/// Equality of bytes, in constants.
const fn is_equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The Arrow type a kind is staged as.
pub(crate) fn arrow_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Ledger => DataType::UInt32,
        Kind::Amount => DataType::Int64,
        Kind::Flag => DataType::Boolean,
        Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// The schema of a source that sends the columns with the types, and in the order, in which they are staged. A source may
/// send others: see `docs/flight-contract.md`.
pub static SOURCE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |c: &Column| Field::new(c.name, arrow_type(c.kind), c.nullable);
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
});

/// The schema of staged and archived objects: the columns of the source and `change_index`. `ledger_key_hash` is never null there.
pub static STAGED_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields: Vec<Field> = COLUMNS
        .iter()
        .map(|c| Field::new(c.name, arrow_type(c.kind), c.nullable && c.name != "ledger_key_hash"))
        .collect();
    fields.push(Field::new(CHANGE_INDEX, DataType::Int32, false));
    Arc::new(Schema::new(fields))
});

/// The names of the columns of staged objects, in order.
pub(crate) fn staged_columns() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|column| column.name).chain([CHANGE_INDEX])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_name_their_columns() {
        for (position, column) in COLUMNS.iter().enumerate() {
            assert_eq!(position_of(column.name), position);
            assert_eq!(STAGED_SCHEMA.field(position).name(), column.name);
        }
        assert_eq!(STAGED_SCHEMA.field(position::CHANGE_INDEX).name(), CHANGE_INDEX);
    }
}
