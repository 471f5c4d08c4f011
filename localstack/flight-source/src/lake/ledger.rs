//! One ledger from its XDR, read part by part: at most one transaction is in memory at a time. Transaction set and results
//! are checked against the hashes in the header.

use std::io::{self, Read};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use pipeline::LedgerWindow;
use pipeline::contract::tables::Table;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ExtensionPoint, GeneralizedTransactionSet, Hash, LedgerCloseMetaExt, LedgerEntry, LedgerEntryChanges,
    LedgerHeader, LedgerHeaderHistoryEntryExt, LedgerKey, Limited, Limits, ReadXdr, ScpHistoryEntry,
    TransactionEnvelope, TransactionMeta, TransactionPhase, TransactionResultPair, TransactionResultResult,
    TxSetComponent, UpgradeEntryMeta,
};

use super::changes::{Changes, Phase, Rows};
use crate::fault::Fault;

/// Maximum bytes of the XDR of one ledger. The largest ledgers of the public network have about 10 MB.
pub(crate) const LEDGER_BYTES: usize = 128 << 20;
/// The first protocol in which validators may agree on no transaction set.
const SKIPPING_PROTOCOL: u32 = 28;
/// Maximum nesting of XDR: the network refuses values deeper than 500, and a ledger adds about 30 levels.
const DEPTH: u32 = 600;

/// One ledger: its rows, and the hashes that link it to the ledger before.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) sequence: u32,
    pub(crate) closed_at: DateTime<Utc>,
    pub(crate) hash: [u8; 32],
    pub(crate) previous: [u8; 32],
    /// Of each table, by its place in [`Table::ALL`].
    pub(crate) tables: [Rows; Table::ALL.len()],
}

impl Ledger {
    /// Its rows in a table.
    pub(crate) fn rows(&self, table: Table) -> &Rows {
        &self.tables[table as usize]
    }

    /// Its approximate size in memory, with all tables.
    pub(crate) fn bytes(&self) -> usize {
        let batches = self.tables.iter().flat_map(|rows| &rows.batches);
        256 + batches.map(RecordBatch::get_array_memory_size).sum::<usize>()
    }
}

/// A reader of XDR that can hash the bytes read.
pub(crate) struct Xdr<R> {
    inner: R,
    hash: Option<Sha256>,
}

impl<R: Read> Xdr<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: None }
    }
}

impl<R: Read> Read for Xdr<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buf[..read]);
        }
        Ok(read)
    }
}

/// The XDR of one ledger, and the state of the checks against its header.
struct Reader<'a, R> {
    xdr: Limited<&'a mut Xdr<R>>,
    results: Sha256,
    hashes: Vec<[u8; 32]>,
}

/// A transaction set: its hash, the number of its transactions, and the hash of the first one on this network.
struct Transactions {
    hash: [u8; 32],
    count: usize,
    first: Option<[u8; 32]>,
}

/// Reads the next ledger, which must be `sequence`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read<R: Read>(xdr: &mut Xdr<R>, sequence: u32, passphrase: &str) -> Result<Ledger, Fault> {
    let limits = Limits { depth: DEPTH, len: LEDGER_BYTES };
    let mut reader = Reader { xdr: Limited::new(xdr, limits), results: Sha256::new(), hashes: Vec::new() };
    reader.ledger(sequence, passphrase)
}

fn undecodable(error: stellar_xdr::Error) -> Fault {
    match error {
        stellar_xdr::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it is truncated".into()
        }
        stellar_xdr::Error::Io(error) => Fault::caused("it cannot be decompressed", error),
        error => Fault::caused("its XDR cannot be decoded", error),
    }
}

