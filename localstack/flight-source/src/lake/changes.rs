//! The changes of a ledger as rows: one per change of a contract data entry, in the order in which the ledger applied them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataEntry, LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, LedgerKey, Limits, ScVal,
    WriteXdr,
};

use super::entry::{EntryColumns, columns, ledger_key};
use super::fault::Fault;
use crate::columns::{Columns, Row};
use crate::dataset::MESSAGE_BYTES;
use crate::error::Result;

/// One change of one entry.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) columns: EntryColumns,
    pub(crate) last_modified: u32,
    pub(crate) deleted: bool,
    pub(crate) expiration: Option<u32>,
    key: [u8; 32],
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

/// The changes of a ledger collected so far.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    passphrase: &'a str,
    ledger: u32,
    phases: [Vec<Change>; 3],
    /// The last value of each entry that the ledger showed: a removal does not contain it.
    images: HashMap<[u8; 32], (u32, ContractDataEntry)>,
    ttls: HashMap<[u8; 32], Ttl>,
}

/// The last ledger in which one entry lives. It never falls while the entry lives (CAP-63): transactions that are applied in
/// parallel each show the value that they saw, in any order.
#[derive(Debug, Default)]
struct Ttl {
    /// Before this ledger, if the ledger shows it.
    before: Option<u32>,
    /// The greatest one shown since the entry was created or restored.
    now: Option<u32>,
}

impl<'a> Changes<'a> {
    /// No changes yet, for this ledger of the network with this passphrase.
    pub(crate) fn new(passphrase: &'a str, ledger: u32) -> Self {
        let (images, ttls) = (HashMap::new(), HashMap::new());
        Self { passphrase, ledger, phases: [const { Vec::new() }; 3], images, ttls }
    }

    /// Adds a list of changes, such as those of one operation: sorted by ledger key, because stellar-core writes a list in the
    /// order of a hash map that each of its processes seeds anew. The changes of one entry stay in order. The rows get the time
    /// to live that their entry has at the end of the list.
    ///
    /// # Errors
    /// A change that the network cannot have made.
    pub(crate) fn add(&mut self, phase: Phase, list: &LedgerEntryChanges) -> Result<(), Fault> {
        let first = self.phases[phase as usize].len();
        let mut of_data = Vec::new();
        for change in list.iter() {
            match data_key(change)? {
                Some(key) => of_data.push((key, change)),
                None => self.ttl(change),
            }
        }
        of_data.sort_by(|(left, _), (right, _)| left.cmp(right)); // stable
        for (key, change) in of_data {
            self.data(phase, Sha256::digest(key).into(), change)?;
        }
        for change in &mut self.phases[phase as usize][first..] {
            if !change.deleted {
                change.expiration = self.ttls.get(&change.key).and_then(|ttl| ttl.now);
            }
        }
        Ok(())
    }

    /// All changes, in order. If the ledger shows the time to live of an entry only after a change, the change gets the
    /// first one shown.
    pub(crate) fn finish(self) -> Vec<Change> {
        let mut all: Vec<Change> = self.phases.into_iter().flatten().collect();
        for change in &mut all {
            if !change.deleted && change.expiration.is_none() {
                change.expiration = self.ttls.get(&change.key).and_then(|ttl| ttl.before);
            }
        }
        all
    }

    /// A change of the contract data entry with this hash.
    fn data(&mut self, phase: Phase, key: [u8; 32], change: &LedgerEntryChange) -> Result<(), Fault> {
        let (entry, is_written) = match change {
            LedgerEntryChange::State(entry) => (entry, false),
            LedgerEntryChange::Created(entry)
            | LedgerEntryChange::Updated(entry)
            | LedgerEntryChange::Restored(entry) => (entry, true),
            LedgerEntryChange::Removed(_) => {
                let Some((last_modified, data)) = self.images.remove(&key) else {
                    return Err("an entry is removed whose previous value the ledger does not contain".into());
                };
                return self.row(phase, key, &data, last_modified, true);
            }
        };
        let LedgerEntryData::ContractData(data) = &entry.data else { return Ok(()) };
        if is_written {
            self.row(phase, key, data, entry.last_modified_ledger_seq, false)?;
        }
        self.images.insert(key, (entry.last_modified_ledger_seq, data.clone()));
        Ok(())
    }

