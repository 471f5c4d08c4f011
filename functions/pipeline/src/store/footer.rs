//! The footer: a staged or archived object's description of itself.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::contract::evidence::Evidence;
use crate::contract::tables::Table;

/// The version of the objects' format, in their footer. Version 2 has `ledger_entry_change`.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// The key of the footer's key-value metadata under which an object describes itself, as JSON.
pub(crate) const FOOTER_KEY: &str = "contract_data_loader";

/// An object's description of itself, in its Parquet footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Footer {
    /// [`FORMAT_VERSION`] of the writer.
    pub(crate) format_version: u32,
    /// The table of the rows.
    #[serde(default = "data")]
    pub(crate) table: Table,
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
    /// The batch id of this object, in its path, in `ingestion_progress` and in `entries`.
    pub(crate) batch_id: Uuid,
    /// How the window was proven complete.
    pub(crate) evidence: Evidence,
    /// Hex SHA-256 over the COPY BINARY tuples of the rows, in order.
    pub(crate) rows_digest: String,
    /// Close time of the newest row of `data`; none without rows.
    pub(crate) last_closed_at: Option<DateTime<Utc>>,
    /// Set when a row has a value that cannot be loaded: the object is kept as evidence and never loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bad_data: Option<String>,
    /// Whether the object replaces a completed window: only the replay that created it loads it.
    #[serde(default)]
    pub(crate) replaces: bool,
    /// Set for the state at a checkpoint: the window is that ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<SnapshotFacts>,
    /// The objects of the other tables of the window: they were sealed before this one, which is that of `data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sides: Vec<Side>,
}

impl Footer {
    /// The footer of another table's object of this window.
    pub(super) fn of_side(&self, side: &Side) -> Footer {
        Footer {
            table: side.table,
            rows: side.rows,
            rows_digest: side.rows_digest.clone(),
            last_closed_at: None,
            sides: Vec::new(),
            ..self.clone()
        }
    }
}

/// What a source has declared of the state at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotFacts {
    /// Hex hash of the whole state of the network, in the header of the ledger.
    pub(crate) bucket_list_hash: String,
    /// The version of the network's protocol in that ledger.
    pub(crate) protocol: u32,
}

/// Another table's object of the same window and batch, as the object of `data` describes it. Its name follows from that of
/// `data`: [`table_path`](super::names::table_path).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Side {
    /// The table.
    pub(crate) table: Table,
    /// The size of the object.
    pub(crate) bytes: u64,
    /// Number of rows.
    pub(crate) rows: u64,
    /// Hex SHA-256 over the COPY BINARY tuples of the rows, in order.
    pub(crate) rows_digest: String,
}

/// Objects of releases that knew one table do not name it.
fn data() -> Table {
    Table::Data
}
