//! One ledger from its XDR, read part by part: nothing but a transaction is held at a time, and what the header
//! vouches for is held against it.

use std::io::{self, Read};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ExtensionPoint, GeneralizedTransactionSet, Hash, LedgerCloseMetaExt, LedgerEntry, LedgerEntryChanges,
    LedgerHeader, LedgerHeaderHistoryEntryExt, LedgerKey, Limited, Limits, ReadXdr, ScpHistoryEntry,
    TransactionEnvelope, TransactionMeta, TransactionPhase, TransactionResultPair, TransactionResultResult,
    TxSetComponent, UpgradeEntryMeta,
};

use super::changes::{Changes, Phase, batches};
use crate::dataset::Window;

/// What the XDR of one ledger may take, at most. The largest ledgers of the public network have some 10 MB.
pub(crate) const LEDGER_BYTES: usize = 128 << 20;
/// How deep XDR may nest: the network refuses values deeper than 500, and a ledger is some 30 around them.
const DEPTH: u32 = 600;

/// One ledger: its rows, and what links it to the one before.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) sequence: u32,
    pub(crate) closed_at: DateTime<Utc>,
    pub(crate) hash: [u8; 32],
    pub(crate) previous: [u8; 32],
    pub(crate) rows: u64,
    /// Batches of the size of a message at most, unless a single row is larger.
    pub(crate) batches: Vec<RecordBatch>,
}

impl Ledger {
    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        256 + self.batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>()
    }
}

/// XDR that hashes itself while it is read.
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

/// The XDR of one ledger, and what of it is bound by the header.
struct Reader<'a, R> {
    xdr: Limited<&'a mut Xdr<R>>,
    results: Sha256,
    hashes: Vec<[u8; 32]>,
}

/// The transaction set: its hash, how many transactions it has, and the hash of one of them on this network.
struct Transactions {
    hash: [u8; 32],
    count: usize,
    first: Option<[u8; 32]>,
}

/// Reads the next ledger, which must be `sequence`.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn read<R: Read>(xdr: &mut Xdr<R>, sequence: u32, passphrase: &str) -> Result<Ledger, String> {
    let limits = Limits { depth: DEPTH, len: LEDGER_BYTES };
    let mut reader = Reader { xdr: Limited::new(xdr, limits), results: Sha256::new(), hashes: Vec::new() };
    reader.ledger(sequence, passphrase)
}

fn words(error: stellar_xdr::Error) -> String {
    match error {
        stellar_xdr::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it is cut short".to_owned()
        }
        stellar_xdr::Error::Io(error) => format!("it cannot be unpacked: {error}"),
        error => format!("its XDR cannot be read: {error}"),
    }
}

