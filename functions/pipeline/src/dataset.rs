//! The dataset: the 18 columns of a change of contract data, its number in the ledger, and the names of its objects.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::window::LedgerWindow;

/// What a column holds, however a source spells it.
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

/// A column of the source: name, kind, and whether it may be null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// The name, in Flight, Parquet and PostgreSQL alike.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whether it may be null.
    pub(crate) nullable: bool,
}

/// Shorthand for the table below.
const fn column(name: &'static str, kind: Kind, nullable: bool) -> Column {
    Column { name, kind, nullable }
}

/// The 18 columns, in the order of the table.
pub(crate) const COLUMNS: [Column; 18] = [
    column("contract_id", Kind::Text, false),
    column("contract_key_type", Kind::Text, false),
    column("contract_durability", Kind::Text, false),
    column("asset_code", Kind::Text, true),
    column("asset_issuer", Kind::Text, true),
    column("asset_type", Kind::Text, true),
    column("balance_holder", Kind::Text, true),
    column("balance", Kind::Amount, true),
    column("last_modified_ledger", Kind::Ledger, false),
    column("deleted", Kind::Flag, false),
    column("ledger_sequence", Kind::Ledger, false),
    column("closed_at", Kind::Instant, false),
    column("ledger_key_hash", Kind::Text, true),
    column("key_xdr", Kind::Text, true),
    column("val_xdr", Kind::Text, true),
    column("contract_instance_type", Kind::Text, true),
    column("contract_instance_wasm_hash", Kind::Text, true),
    column("expiration_ledger_seq", Kind::Ledger, true),
];

/// Positions of columns in [`COLUMNS`] and so in every staged batch.
pub(crate) mod position {
    /// `contract_id`
    pub(crate) const CONTRACT_ID: usize = 0;
    /// `contract_durability`
    pub(crate) const CONTRACT_DURABILITY: usize = 2;
    /// `asset_code`
    pub(crate) const ASSET_CODE: usize = 3;
    /// `balance_holder`
    pub(crate) const BALANCE_HOLDER: usize = 6;
    /// `deleted`
    pub(crate) const DELETED: usize = 9;
    /// `ledger_sequence`
    pub(crate) const LEDGER_SEQUENCE: usize = 10;
    /// `closed_at`
    pub(crate) const CLOSED_AT: usize = 11;
    /// `ledger_key_hash`
    pub(crate) const LEDGER_KEY_HASH: usize = 12;
    /// `key_xdr`
    pub(crate) const KEY_XDR: usize = 13;
    /// `val_xdr`
    pub(crate) const VAL_XDR: usize = 14;
    /// `change_index`, behind the 18
    pub(crate) const CHANGE_INDEX: usize = 18;
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

/// The schema of staged and archived objects: the 18 columns and `change_index`. `ledger_key_hash` is never null there.
pub(crate) static STAGED_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields: Vec<Field> = COLUMNS
        .iter()
        .map(|c| Field::new(c.name, arrow_type(c.kind), c.nullable && c.name != "ledger_key_hash"))
        .collect();
    fields.push(Field::new("change_index", DataType::Int32, false));
    Arc::new(Schema::new(fields))
});

/// The version of the objects' format, in their footer and in the archive's path.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The key of the footer's key-value metadata under which an object describes itself, as JSON.
pub(crate) const FOOTER_KEY: &str = "contract_data_loader";

/// How the completeness of a window was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The source declared the ledgers and the number of rows, and exactly those arrived.
    Declared,
    /// The source declared nothing; the operator takes a clean end of stream for the end.
    TrustedEnd,
    /// The source declared nothing; ledgers came in order, and the last one seen is left out.
    BeforeLast,
}

impl Evidence {
    /// The word in `ingestion_progress.evidence`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Evidence::Declared => "declared",
            Evidence::TrustedEnd => "trusted_end",
            Evidence::BeforeLast => "before_last",
        }
    }
}