impl<R: Read> Reader<'_, R> {
    fn next<T: ReadXdr>(&mut self) -> Result<T, Fault> {
        T::read_xdr(&mut self.xdr).map_err(undecodable)
    }

    /// The next value, and `hash` continued over its XDR.
    fn hashed<T: ReadXdr>(&mut self, hash: Sha256) -> Result<(T, Sha256), Fault> {
        self.xdr.inner.hash = Some(hash);
        let value = self.next();
        let hash = self.xdr.inner.hash.take().unwrap_or_default();
        Ok((value?, hash))
    }

    fn ledger(&mut self, sequence: u32, passphrase: &str) -> Result<Ledger, Fault> {
        let version: u32 = self.next()?;
        if version > 2 {
            return Err(
                format!("its LedgerCloseMeta has version {version}; only 0, 1 and 2 are supported").into()
            );
        }
        if version > 0 {
            let _: LedgerCloseMetaExt = self.next()?;
        }
        let (hash, header) = self.header()?;
        if header.ledger_seq != sequence {
            return Err(format!("there is ledger {} in its place", header.ledger_seq).into());
        }
        let network: [u8; 32] = Sha256::digest(passphrase.as_bytes()).into();
        let transactions = if version == 0 { self.legacy_set(network)? } else { self.set(network)? };
        // From protocol 28 on, the hash zero names the empty set, and no other (CAP-83).
        let is_skipped = header.ledger_version >= SKIPPING_PROTOCOL
            && header.scp_value.tx_set_hash.0 == [0; 32]
            && transactions.count == 0;
        if transactions.hash != header.scp_value.tx_set_hash.0 && !is_skipped {
            return Err("its transaction set does not have the hash that its header names".into());
        }
        let mut changes = Changes::new(passphrase, sequence);
        self.transactions(version, &mut changes)?;
        if transactions.count != self.hashes.len() {
            let (transactions, results) = (transactions.count, self.hashes.len());
            return Err(format!("it has {transactions} transactions but {results} results").into());
        }
        if transactions.first.is_some_and(|first| !self.hashes.contains(&first)) {
            return Err(Fault::of_another_network(passphrase));
        }
        let results: [u8; 32] = std::mem::take(&mut self.results).finalize().into();
        if results != header.tx_set_result_hash.0 {
            return Err("its results do not have the hash that its header names".into());
        }
        self.rest(version, &mut changes)?;
        let seconds = i64::try_from(header.scp_value.close_time.0).ok();
        let closed_at = seconds
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .ok_or("its close time is out of range")?;
        let (previous, tables) = (header.previous_ledger_hash.0, changes.finish(closed_at)?);
        Ok(Ledger { sequence, closed_at, hash, previous, tables })
    }

    fn header(&mut self) -> Result<([u8; 32], LedgerHeader), Fault> {
        let Hash(expected) = self.next()?;
        let (header, hash): (LedgerHeader, _) = self.hashed(Sha256::new())?;
        let _: LedgerHeaderHistoryEntryExt = self.next()?;
        let hash: [u8; 32] = hash.finalize().into();
        match hash == expected {
            true => Ok((hash, header)),
            false => Err("its header does not match the hash given for it".into()),
        }
    }

    fn set(&mut self, network: [u8; 32]) -> Result<Transactions, Fault> {
        let (set, hash): (GeneralizedTransactionSet, _) = self.hashed(Sha256::new())?;
        let GeneralizedTransactionSet::V1(set) = set;
        let (mut count, mut first) = (0, None);
        for phase in set.phases.iter() {
            let mut saw = |envelopes: &[TransactionEnvelope]| {
                count += envelopes.len();
                first = first.take().or_else(|| envelopes.first().cloned());
            };
            match phase {
                TransactionPhase::V0(components) => components.iter().for_each(|component| {
                    let TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) = component;
                    saw(component.txs.as_slice());
                }),
                TransactionPhase::V1(parallel) => parallel.execution_stages.iter().for_each(|stage| {
                    stage.iter().for_each(|cluster| saw(cluster.as_slice()));
                }),
            }
        }
        let first = first.map(|first| first.hash(network)).transpose().map_err(undecodable)?;
        Ok(Transactions { hash: hash.finalize().into(), count, first })
    }

    /// Transaction sets before protocol 20: their hash does not cover the number of transactions.
    fn legacy_set(&mut self, network: [u8; 32]) -> Result<Transactions, Fault> {
        let (_, mut hash): (Hash, _) = self.hashed(Sha256::new())?;
        let (count, mut first): (u32, _) = (self.next()?, None);
        for i in 0..count {
            let (envelope, so_far): (TransactionEnvelope, _) = self.hashed(hash)?;
            hash = so_far;
            if i == 0 {
                first = Some(envelope.hash(network).map_err(undecodable)?);
            }
        }
        Ok(Transactions { hash: hash.finalize().into(), count: count as usize, first })
    }

    /// The transactions in the order in which they were applied; their results are hashed for the header.
    fn transactions(&mut self, version: u32, changes: &mut Changes<'_>) -> Result<(), Fault> {
        let (count, mut results): (u32, _) = self.hashed(Sha256::new())?;
        for _ in 0..count {
            if version == 2 {
                let _: ExtensionPoint = self.next()?;
            }
            let (result, so_far): (TransactionResultPair, _) = self.hashed(results)?;
            results = so_far;
            self.hashes.push(result.transaction_hash.0);
            changes.add(Phase::Fees, &self.next()?)?;
            let succeeded = matches!(
                result.result.result,
                TransactionResultResult::TxSuccess(_) | TransactionResultResult::TxFeeBumpInnerSuccess(_)
            );
            apply(&self.next()?, succeeded, changes)?;
            if version == 2 {
                changes.add(Phase::Close, &self.next()?)?;
            }
        }
        self.results = results;
        Ok(())
    }

    /// Upgrades and evictions; consensus messages have no rows.
    fn rest(&mut self, version: u32, changes: &mut Changes<'_>) -> Result<(), Fault> {
        self.each(|upgrade: UpgradeEntryMeta| changes.add(Phase::Close, &upgrade.changes))?;
        self.each(|_: ScpHistoryEntry| Ok(()))?;
        if version > 0 {
            let _: u64 = self.next()?;
            self.each(|key: LedgerKey| changes.evict(&key))?;
        }
        if version == 1 {
            // persistent entries, which no network has evicted this way
            self.each(|entry: LedgerEntry| changes.evict(&entry.to_key()))?;
        }
        Ok(())
    }

    /// Does something with each element of a list.
    fn each<T: ReadXdr>(&mut self, mut act: impl FnMut(T) -> Result<(), Fault>) -> Result<(), Fault> {
        for _ in 0..self.next::<u32>()? {
            act(self.next()?)?;
        }
        Ok(())
    }
}