impl<R: Read> Reader<'_, R> {
    fn next<T: ReadXdr>(&mut self) -> Result<T, String> {
        T::read_xdr(&mut self.xdr).map_err(words)
    }

    /// The next value, and the hash of its XDR after what is hashed already.
    fn hashed<T: ReadXdr>(&mut self, hash: Sha256) -> Result<(T, Sha256), String> {
        self.xdr.inner.hash = Some(hash);
        let value = self.next();
        let hash = self.xdr.inner.hash.take().unwrap_or_default();
        Ok((value?, hash))
    }

    fn ledger(&mut self, sequence: u32, passphrase: &str) -> Result<Ledger, String> {
        let version: u32 = self.next()?;
        if version > 2 {
            return Err(format!("its LedgerCloseMeta is of version {version}: 0, 1 and 2 are known"));
        }
        if version > 0 {
            let _: LedgerCloseMetaExt = self.next()?;
        }
        let (hash, header) = self.header()?;
        if header.ledger_seq != sequence {
            return Err(format!("it holds ledger {} there", header.ledger_seq));
        }
        let network: [u8; 32] = Sha256::digest(passphrase.as_bytes()).into();
        let transactions = if version == 0 { self.legacy_set(network)? } else { self.set(network)? };
        if transactions.hash != header.scp_value.tx_set_hash.0 {
            return Err("the transaction set is not the one whose hash the header has".to_owned());
        }
        let mut changes = Changes::new(passphrase, sequence);
        self.transactions(version, &mut changes)?;
        if transactions.count != self.hashes.len() {
            return Err(format!(
                "it has {} transactions and {} results",
                transactions.count,
                self.hashes.len()
            ));
        }
        if transactions.first.is_some_and(|first| !self.hashes.contains(&first)) {
            return Err(format!(
                "its transactions are not of the network {passphrase:?}: say which with --network-passphrase"
            ));
        }
        let results: [u8; 32] = std::mem::take(&mut self.results).finalize().into();
        if results != header.tx_set_result_hash.0 {
            return Err("the results are not those whose hash the header has".to_owned());
        }
        self.rest(version, &mut changes)?;
        let seconds = i64::try_from(header.scp_value.close_time.0).ok();
        let closed_at = seconds
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .ok_or_else(|| "its close time is none".to_owned())?;
        let changes = changes.finish();
        Ok(Ledger {
            sequence,
            closed_at,
            hash,
            previous: header.previous_ledger_hash.0,
            rows: changes.len() as u64,
            batches: batches(&changes, sequence, closed_at).map_err(|error| error.to_string())?,
        })
    }

    fn header(&mut self) -> Result<([u8; 32], LedgerHeader), String> {
        let Hash(said) = self.next()?;
        let (header, hash): (LedgerHeader, _) = self.hashed(Sha256::new())?;
        let _: LedgerHeaderHistoryEntryExt = self.next()?;
        let hash: [u8; 32] = hash.finalize().into();
        match hash == said {
            true => Ok((hash, header)),
            false => Err("the hash of its header is another".to_owned()),
        }
    }

    fn set(&mut self, network: [u8; 32]) -> Result<Transactions, String> {
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
        let first = first.map(|first| first.hash(network)).transpose().map_err(words)?;
        Ok(Transactions { hash: hash.finalize().into(), count, first })
    }

    /// Sets of the time before protocol 20 are hashed without the number of their transactions.
    fn legacy_set(&mut self, network: [u8; 32]) -> Result<Transactions, String> {
        let (_, mut hash): (Hash, _) = self.hashed(Sha256::new())?;
        let (count, mut first): (u32, _) = (self.next()?, None);
        for i in 0..count {
            let (envelope, so_far): (TransactionEnvelope, _) = self.hashed(hash)?;
            hash = so_far;
            if i == 0 {
                first = Some(envelope.hash(network).map_err(words)?);
            }
        }
        Ok(Transactions { hash: hash.finalize().into(), count: count as usize, first })
    }

    /// The transactions in the order in which they were applied, results hashed as the header has it.
    fn transactions(&mut self, version: u32, changes: &mut Changes<'_>) -> Result<(), String> {
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

    /// Upgrades, and what has no rows: evictions, and the messages of consensus.
    fn rest(&mut self, version: u32, changes: &mut Changes<'_>) -> Result<(), String> {
        for _ in 0..self.next::<u32>()? {
            let upgrade: UpgradeEntryMeta = self.next()?;
            changes.add(Phase::Close, &upgrade.changes)?;
        }
        self.skip::<ScpHistoryEntry>()?;
        if version > 0 {
            let _: u64 = self.next()?;
            self.skip::<LedgerKey>()?;
        }
        if version == 1 {
            self.skip::<LedgerEntry>()?;
        }
        Ok(())
    }

    fn skip<T: ReadXdr>(&mut self) -> Result<(), String> {
        for _ in 0..self.next::<u32>()? {
            let _: T = self.next()?;
        }
        Ok(())
    }
}

/// The changes of one transaction. The operations of one that failed left none, whatever the meta of an early protocol
/// shows.
fn apply(meta: &TransactionMeta, succeeded: bool, changes: &mut Changes<'_>) -> Result<(), String> {
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

/// Which ledgers, for messages: one, or from one to another.
pub(crate) fn named(ledgers: Window) -> String {
    match ledgers.start == ledgers.end {
        true => ledgers.start.to_string(),
        false => ledgers.to_string(),
    }
}