/// What an object says of itself, in its Parquet footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Footer {
    /// [`FORMAT_VERSION`] of the writer.
    pub(crate) format_version: u32,
    /// The network's name.
    pub(crate) network: String,
    /// `settings.database_id` of the database it was staged for.
    pub(crate) database_id: Uuid,
    /// First ledger of the window.
    pub(crate) start_ledger: u32,
    /// Last ledger of the window.
    pub(crate) end_ledger: u32,
    /// Number of rows.
    pub(crate) rows: u64,
    /// Names this object, in its path, in `ingestion_progress` and in `entries`.
    pub(crate) batch_id: Uuid,
    /// How it is known to be complete.
    pub(crate) evidence: Evidence,
    /// Hex SHA-256 over the COPY BINARY tuples of the rows, in order.
    pub(crate) rows_digest: String,
    /// Close time of the newest row; none without rows.
    pub(crate) last_closed_at: Option<DateTime<Utc>>,
    /// Set when a value among the rows cannot be loaded: the object is kept for whoever looks into it, never loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bad_data: Option<String>,
    /// Whether the object is to replace a completed window: only the replay that made it loads it.
    #[serde(default)]
    pub(crate) replaces: bool,
}

/// The folder of a network's staged objects.
pub(crate) fn staging_folder(network: &str) -> Path {
    Path::from(format!("staging/network={network}"))
}

/// The name of a staged object.
pub(crate) fn staging_path(network: &str, window: LedgerWindow, batch_id: Uuid) -> Path {
    Path::from(format!("staging/network={network}/{window}-{batch_id}.parquet"))
}

/// The window and batch in the name of a staged object; `None` for any other name.
pub(crate) fn parse_staging_path(path: &Path) -> Option<(LedgerWindow, Uuid)> {
    let mut parts = path.filename()?.strip_suffix(".parquet")?.splitn(3, '-');
    let start = parts.next()?.parse().ok()?;
    let end = parts.next()?.parse().ok()?;
    let batch_id = parts.next()?.parse().ok()?;
    Some((LedgerWindow::new(start, end).ok()?, batch_id))
}

/// The folder of a network's archived objects.
pub(crate) fn archive_folder(network: &str) -> Path {
    Path::from(format!("archive/contract_data/v{FORMAT_VERSION}/network={network}"))
}

/// The window in the name of an archived object; `None` for any other name.
pub(crate) fn parse_archive_path(path: &Path) -> Option<LedgerWindow> {
    let (start, end) = path.filename()?.strip_suffix(".parquet")?.split_once('-')?;
    LedgerWindow::new(start.parse().ok()?, end.parse().ok()?).ok()
}

/// The name of a completed window in the archive: a hive dataset on `network` and `ledger_range`.
pub(crate) fn archive_path(network: &str, partition_ledgers: u32, window: LedgerWindow) -> Path {
    let floor = window.start() / partition_ledgers * partition_ledgers;
    Path::from(format!("{}/ledger_range={floor}/{window}.parquet", archive_folder(network)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_name_their_columns() {
        use position::*;
        let names = [
            (CONTRACT_ID, "contract_id"),
            (CONTRACT_DURABILITY, "contract_durability"),
            (ASSET_CODE, "asset_code"),
            (BALANCE_HOLDER, "balance_holder"),
            (DELETED, "deleted"),
            (LEDGER_SEQUENCE, "ledger_sequence"),
            (CLOSED_AT, "closed_at"),
            (LEDGER_KEY_HASH, "ledger_key_hash"),
            (KEY_XDR, "key_xdr"),
            (VAL_XDR, "val_xdr"),
            (CHANGE_INDEX, "change_index"),
        ];
        for (position, name) in names {
            assert_eq!(STAGED_SCHEMA.field(position).name(), name);
        }
    }

    #[test]
    fn names_of_objects_read_back() {
        let window = LedgerWindow::new(51_340_657, 51_340_749).unwrap();
        let id = Uuid::from_u128(7);
        let path = staging_path("pubnet", window, id);
        assert_eq!(
            path.as_ref(),
            "staging/network=pubnet/51340657-51340749-00000000-0000-0000-0000-000000000007.parquet"
        );
        assert_eq!(parse_staging_path(&path), Some((window, id)));
        for other in [
            "x",
            "staging/1-2.parquet",
            "staging/2-1-00000000-0000-0000-0000-000000000007.parquet",
            "staging/1-2-x.tmp",
        ] {
            assert_eq!(parse_staging_path(&Path::from(other)), None, "{other}");
        }
        assert_eq!(
            archive_path("pubnet", 100_000, window).as_ref(),
            "archive/contract_data/v1/network=pubnet/ledger_range=51300000/51340657-51340749.parquet"
        );
    }
}
