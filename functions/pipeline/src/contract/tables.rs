//! The tables of a window and their columns: `data`, one row per change of a contract data entry; `ttl`, one per change of a
//! time to live; `assets`, one per asset that a ledger names.

use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

/// A table of a window. Every source has `data`; the others are loaded in the same transaction where a source has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Changes of contract data entries.
    Data,
    /// Changes of times to live, of contract code too.
    Ttl,
    /// Assets that entries of a ledger name, with the contract of each.
    Assets,
}

impl Table {
    /// All tables, in the order in which they are declared.
    pub const ALL: [Table; 3] = [Table::Data, Table::Ttl, Table::Assets];
    /// The tables that a source may have beside `data`, in the order in which they are staged.
    pub const SIDES: [Table; 2] = [Table::Ttl, Table::Assets];

    /// The name, in requests, declarations, objects and `window_tables`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Data => "data",
            Table::Ttl => "ttl",
            Table::Assets => "assets",
        }
    }

    /// The table of this name.
    pub fn named(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The columns of the source, in the order in which they are staged.
    pub(crate) const fn columns(self) -> &'static [Column] {
        match self {
            Table::Data => COLUMNS,
            Table::Ttl => TTL_COLUMNS,
            Table::Assets => ASSET_COLUMNS,
        }
    }

    /// The position of `ledger_sequence`.
    pub(crate) const fn ledger(self) -> usize {
        const TTL: usize = position_in(TTL_COLUMNS, LEDGER);
        const ASSETS: usize = position_in(ASSET_COLUMNS, LEDGER);
        match self {
            Table::Data => position::LEDGER_SEQUENCE,
            Table::Ttl => TTL,
            Table::Assets => ASSETS,
        }
    }

    /// The columns that are stored beside those of staged objects, in order: the loader derives them.
    pub(crate) const fn derived(self) -> &'static [&'static str] {
        match self {
            Table::Data => &["token_holder", "token_amount"],
            Table::Ttl | Table::Assets => &[],
        }
    }

    /// The position of `change_index`, after the columns of the source.
    pub(crate) const fn change_index(self) -> usize {
        self.columns().len()
    }

    /// The schema of a source that sends the columns with the types, and in the order, in which they are staged. A source may
    /// send others: see `docs/flight-contract.md`.
    pub fn source_schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 3]> = LazyLock::new(|| Table::ALL.map(source_schema));
        Arc::clone(&SCHEMAS[self as usize])
    }

    /// The schema of staged and archived objects: the columns of the source and `change_index`. `ledger_key_hash` is never null
    /// there.
    pub fn staged_schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 3]> = LazyLock::new(|| Table::ALL.map(staged_schema));
        Arc::clone(&SCHEMAS[self as usize])
    }

    /// The names of the columns of staged objects, in order.
    pub(crate) fn staged_columns(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|column| column.name).chain([CHANGE_INDEX])
    }
}

/// The kind of a column's values, independently of the source's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UTF-8 without NUL.
    Text,
    /// A ledger number.
    Ledger,
    /// A signed 64-bit integer.
    Amount,
    /// What a change did to its entry, as a small number.
    Change,
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
    /// The code of an asset; what names none is kept, and not learnt.
    Code,
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
    /// The name in messages: with its table, unless that is `data`.
    pub(crate) label: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Which texts it may hold; [`Domain::Any`] for other kinds.
    pub(crate) domain: Domain,
    /// Whether it may be null.
    pub(crate) nullable: bool,
    /// Whether a source may do without it: all its values are null then.
    pub(crate) optional: bool,
}

/// Shorthand for the tables below: a column that is no text.
const fn column(name: &'static str, kind: Kind, nullable: bool) -> Column {
    Column { name, label: name, kind, domain: Domain::Any, nullable, optional: false }
}

/// Shorthand for the tables below: a text.
const fn text(name: &'static str, domain: Domain, nullable: bool) -> Column {
    Column { name, label: name, kind: Kind::Text, domain, nullable, optional: false }
}

impl Column {
    const fn labelled(self, label: &'static str) -> Column {
        Column { label, ..self }
    }

    const fn optional(self) -> Column {
        Column { optional: true, ..self }
    }
}

