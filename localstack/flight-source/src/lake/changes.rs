//! The changes of a ledger as rows, in the order in which the ledger applied them: of `data` one per change of a contract
//! data entry; beside it what the same changes say of times to live and of assets.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use pipeline::contract::tables::{Table, entry_change};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataEntry, LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, LedgerKey, Limits, WriteXdr,
};

use super::assets::Assets;
use super::ttls::Ttls;
use crate::columns::{Columns, Row};
use crate::dataset::MESSAGE_BYTES;
use crate::entry::{EntryColumns, columns, has_rows, ledger_key};
use crate::error::Result;
use crate::fault::{Fault, misfit, unencodable};

/// One change of one entry.
#[derive(Debug)]
struct Change {
    columns: EntryColumns,
    last_modified: u32,
    /// One of [`entry_change`].
    change: u32,
    expiration: Option<u32>,
    key: [u8; 32],
}

impl Change {
    fn is_removal(&self) -> bool {
        self.change == entry_change::REMOVED
    }
}

/// When in its ledger a list of changes was applied: fees are charged before all transactions; refunds and upgrades come
/// after them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    /// The fee of a transaction.
    Fees = 0,
    /// A transaction.
    Transaction = 1,
    /// A refund of fees, or an upgrade.
    Close = 2,
}

/// The number of phases.
pub(crate) const PHASES: usize = 3;

/// The rows of a table in one ledger.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// How many.
    pub(crate) count: u64,
    /// In batches of up to the size of a message, unless a single row is larger.
    pub(crate) batches: Vec<RecordBatch>,
}

impl From<Vec<RecordBatch>> for Rows {
    fn from(batches: Vec<RecordBatch>) -> Self {
        Self { count: batches.iter().map(|batch| batch.num_rows() as u64).sum(), batches }
    }
}

/// The changes of a ledger collected so far.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    passphrase: &'a str,
    ledger: u32,
    phases: [Vec<Change>; PHASES],
    /// The last value of each entry that the ledger showed: a removal does not contain it.
    images: HashMap<[u8; 32], (u32, ContractDataEntry)>,
    ttls: Ttls,
    assets: Assets,
}

impl<'a> Changes<'a> {
    /// No changes yet, for this ledger of the network with this passphrase.
    pub(crate) fn new(passphrase: &'a str, ledger: u32) -> Self {
        Self {
            passphrase,
            ledger,
            phases: [const { Vec::new() }; PHASES],
            images: HashMap::new(),
            ttls: Ttls::default(),
            assets: Assets::default(),
        }
    }

    /// Adds a list of changes, such as those of one operation: sorted by ledger key, because stellar-core writes a list in the
    /// order of a hash map that each of its processes seeds anew. The changes of one entry stay in order. The rows get the time
    /// to live that their entry has at the end of the list.
    ///
    /// # Errors
    /// A change that the network cannot have made.
    pub(crate) fn add(&mut self, phase: Phase, list: &LedgerEntryChanges) -> Result<(), Fault> {
        let first = self.phases[phase as usize].len();
        let (mut of_data, mut of_ttl) = (Vec::new(), Vec::new());
        for change in list.iter() {
            self.assets.add(change, self.passphrase)?;
            match subject(change)? {
                Subject::Data(key) => of_data.push((key, change)),
                Subject::Ttl(of) => of_ttl.push((of, change)),
                Subject::Other => {}
            }
        }
        self.ttls.add(phase, of_ttl);
        of_data.sort_by(|(left, _), (right, _)| left.cmp(right)); // stable
        for (key, change) in of_data {
            self.data(phase, Sha256::digest(key).into(), change)?;
        }
        for change in &mut self.phases[phase as usize][first..] {
            if !change.is_removal() {
                change.expiration = self.ttls.now(&change.key);
            }
        }
        Ok(())
    }

    /// Adds an entry that the network evicted when the ledger closed.
    ///
    /// # Errors
    /// A key that cannot be encoded.
    pub(crate) fn evict(&mut self, key: &LedgerKey) -> Result<(), Fault> {
        self.ttls.evict(key)
    }

