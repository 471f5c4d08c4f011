//! The times to live of a ledger as rows: one per change, then one per entry that the network evicted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use pipeline::contract::xdr::{base16, durability};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataDurability, LedgerEntryChange, LedgerEntryData, LedgerKey, Limits, TtlEntry, WriteXdr,
};

use super::changes::{PHASES, Phase};
use crate::columns::ttl::{TTL_ROW_BYTES, TtlChange, TtlColumns, TtlRow};
use crate::dataset::MESSAGE_BYTES;
use crate::fault::{Fault, misfit, unencodable};

/// One row of `ttl`.
#[derive(Debug)]
struct Change {
    key: [u8; 32],
    change: TtlChange,
    live_until: Option<u32>,
    durability: Option<ContractDataDurability>,
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

/// The times to live that a ledger showed so far.
#[derive(Debug, Default)]
pub(crate) struct Ttls {
    known: HashMap<[u8; 32], Ttl>,
    phases: [Vec<Change>; PHASES],
    /// Each with the XDR of its ledger key, and its row.
    evicted: Vec<(Vec<u8>, Change)>,
}

impl Ttls {
    /// The last ledger of the entry with this hash, as far as the ledger showed it up to now.
    pub(crate) fn now(&self, key: &[u8; 32]) -> Option<u32> {
        self.known.get(key)?.now
    }

    /// The last ledger of the entry before this ledger, if the ledger showed it.
    pub(crate) fn before(&self, key: &[u8; 32]) -> Option<u32> {
        self.known.get(key)?.before
    }

    /// Adds the changes of times to live in a list, sorted by the hashes of their entries: the order of their ledger keys.
    pub(crate) fn add(&mut self, phase: Phase, mut changes: Vec<([u8; 32], &LedgerEntryChange)>) {
        changes.sort_by_key(|(key, _)| *key); // stable
        for (key, change) in changes {
            if let Some((change, live_until)) = self.see(key, change) {
                self.phases[phase as usize].push(Change { key, change, live_until, durability: None });
            }
        }
    }

    /// What a change makes of the time to live of the entry with this hash; nothing if it is the image before one.
    fn see(&mut self, key: [u8; 32], change: &LedgerEntryChange) -> Option<(TtlChange, Option<u32>)> {
        let (entry, what) = match change {
            LedgerEntryChange::State(entry) => (entry, None),
            LedgerEntryChange::Created(entry) => (entry, Some(TtlChange::Created)),
            LedgerEntryChange::Updated(entry) => (entry, Some(TtlChange::Extended)),
            LedgerEntryChange::Restored(entry) => (entry, Some(TtlChange::Restored)),
            LedgerEntryChange::Removed(_) => {
                self.known.entry(key).or_default().now = None;
                return Some((TtlChange::Removed, None));
            }
        };
        let LedgerEntryData::Ttl(TtlEntry { live_until_ledger_seq: until, .. }) = entry.data else {
            return None;
        };
        let until = Some(until);
        let now = match self.known.entry(key) {
            Entry::Vacant(first) => {
                let before = if what.is_none() { until } else { None };
                first.insert(Ttl { before, now: until }).now
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let begins = matches!(what, Some(TtlChange::Created | TtlChange::Restored));
                known.now = if begins { until } else { known.now.max(until) };
                known.now
            }
        };
        what.map(|what| (what, now))
    }

    /// Adds an entry that the network evicted. The keys of times to live in that list are those of the entries in it, and
    /// only contract data and contract code have any.
    ///
    /// # Errors
    /// A key that cannot be encoded.
    pub(crate) fn evict(&mut self, key: &LedgerKey) -> Result<(), Fault> {
        let durability = match key {
            LedgerKey::ContractData(data) => data.durability,
            LedgerKey::ContractCode(_) => ContractDataDurability::Persistent,
            _ => return Ok(()),
        };
        let xdr = key.to_xdr(Limits::none()).map_err(unencodable)?;
        let (key, change) = (Sha256::digest(&xdr).into(), TtlChange::Evicted);
        self.evicted.push((xdr, Change { key, change, live_until: None, durability: Some(durability) }));
        Ok(())
    }

    /// All rows, in order, in batches of up to the size of a message. A ledger evicts when it closes, after its transactions
    /// and upgrades.
    ///
    /// # Errors
    /// Rows that do not fit the columns.
    pub(crate) fn batches(
        mut self,
        sequence: u32,
        closed_at: DateTime<Utc>,
    ) -> Result<Vec<RecordBatch>, Fault> {
        self.evicted.sort_by(|(left, _), (right, _)| left.cmp(right));
        let evicted = self.evicted.into_iter().map(|(_, change)| change);
        let rows: Vec<Change> = self.phases.into_iter().flatten().chain(evicted).collect();
        let batch = |rows: &[Change]| {
            let mut columns = TtlColumns::with_capacity(rows.len());
            for row in rows {
                columns.push(&TtlRow {
                    ledger_key_hash: &base16(&row.key),
                    change: row.change,
                    live_until_ledger: row.live_until,
                    contract_durability: row.durability.map(durability),
                    ledger_sequence: sequence,
                    closed_at: closed_at.timestamp_micros(),
                });
            }
            columns.finish()
        };
        let batches = rows.chunks(MESSAGE_BYTES / TTL_ROW_BYTES).map(batch);
        batches.collect::<crate::error::Result<_>>().map_err(misfit)
    }
}