/// The column `contract_durability` of temporary and of persistent entries.
pub(crate) const DURABILITIES: [&str; 2] =
    ["ContractDataDurabilityTemporary", "ContractDataDurabilityPersistent"];
const ASSET_TYPES: &[&str] = &["native", "credit_alphanum4", "credit_alphanum12"];
const INSTANCE_TYPES: &[&str] = &["wasm", "stellar_asset", "external_ref"];

/// What happened to a time to live: the column `change` of `ttl`.
const TTL_CHANGES: &[&str] = &["created", "extended", "restored", "removed", "evicted"];
/// Those of them after which the entry does not live.
pub(crate) const ENDINGS: [&str; 2] = ["removed", "evicted"];
const LEDGER: &str = "ledger_sequence";

/// What a change did to its entry: the numbers of the network's XDR, in `ledger_entry_change`.
pub mod entry_change {
    /// It was not there before.
    pub const CREATED: u32 = 0;
    /// It was.
    pub const UPDATED: u32 = 1;
    /// It is not there any more.
    pub const REMOVED: u32 = 2;
    /// It was archived before.
    pub const RESTORED: u32 = 4;
}

/// The columns of `data`.
pub(crate) const COLUMNS: &[Column] = &[
    text("contract_id", Domain::Contract, false),
    text("contract_key_type", Domain::KeyType, false),
    text("contract_durability", Domain::Words(&DURABILITIES), false),
    text("asset_code", Domain::Code, true),
    text("asset_issuer", Domain::Account, true),
    text("asset_type", Domain::Words(ASSET_TYPES), true),
    text("balance_holder", Domain::Holder, true),
    column("balance", Kind::Amount, true),
    column("last_modified_ledger", Kind::Ledger, false),
    column("deleted", Kind::Flag, false),
    column(LEDGER, Kind::Ledger, false),
    column("closed_at", Kind::Instant, false),
    text("ledger_key_hash", Domain::Hash, true),
    text("key_xdr", Domain::Value, true),
    text("val_xdr", Domain::Value, true),
    text("contract_instance_type", Domain::Words(INSTANCE_TYPES), true),
    text("contract_instance_wasm_hash", Domain::Hash, true),
    column("expiration_ledger_seq", Kind::Ledger, true),
    // The last one: the digest of rows leaves it out where it is null.
    column("ledger_entry_change", Kind::Change, true).optional(),
];

/// The columns of `ttl`.
const TTL_COLUMNS: &[Column] = &[
    text("ledger_key_hash", Domain::Hash, false).labelled("ttl.ledger_key_hash"),
    text("change", Domain::Words(TTL_CHANGES), false).labelled("ttl.change"),
    column("live_until_ledger", Kind::Ledger, true).labelled("ttl.live_until_ledger"),
    text("contract_durability", Domain::Words(&DURABILITIES), true).labelled("ttl.contract_durability"),
    column(LEDGER, Kind::Ledger, false).labelled("ttl.ledger_sequence"),
    column("closed_at", Kind::Instant, false).labelled("ttl.closed_at"),
];

/// The columns of `assets`.
const ASSET_COLUMNS: &[Column] = &[
    text("contract_id", Domain::Contract, false).labelled("assets.contract_id"),
    text("asset_type", Domain::Words(ASSET_TYPES), false).labelled("assets.asset_type"),
    text("asset_code", Domain::Code, true).labelled("assets.asset_code"),
    text("asset_issuer", Domain::Account, true).labelled("assets.asset_issuer"),
    column(LEDGER, Kind::Ledger, false).labelled("assets.ledger_sequence"),
];

/// The name of the column after those of the source: the number of a change within its ledger.
pub(crate) const CHANGE_INDEX: &str = "change_index";

/// Positions of columns of `data`, and of the other tables, in every staged batch.
pub(crate) mod position {
    use super::position_of;