    /// The rows of each table, by its place in [`Table::ALL`]. If the ledger shows the time to live of an entry only after a
    /// change, the row of the change gets the first one shown.
    ///
    /// # Errors
    /// Rows that cannot be encoded, or do not fit the columns.
    pub(crate) fn finish(self, closed_at: DateTime<Utc>) -> Result<[Rows; Table::ALL.len()], Fault> {
        let mut all: Vec<Change> = self.phases.into_iter().flatten().collect();
        for change in &mut all {
            if !change.is_removal() && change.expiration.is_none() {
                change.expiration = self.ttls.before(&change.key);
            }
        }
        let data = batches(&all, self.ledger, closed_at).map_err(misfit)?;
        let ttl = self.ttls.batches(self.ledger, closed_at)?;
        Ok([data, ttl, self.assets.batches(self.passphrase, self.ledger)?].map(Rows::from))
    }

    /// A change of the contract data entry with this hash.
    fn data(&mut self, phase: Phase, key: [u8; 32], change: &LedgerEntryChange) -> Result<(), Fault> {
        let (entry, written) = match change {
            LedgerEntryChange::State(entry) => (entry, None),
            LedgerEntryChange::Created(entry) => (entry, Some(entry_change::CREATED)),
            LedgerEntryChange::Updated(entry) => (entry, Some(entry_change::UPDATED)),
            LedgerEntryChange::Restored(entry) => (entry, Some(entry_change::RESTORED)),
            LedgerEntryChange::Removed(_) => {
                let Some((last_modified, data)) = self.images.remove(&key) else {
                    return Err("an entry is removed whose previous value the ledger does not contain".into());
                };
                return self.row(phase, key, &data, last_modified, entry_change::REMOVED);
            }
        };
        let LedgerEntryData::ContractData(data) = &entry.data else { return Ok(()) };
        if let Some(what) = written {
            self.row(phase, key, data, entry.last_modified_ledger_seq, what)?;
        }
        self.images.insert(key, (entry.last_modified_ledger_seq, data.clone()));
        Ok(())
    }

    fn row(
        &mut self,
        phase: Phase,
        key: [u8; 32],
        data: &ContractDataEntry,
        last_modified: u32,
        change: u32,
    ) -> Result<(), Fault> {
        if last_modified > self.ledger {
            return Err(
                format!("an entry was last modified in ledger {last_modified}, which is later").into()
            );
        }
        let columns = columns(data, key, self.passphrase)
            .map_err(unencodable)?
            .ok_or("a contract data entry does not belong to a contract")?;
        self.phases[phase as usize].push(Change { columns, last_modified, change, expiration: None, key });
        Ok(())
    }
}

/// The changes of a ledger in batches of up to the size of a message, unless a single row is larger.
fn batches(changes: &[Change], sequence: u32, closed_at: DateTime<Utc>) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    let mut rest = changes.iter().peekable();
    while rest.peek().is_some() {
        let mut columns = Columns::with_capacity(rest.len().min(MESSAGE_BYTES / 512));
        // the next value may take up to 64 KiB
        while columns.bytes() < MESSAGE_BYTES - (64 << 10)
            && let Some(change) = rest.next()
        {
            columns.push(&Row {
                last_modified_ledger: change.last_modified,
                deleted: change.is_removal(),
                ledger_sequence: sequence,
                closed_at: closed_at.timestamp_micros(),
                expiration_ledger_seq: change.expiration,
                ledger_entry_change: Some(change.change),
                ..change.columns.row()
            });
        }
        batches.push(columns.finish()?);
    }
    Ok(batches)
}

/// What a change is one of.
enum Subject {
    /// A contract data entry that becomes rows, with the XDR of its ledger key.
    Data(Vec<u8>),
    /// The time to live of the entry with this hash.
    Ttl([u8; 32]),
    /// Anything else.
    Other,
}

fn subject(change: &LedgerEntryChange) -> Result<Subject, Fault> {
    let key = match change {
        LedgerEntryChange::State(entry)
        | LedgerEntryChange::Created(entry)
        | LedgerEntryChange::Updated(entry)
        | LedgerEntryChange::Restored(entry) => match &entry.data {
            LedgerEntryData::ContractData(data) if has_rows(&data.key) => {
                ledger_key(data).to_xdr(Limits::none())
            }
            LedgerEntryData::Ttl(ttl) => return Ok(Subject::Ttl(ttl.key_hash.0)),
            _ => return Ok(Subject::Other),
        },
        LedgerEntryChange::Removed(key) => match key {
            LedgerKey::ContractData(data) if has_rows(&data.key) => key.to_xdr(Limits::none()),
            LedgerKey::Ttl(ttl) => return Ok(Subject::Ttl(ttl.key_hash.0)),
            _ => return Ok(Subject::Other),
        },
    };
    key.map(Subject::Data).map_err(unencodable)
}
