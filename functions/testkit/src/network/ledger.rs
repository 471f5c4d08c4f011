//! Ledgers made by hand: of every version of LedgerCloseMeta, with the correct hashes in their headers.

use sha2::{Digest, Sha256};
use stellar_xdr::*;

use crate::asset::PUBNET;

/// A version of LedgerCloseMeta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Before protocol 20.
    V0,
    /// With what the ledger evicts.
    V1,
    /// With refunds after the transactions, which run in parallel.
    V2,
}

/// One transaction, given by its changes.
#[derive(Clone, Default)]
pub struct Tx {
    /// Whether its result says so.
    pub failed: bool,
    /// The changes that its fee makes.
    pub fees: Vec<LedgerEntryChange>,
    /// What it changes.
    pub meta: TransactionMeta,
    /// Only in a ledger of version 2.
    pub refunds: Vec<LedgerEntryChange>,
}

/// A transaction with one operation.
pub fn tx(changes: Vec<LedgerEntryChange>) -> Tx {
    Tx { meta: meta(3, vec![], vec![changes], vec![]), ..Tx::default() }
}

fn list(changes: Vec<LedgerEntryChange>) -> LedgerEntryChanges {
    LedgerEntryChanges(changes.try_into().unwrap())
}

/// Transaction meta of a version. Version 0 has only operations, version 1 nothing after them.
pub fn meta(
    version: u32,
    before: Vec<LedgerEntryChange>,
    operations: Vec<Vec<LedgerEntryChange>>,
    after: Vec<LedgerEntryChange>,
) -> TransactionMeta {
    let (before, after) = (list(before), list(after));
    let plain = || -> VecM<OperationMeta> {
        let operations = operations.iter().cloned().map(|changes| OperationMeta { changes: list(changes) });
        operations.collect::<Vec<_>>().try_into().unwrap()
    };
    match version {
        0 => TransactionMeta::V0(plain()),
        1 => TransactionMeta::V1(TransactionMetaV1 { tx_changes: before, operations: plain() }),
        2 => TransactionMeta::V2(TransactionMetaV2 {
            tx_changes_before: before,
            operations: plain(),
            tx_changes_after: after,
        }),
        3 => TransactionMeta::V3(TransactionMetaV3 {
            tx_changes_before: before,
            operations: plain(),
            tx_changes_after: after,
            ..TransactionMetaV3::default()
        }),
        _ => {
            let of = |changes| OperationMetaV2 { changes: list(changes), ..OperationMetaV2::default() };
            TransactionMeta::V4(TransactionMetaV4 {
                tx_changes_before: before,
                operations: operations.into_iter().map(of).collect::<Vec<_>>().try_into().unwrap(),
                tx_changes_after: after,
                ..TransactionMetaV4::default()
            })
        }
    }
}

/// Makes the ledgers of a chain.
pub struct Maker {
    /// The next ledger.
    pub next: u32,
    /// The hash of the ledger before it.
    pub previous: [u8; 32],
    /// The protocol in the headers.
    pub protocol: u32,
    /// The hash of the state in the next header.
    pub bucket_list_hash: [u8; 32],
    /// What each ledger of version 1 or 2 evicts.
    pub evicted: Vec<LedgerKey>,
    network: [u8; 32],
}

fn sha256(xdr: &impl WriteXdr) -> [u8; 32] {
    Sha256::digest(xdr.to_xdr(Limits::none()).unwrap()).into()
}

impl Maker {
    /// The maker of a chain on the public network.
    pub fn new(first: u32) -> Self {
        Self::of(first, PUBNET)
    }

    /// The maker of a chain on the network with this passphrase.
    pub fn of(first: u32, passphrase: &str) -> Self {
        Self {
            next: first,
            previous: [7; 32],
            protocol: 0,
            bucket_list_hash: [0; 32],
            evicted: vec![LedgerKey::default()],
            network: Sha256::digest(passphrase).into(),
        }
    }

    /// The next ledger with one transaction for each of `txs`.
    pub fn ledger(&mut self, version: Form, txs: Vec<Tx>) -> LedgerCloseMeta {
        self.upgraded(version, txs, vec![])
    }