    pub(crate) const CONTRACT_ID: usize = position_of("contract_id");
    pub(crate) const CONTRACT_KEY_TYPE: usize = position_of("contract_key_type");
    pub(crate) const CONTRACT_DURABILITY: usize = position_of("contract_durability");
    pub(crate) const ASSET_CODE: usize = position_of("asset_code");
    pub(crate) const ASSET_ISSUER: usize = position_of("asset_issuer");
    pub(crate) const ASSET_TYPE: usize = position_of("asset_type");
    pub(crate) const BALANCE_HOLDER: usize = position_of("balance_holder");
    pub(crate) const BALANCE: usize = position_of("balance");
    pub(crate) const LAST_MODIFIED_LEDGER: usize = position_of("last_modified_ledger");
    pub(crate) const DELETED: usize = position_of("deleted");
    pub(crate) const LEDGER_SEQUENCE: usize = position_of("ledger_sequence");
    pub(crate) const CLOSED_AT: usize = position_of("closed_at");
    pub(crate) const LEDGER_KEY_HASH: usize = position_of("ledger_key_hash");
    pub(crate) const KEY_XDR: usize = position_of("key_xdr");
    pub(crate) const VAL_XDR: usize = position_of("val_xdr");
    pub(crate) const EXPIRATION_LEDGER_SEQ: usize = position_of("expiration_ledger_seq");
    pub(crate) const LEDGER_ENTRY_CHANGE: usize = position_of("ledger_entry_change");

    /// Positions in `assets`.
    pub(crate) mod assets {
        use crate::contract::tables::{ASSET_COLUMNS, position_in};

        pub(crate) const CONTRACT_ID: usize = position_in(ASSET_COLUMNS, "contract_id");
        pub(crate) const ASSET_TYPE: usize = position_in(ASSET_COLUMNS, "asset_type");
        pub(crate) const ASSET_CODE: usize = position_in(ASSET_COLUMNS, "asset_code");
        pub(crate) const ASSET_ISSUER: usize = position_in(ASSET_COLUMNS, "asset_issuer");
    }

    /// Positions in `ttl`.
    pub(crate) mod ttl {
        use crate::contract::tables::{TTL_COLUMNS, position_in};

        pub(crate) const CHANGE: usize = position_in(TTL_COLUMNS, "change");
        pub(crate) const LIVE_UNTIL_LEDGER: usize = position_in(TTL_COLUMNS, "live_until_ledger");
    }
}

/// The position of a column of `data`, computed at compile time: an unknown name does not compile.
const fn position_of(name: &str) -> usize {
    position_in(COLUMNS, name)
}

/// The position of a column in a table.
const fn position_in(columns: &[Column], name: &str) -> usize {
    let mut position = 0;
    while !is_equal(columns[position].name.as_bytes(), name.as_bytes()) {
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

/// A batch with the columns of a schema, found by name: nulls for one that it does not have, as objects of earlier formats.
///
/// # Errors
/// Columns that do not fit the schema.
pub fn with_columns(schema: SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema, columns)
}

/// The Arrow type a kind is staged as.
pub(crate) fn arrow_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Ledger | Kind::Change => DataType::UInt32,
        Kind::Amount => DataType::Int64,
        Kind::Flag => DataType::Boolean,
        Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

fn source_schema(table: Table) -> SchemaRef {
    let field = |c: &Column| Field::new(c.name, arrow_type(c.kind), c.nullable);
    Arc::new(Schema::new(table.columns().iter().map(field).collect::<Vec<_>>()))
}

fn staged_schema(table: Table) -> SchemaRef {
    let field = |c: &Column| {
        Field::new(
            c.name,
            arrow_type(c.kind),
            c.nullable && c.name != COLUMNS[position::LEDGER_KEY_HASH].name,
        )
    };
    let mut fields: Vec<Field> = table.columns().iter().map(field).collect();
    fields.push(Field::new(CHANGE_INDEX, DataType::Int32, false));
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_name_their_columns() {
        for table in Table::ALL {
            let (schema, columns) = (table.staged_schema(), table.columns());
            for (position, column) in columns.iter().enumerate() {
                assert_eq!(position_in(columns, column.name), position);
                assert_eq!(schema.field(position).name(), column.name);
                let label = format!("{}.{}", table.name(), column.name);
                assert_eq!(column.label, label.trim_start_matches("data."));
                assert_eq!(table.source_schema().field(position).name(), column.name);
                assert!(column.nullable || !column.optional, "{} is missing as null", column.name);
            }
            assert_eq!(columns[table.ledger()].name, LEDGER);
            assert_eq!(schema.field(table.change_index()).name(), CHANGE_INDEX);
            assert_eq!(Table::named(table.name()), Some(table));
        }
    }
}