    /// A change of any other entry: of a time to live, or of none.
    fn ttl(&mut self, change: &LedgerEntryChange) {
        let (entry, is_new) = match change {
            LedgerEntryChange::State(entry) | LedgerEntryChange::Updated(entry) => (entry, false),
            LedgerEntryChange::Created(entry) | LedgerEntryChange::Restored(entry) => (entry, true),
            LedgerEntryChange::Removed(LedgerKey::Ttl(ttl)) => {
                self.ttls.entry(ttl.key_hash.0).or_default().now = None;
                return;
            }
            LedgerEntryChange::Removed(_) => return,
        };
        let LedgerEntryData::Ttl(ttl) = &entry.data else { return };
        let until = Some(ttl.live_until_ledger_seq);
        match self.ttls.entry(ttl.key_hash.0) {
            Entry::Vacant(first) => {
                let before = if matches!(change, LedgerEntryChange::State(_)) { until } else { None };
                first.insert(Ttl { before, now: until });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.now = if is_new { until } else { known.now.max(until) };
            }
        }
    }

    fn row(
        &mut self,
        phase: Phase,
        key: [u8; 32],
        data: &ContractDataEntry,
        last_modified: u32,
        deleted: bool,
    ) -> Result<(), Fault> {
        if last_modified > self.ledger {
            return Err(
                format!("an entry was last modified in ledger {last_modified}, which is later").into()
            );
        }
        let columns = columns(data, key, self.passphrase)
            .map_err(unencodable)?
            .ok_or("a contract data entry does not belong to a contract")?;
        self.phases[phase as usize].push(Change { columns, last_modified, deleted, expiration: None, key });
        Ok(())
    }
}

/// The changes of a ledger in batches of up to the size of a message, unless a single row is larger.
pub(crate) fn batches(
    changes: &[Change],
    sequence: u32,
    closed_at: DateTime<Utc>,
) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    let mut rest = changes.iter().peekable();
    while rest.peek().is_some() {
        let mut columns = Columns::with_capacity(rest.len().min(MESSAGE_BYTES / 512));
        // the next value may take up to 64 KiB
        while columns.bytes() < MESSAGE_BYTES - (64 << 10)
            && let Some(change) = rest.next()
        {
            let entry = &change.columns;
            let asset = entry.asset.as_ref();
            columns.push(&Row {
                contract_id: &entry.contract_id,
                contract_key_type: &entry.key_type,
                contract_durability: entry.durability,
                asset_code: asset.and_then(|asset| asset.code.as_deref()),
                asset_issuer: asset.and_then(|asset| asset.issuer.as_deref()),
                asset_type: asset.map(|asset| asset.asset_type),
                balance_holder: entry.balance.as_ref().map(|(holder, _)| holder.as_str()),
                balance: entry.balance.as_ref().and_then(|(_, amount)| *amount),
                last_modified_ledger: change.last_modified,
                deleted: change.deleted,
                ledger_sequence: sequence,
                closed_at: closed_at.timestamp_micros(),
                ledger_key_hash: &entry.ledger_key_hash,
                key_xdr: &entry.key_xdr,
                val_xdr: &entry.val_xdr,
                contract_instance_type: entry.instance_type,
                contract_instance_wasm_hash: entry.wasm_hash.as_deref(),
                expiration_ledger_seq: change.expiration,
            });
        }
        batches.push(columns.finish()?);
    }
    Ok(batches)
}

/// Whether entries with this key become rows. Nonces do not, as in stellar-etl: they are used once and say nothing.
fn has_rows(key: &ScVal) -> bool {
    !matches!(key, ScVal::LedgerKeyNonce(_))
}

/// The XDR of the ledger key, if the change is one of an entry that becomes rows.
fn data_key(change: &LedgerEntryChange) -> Result<Option<Vec<u8>>, Fault> {
    let key = match change {
        LedgerEntryChange::State(entry)
        | LedgerEntryChange::Created(entry)
        | LedgerEntryChange::Updated(entry)
        | LedgerEntryChange::Restored(entry) => match &entry.data {
            LedgerEntryData::ContractData(data) if has_rows(&data.key) => {
                ledger_key(data).to_xdr(Limits::none())
            }
            _ => return Ok(None),
        },
        LedgerEntryChange::Removed(key) => match key {
            LedgerKey::ContractData(data) if has_rows(&data.key) => key.to_xdr(Limits::none()),
            _ => return Ok(None),
        },
    };
    key.map(Some).map_err(unencodable)
}

fn unencodable(error: stellar_xdr::Error) -> Fault {
    Fault::caused("an entry cannot be encoded as XDR", error)
}
