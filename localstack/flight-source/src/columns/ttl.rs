//! Rows of `ttl` as record batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder};
use pipeline::contract::tables::Table;

use crate::error::Result;

/// What happened to the time to live of an entry: the column `change`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TtlChange {
    Created,
    Extended,
    Restored,
    /// With its entry, by a transaction.
    Removed,
    /// By the network, after its end.
    Evicted,
}

impl TtlChange {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Extended => "extended",
            Self::Restored => "restored",
            Self::Removed => "removed",
            Self::Evicted => "evicted",
        }
    }
}

/// One change of one time to live: the values of its row.
pub(crate) struct TtlRow<'a> {
    pub(crate) ledger_key_hash: &'a str,
    pub(crate) change: TtlChange,
    pub(crate) live_until_ledger: Option<u32>,
    /// Of an evicted entry.
    pub(crate) contract_durability: Option<&'a str>,
    pub(crate) ledger_sequence: u32,
    /// Microseconds since 1970.
    pub(crate) closed_at: i64,
}

/// The approximate size of a row on the wire.
pub(crate) const TTL_ROW_BYTES: usize = 120;

/// Builds a record batch from rows.
pub(crate) struct TtlColumns {
    ledger_key_hash: StringBuilder,
    change: StringBuilder,
    live_until_ledger: UInt32Builder,
    contract_durability: StringBuilder,
    ledger_sequence: UInt32Builder,
    closed_at: TimestampMicrosecondBuilder,
}

impl TtlColumns {
    /// Empty columns with capacity for `rows` rows.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            ledger_key_hash: StringBuilder::with_capacity(rows, rows * 64),
            change: StringBuilder::with_capacity(rows, rows * 8),
            live_until_ledger: UInt32Builder::with_capacity(rows),
            contract_durability: StringBuilder::with_capacity(rows, rows * 4),
            ledger_sequence: UInt32Builder::with_capacity(rows),
            closed_at: TimestampMicrosecondBuilder::with_capacity(rows),
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &TtlRow<'_>) {
        self.ledger_key_hash.append_value(row.ledger_key_hash);
        self.change.append_value(row.change.name());
        self.live_until_ledger.append_option(row.live_until_ledger);
        self.contract_durability.append_option(row.contract_durability);
        self.ledger_sequence.append_value(row.ledger_sequence);
        self.closed_at.append_value(row.closed_at);
    }

    /// The rows as a batch.
    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.ledger_key_hash.finish()),
            Arc::new(self.change.finish()),
            Arc::new(self.live_until_ledger.finish()),
            Arc::new(self.contract_durability.finish()),
            Arc::new(self.ledger_sequence.finish()),
            Arc::new(self.closed_at.finish().with_timezone("UTC")),
        ];
        Ok(RecordBatch::try_new(Table::Ttl.source_schema(), columns)?)
    }
}