/// The changes of one transaction. If it failed, its operations changed nothing, even if the meta of an early protocol
/// shows changes.
fn apply(meta: &TransactionMeta, succeeded: bool, changes: &mut Changes<'_>) -> Result<(), Fault> {
    let none = LedgerEntryChanges::default();
    let (before, after) = match meta {
        TransactionMeta::V0(_) => (&none, &none),
        TransactionMeta::V1(meta) => (&meta.tx_changes, &none),
        TransactionMeta::V2(meta) => (&meta.tx_changes_before, &meta.tx_changes_after),
        TransactionMeta::V3(meta) => (&meta.tx_changes_before, &meta.tx_changes_after),
        TransactionMeta::V4(meta) => (&meta.tx_changes_before, &meta.tx_changes_after),
    };
    changes.add(Phase::Transaction, before)?;
    if succeeded {
        let operations: Vec<&LedgerEntryChanges> = match meta {
            TransactionMeta::V0(operations) => {
                operations.iter().map(|operation| &operation.changes).collect()
            }
            TransactionMeta::V1(meta) => meta.operations.iter().map(|operation| &operation.changes).collect(),
            TransactionMeta::V2(meta) => meta.operations.iter().map(|operation| &operation.changes).collect(),
            TransactionMeta::V3(meta) => meta.operations.iter().map(|operation| &operation.changes).collect(),
            TransactionMeta::V4(meta) => meta.operations.iter().map(|operation| &operation.changes).collect(),
        };
        for operation in operations {
            changes.add(Phase::Transaction, operation)?;
        }
    }
    changes.add(Phase::Transaction, after)
}

/// A range of ledgers for messages; a single ledger is one number.
pub(crate) fn named(ledgers: LedgerWindow) -> String {
    match ledgers.start() == ledgers.end() {
        true => ledgers.start().to_string(),
        false => ledgers.to_string(),
    }
}