    /// The same with changes by an upgrade.
    pub fn upgraded(
        &mut self,
        version: Form,
        txs: Vec<Tx>,
        upgrade: Vec<LedgerEntryChange>,
    ) -> LedgerCloseMeta {
        let envelope = |i: usize| {
            let seq_num = SequenceNumber(i64::from(self.next) << 16 | i as i64);
            let tx = Transaction { seq_num, ..Transaction::default() };
            TransactionEnvelope::Tx(TransactionV1Envelope { tx, ..TransactionV1Envelope::default() })
        };
        let envelopes: Vec<_> = (0..txs.len()).map(envelope).collect();
        let results: Vec<_> =
            envelopes.iter().zip(&txs).map(|(envelope, tx)| self.result(envelope, tx)).collect();
        let previous_ledger_hash = Hash(self.previous);
        let legacy = TransactionSet {
            previous_ledger_hash: previous_ledger_hash.clone(),
            txs: envelopes.clone().try_into().unwrap(),
        };
        let set = GeneralizedTransactionSet::V1(TransactionSetV1 {
            previous_ledger_hash: previous_ledger_hash.clone(),
            phases: vec![phase(version, envelopes)].try_into().unwrap(),
        });
        let tx_set_hash = match version {
            Form::V0 => {
                let mut hash = Sha256::new().chain_update(self.previous);
                legacy.txs.iter().for_each(|tx| hash.update(tx.to_xdr(Limits::none()).unwrap()));
                hash.finalize().into()
            }
            _ => sha256(&set),
        };
        let header = LedgerHeader {
            ledger_version: self.protocol,
            bucket_list_hash: Hash(self.bucket_list_hash),
            ledger_seq: self.next,
            previous_ledger_hash,
            scp_value: StellarValue {
                tx_set_hash: Hash(tx_set_hash),
                close_time: TimePoint(close_time(self.next)),
                ..StellarValue::default()
            },
            tx_set_result_hash: Hash(sha256(&TransactionResultSet {
                results: results.clone().try_into().unwrap(),
            })),
            ..LedgerHeader::default()
        };
        self.previous = sha256(&header);
        self.next = self.next.wrapping_add(1);
        let ledger_header = LedgerHeaderHistoryEntry {
            hash: Hash(self.previous),
            header,
            ..LedgerHeaderHistoryEntry::default()
        };
        let upgrades = match upgrade.is_empty() {
            true => vec![],
            false => vec![UpgradeEntryMeta { upgrade: LedgerUpgrade::Version(21), changes: list(upgrade) }],
        };
        let upgrades_processing: VecM<_> = upgrades.try_into().unwrap();
        let processed = txs.into_iter().zip(results);
        let older = |(tx, result): (Tx, _)| TransactionResultMeta {
            result,
            fee_processing: list(tx.fees),
            tx_apply_processing: tx.meta,
        };
        match version {
            Form::V0 => LedgerCloseMeta::V0(LedgerCloseMetaV0 {
                ledger_header,
                tx_set: legacy,
                tx_processing: processed.map(older).collect::<Vec<_>>().try_into().unwrap(),
                upgrades_processing,
                ..LedgerCloseMetaV0::default()
            }),
            Form::V1 => LedgerCloseMeta::V1(LedgerCloseMetaV1 {
                ledger_header,
                tx_set: set,
                tx_processing: processed.map(older).collect::<Vec<_>>().try_into().unwrap(),
                upgrades_processing,
                evicted_keys: self.evicted.clone().try_into().unwrap(),
                ..LedgerCloseMetaV1::default()
            }),
            Form::V2 => {
                let newer = |(tx, result): (Tx, _)| TransactionResultMetaV1 {
                    result,
                    fee_processing: list(tx.fees),
                    tx_apply_processing: tx.meta,
                    post_tx_apply_fee_processing: list(tx.refunds),
                    ..TransactionResultMetaV1::default()
                };
                LedgerCloseMeta::V2(LedgerCloseMetaV2 {
                    ledger_header,
                    tx_set: set,
                    tx_processing: processed.map(newer).collect::<Vec<_>>().try_into().unwrap(),
                    upgrades_processing,
                    evicted_keys: self.evicted.clone().try_into().unwrap(),
                    ..LedgerCloseMetaV2::default()
                })
            }
        }
    }

    fn result(&self, envelope: &TransactionEnvelope, tx: &Tx) -> TransactionResultPair {
        let result = match tx.failed {
            false => TransactionResultResult::TxSuccess(VecM::default()),
            true => TransactionResultResult::TxFailed(VecM::default()),
        };
        TransactionResultPair {
            transaction_hash: Hash(envelope.hash(self.network).unwrap()),
            result: TransactionResult { result, ..TransactionResult::default() },
        }
    }
}

/// Transactions of version 2 ledgers run in parallel.
fn phase(version: Form, envelopes: Vec<TransactionEnvelope>) -> TransactionPhase {
    if version == Form::V2 {
        let cluster = DependentTxCluster(envelopes.try_into().unwrap());
        let stage = ParallelTxExecutionStage(vec![cluster].try_into().unwrap());
        let execution_stages = vec![stage].try_into().unwrap();
        return TransactionPhase::V1(ParallelTxsComponent { base_fee: None, execution_stages });
    }
    let txs = envelopes.try_into().unwrap();
    let component = TxSetComponentTxsMaybeDiscountedFee { base_fee: None, txs };
    TransactionPhase::V0(vec![TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component)].try_into().unwrap())
}

/// When the ledger closed, in seconds since 1970.
pub fn close_time(ledger: u32) -> u64 {
    1_700_000_000 + 5 * u64::from(ledger % 100_000_000)
}

/// The XDR of a batch.
pub fn batch(start: u32, ledgers: Vec<LedgerCloseMeta>) -> Vec<u8> {
    let batch = LedgerCloseMetaBatch {
        start_sequence: start,
        end_sequence: start + ledgers.len() as u32 - 1,
        ledger_close_metas: ledgers.try_into().unwrap(),
    };
    batch.to_xdr(Limits::none()).unwrap()
}

/// The name of an object or a folder.
pub fn name(start: u32, end: u32) -> String {
    let hex = u32::MAX - start;
    if start == end { format!("{hex:08X}--{start}") } else { format!("{hex:08X}--{start}-{end}") }
}
