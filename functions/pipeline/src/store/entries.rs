//! The state at a checkpoint: one row per entry, by its hash.

use arrow::array::{Array, AsArray, RecordBatch};

use crate::contract::tables::position;
use crate::error::{Error, Result};

/// Checks that rows are entries that are there, each once: a snapshot is compared with what is loaded in this order.
#[derive(Debug, Default)]
pub(crate) struct EntryOrder {
    last: String,
}

impl EntryOrder {
    /// Checks the next rows, in normalized form.
    ///
    /// # Errors
    /// [`Error::Source`] for a removal, and for an entry that is not above the one before it.
    pub(crate) fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        let hashes = batch.column(position::LEDGER_KEY_HASH).as_string::<i32>();
        let deleted = batch.column(position::DELETED).as_boolean();
        if deleted.true_count() > 0 {
            return Err(Error::source_permanent("sent a removed entry as one of a checkpoint".to_owned()));
        }
        for row in 0..hashes.len() {
            let hash = hashes.value(row);
            if hash <= self.last.as_str() {
                return Err(Error::source_permanent(format!(
                    "sent entry {hash} of a checkpoint after {}: they have to come by ledger_key_hash, each once",
                    self.last
                )));
            }
            hash.clone_into(&mut self.last);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use testkit::Row;

    use super::*;

    fn check(rows: &[Row]) -> Result<()> {
        let mut order = EntryOrder::default();
        rows.iter().try_for_each(|row| order.check(&testkit::rows::batch(std::slice::from_ref(row))))
    }

    #[test]
    fn entries_come_by_their_hash_each_once() {
        let mut rows: Vec<Row> = (1..=9).map(|key| Row::at(63).key(key)).collect();
        rows.sort_by(|left, right| left.ledger_key_hash.cmp(&right.ledger_key_hash));
        check(&rows).unwrap();
        let twice = [rows[0].clone(), rows[1].clone(), rows[1].clone()];
        assert!(check(&twice).unwrap_err().chain().contains("each once"));
        rows.swap(3, 4);
        assert!(check(&rows).unwrap_err().chain().contains("by ledger_key_hash"));
        let removed = check(&[Row::at(63).deleted()]).unwrap_err();
        assert!(removed.chain().contains("sent a removed entry"), "{removed:?}");
    }
}
