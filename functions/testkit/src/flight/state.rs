//! The state at a checkpoint, as a source with a history archive serves it.

use arrow::array::RecordBatch;

use super::{Info, Step};
use crate::rows::Row;
use crate::schema::batch;
use crate::sides::{Named, Ttl, assets_batch, ttl_batch};

/// Rows per message.
const BATCH_ROWS: usize = 1_000;

/// The entries, times to live and assets after a ledger.
#[derive(Clone, Debug)]
pub struct State {
    /// The checkpoint.
    pub ledger: u32,
    /// Hex hash of the whole state.
    pub hash: String,
    rows: Vec<Row>,
    ttls: Vec<Ttl>,
    assets: Vec<Named>,
}

impl State {
    /// These entries, times to live and assets: rows of this ledger, sorted as the contract of a source wants them.
    pub fn at(ledger: u32, mut rows: Vec<Row>, mut ttls: Vec<Ttl>, assets: Vec<Named>) -> State {
        rows.sort_by(|left, right| left.ledger_key_hash.cmp(&right.ledger_key_hash));
        ttls.sort_by(|left, right| left.ledger_key_hash.cmp(&right.ledger_key_hash));
        State { ledger, hash: format!("{ledger:064x}"), rows, ttls, assets }
    }

    /// With its rows changed, and no longer in order if the change says so.
    pub fn with(mut self, change: impl FnOnce(&mut Vec<Row>)) -> State {
        change(&mut self.rows);
        self
    }

    /// The answer for one of its tables.
    pub fn info(&self, table: &str) -> Info {
        let batches: Vec<RecordBatch> = match table {
            "state" => self.rows.chunks(BATCH_ROWS).map(batch).collect(),
            "state-ttl" => self.ttls.chunks(BATCH_ROWS).map(ttl_batch).collect(),
            _ => self.assets.chunks(BATCH_ROWS).map(assets_batch).collect(),
        };
        let metadata = serde_json::json!({
            "ledger": self.ledger, "bucket_list_hash": self.hash, "protocol": 23, "tables": ["data", "ttl", "assets"],
        });
        Info {
            app_metadata: None,
            total_records: batches.iter().map(|batch| batch.num_rows() as i64).sum(),
            ordered: true,
            endpoints: vec![batches.into_iter().map(Step::Batch).collect()],
        }
        .metadata(&metadata)
    }
}
