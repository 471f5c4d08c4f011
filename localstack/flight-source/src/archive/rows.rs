//! The state at a checkpoint as rows.

use std::io::BufReader;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use pipeline::contract::tables::Table;
use pipeline::contract::xdr::{base16, durability};
use stellar_xdr::{ContractDataDurability, LedgerEntry, LedgerEntryData};

use super::checkpoints;
use super::named;
use super::records::decoded;
use super::scratch::{SpoolReader, Spooled};
use super::settled::{Entries, Entry, Kept, Settled};
use crate::asset;
use crate::columns::assets::{ASSET_ROW_BYTES, AssetsColumns};
use crate::columns::ttl::{TTL_ROW_BYTES, TtlChange, TtlColumns, TtlRow};
use crate::columns::{Columns, Row};
use crate::dataset::{Batches, MESSAGE_BYTES};
use crate::entry::columns;
use crate::error::Result;
use crate::fault::{Fault, unencodable};

/// What all rows of a checkpoint share.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) ledger: u32,
    pub(crate) closed_at: DateTime<Utc>,
    pub(crate) passphrase: String,
}

/// The rows of a table, in batches of at most `batch_rows` rows and about the size of a message. Memory: one batch.
pub(crate) fn batches(
    table: Table,
    at: At,
    settled: &Settled,
    assets: &Spooled,
    batch_rows: usize,
) -> Batches {
    let most = |row_bytes: usize| batch_rows.clamp(1, MESSAGE_BYTES / row_bytes);
    match table {
        Table::Data => until_error(Data { at, entries: settled.entries(), batch_rows: batch_rows.max(1) }),
        Table::Ttl => until_error(Ttl { at, entries: settled.entries(), batch_rows: most(TTL_ROW_BYTES) }),
        Table::Assets => {
            let bytes = BufReader::new(assets.reader());
            until_error(Assets { at, bytes, file: assets.clone(), batch_rows: most(ASSET_ROW_BYTES) })
        }
    }
}

/// The batches up to the first error, and the error.
fn until_error(mut batches: impl Iterator<Item = Result<RecordBatch>> + Send + 'static) -> Batches {
    let mut failed = false;
    Box::new(std::iter::from_fn(move || {
        let next = if failed { None } else { batches.next() };
        failed |= matches!(next, Some(Err(_)));
        next
    }))
}

struct Data {
    at: At,
    entries: Entries,
    batch_rows: usize,
}

impl Data {
    fn push(&self, out: &mut Columns, entry: &Entry) -> Result<()> {
        let Some(xdr) = &entry.data else { return Ok(()) };
        self.row(out, entry, xdr)
            .map_err(|fault| fault.at(checkpoints::state(self.at.ledger), self.at.ledger))
    }

    fn row(&self, out: &mut Columns, entry: &Entry, xdr: &[u8]) -> Result<(), Fault> {
        let whole: LedgerEntry = decoded(xdr)?;
        let LedgerEntryData::ContractData(data) = &whole.data else {
            return Err("an entry is no contract data".into());
        };
        let columns = columns(data, entry.key, &self.at.passphrase)
            .map_err(unencodable)?
            .ok_or("a contract data entry does not belong to a contract")?;
        out.push(&Row {
            last_modified_ledger: whole.last_modified_ledger_seq,
            ledger_sequence: self.at.ledger,
            closed_at: self.at.closed_at.timestamp_micros(),
            expiration_ledger_seq: match entry.kept {
                Kept::Until(ledger) => Some(ledger),
                Kept::Archived => None,
            },
            ..columns.row()
        });
        Ok(())
    }
}

impl Iterator for Data {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut columns = Columns::with_capacity(self.batch_rows.min(MESSAGE_BYTES / 512));
        // the next value may take up to 64 KiB
        while columns.rows() < self.batch_rows
            && columns.bytes() < MESSAGE_BYTES - (64 << 10)
            && let Some(entry) = self.entries.next()
        {
            if let Err(error) = entry.and_then(|entry| self.push(&mut columns, &entry)) {
                return Some(Err(error));
            }
        }
        (columns.rows() > 0).then(|| columns.finish())
    }
}

struct Ttl {
    at: At,
    entries: Entries,
    batch_rows: usize,
}

impl Iterator for Ttl {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries: Result<Vec<Entry>> = self.entries.by_ref().take(self.batch_rows).collect();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return Some(Err(error)),
        };
        let mut columns = TtlColumns::with_capacity(entries.len());
        for entry in &entries {
            let (change, live_until_ledger) = match entry.kept {
                Kept::Until(ledger) => (TtlChange::Created, Some(ledger)),
                Kept::Archived => (TtlChange::Evicted, None),
            };
            // only persistent entries are archived
            let is_archived = entry.kept == Kept::Archived;
            columns.push(&TtlRow {
                ledger_key_hash: &base16(&entry.key),
                change,
                live_until_ledger,
                contract_durability: is_archived.then(|| durability(ContractDataDurability::Persistent)),
                ledger_sequence: self.at.ledger,
                closed_at: self.at.closed_at.timestamp_micros(),
            });
        }
        (!entries.is_empty()).then(|| columns.finish())
    }
}

struct Assets {
    at: At,
    bytes: BufReader<SpoolReader>,
    file: Spooled,
    batch_rows: usize,
}

impl Iterator for Assets {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut columns, mut rows) = (AssetsColumns::with_capacity(self.batch_rows), 0);
        while rows < self.batch_rows {
            match named::next(&mut self.bytes) {
                Ok(Some((contract, asset))) => {
                    columns.push(&contract, &asset::columns(&asset), self.at.ledger);
                    rows += 1;
                }
                Ok(None) => break,
                Err(error) => return Some(Err(self.file.failed(error))),
            }
        }
        (rows > 0).then(|| columns.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn nothing_follows_an_error() {
        let batch = || RecordBatch::new_empty(Table::Ttl.source_schema());
        let all = [Ok(batch()), Err(Error::Unexpected(String::new())), Ok(batch())];
        let seen: Vec<bool> = until_error(all.into_iter()).map(|batch| batch.is_ok()).collect();
        assert_eq!(seen, [true, false]);
    }
}
