//! Six ledgers of the public network, protocol 26: all rows of all tables are those of a decoder of its own, in Python with
//! the package stellar-sdk, which walks the ledgers by the rules in docs/data.md. `pubnet.golden` has for each ledger and
//! table how many rows it found, and the SHA-256 of their text.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use stellar_xdr::{
    LedgerCloseMeta, LedgerCloseMetaBatch, LedgerEntryChange, LedgerEntryChanges, LedgerKey, Limits, ReadXdr,
    TransactionMeta, WriteXdr,
};

use super::*;
use crate::record::{AssetRecord, Record, TtlRecord, asset_records, records, ttl_records};

const FIRST: u32 = 63_092_982;
const LAST: u32 = 63_092_987;

fn or_empty<T: ToString>(value: Option<&T>) -> String {
    value.map(T::to_string).unwrap_or_default()
}

pub(crate) fn data_text(row: &Record) -> String {
    [
        row.contract_id.clone(),
        row.contract_key_type.clone(),
        row.contract_durability.clone(),
        or_empty(row.asset_code.as_ref()),
        or_empty(row.asset_issuer.as_ref()),
        or_empty(row.asset_type.as_ref()),
        or_empty(row.balance_holder.as_ref()),
        or_empty(row.balance.as_ref()),
        row.last_modified_ledger.to_string(),
        row.deleted.to_string(),
        row.ledger_sequence.to_string(),
        (row.closed_at / 1_000_000).to_string(),
        row.ledger_key_hash.clone(),
        row.key_xdr.clone(),
        row.val_xdr.clone(),
        or_empty(row.contract_instance_type.as_ref()),
        or_empty(row.contract_instance_wasm_hash.as_ref()),
        or_empty(row.expiration_ledger_seq.as_ref()),
    ]
    .join("|")
}

pub(crate) fn ttl_text(row: &TtlRecord) -> String {
    [
        row.ledger_key_hash.clone(),
        row.change.clone(),
        or_empty(row.live_until_ledger.as_ref()),
        or_empty(row.contract_durability.as_ref()),
        row.ledger_sequence.to_string(),
        (row.closed_at / 1_000_000).to_string(),
    ]
    .join("|")
}

pub(crate) fn asset_text(row: &AssetRecord) -> String {
    [
        row.contract_id.clone(),
        row.asset_type.clone(),
        or_empty(row.asset_code.as_ref()),
        or_empty(row.asset_issuer.as_ref()),
        row.ledger_sequence.to_string(),
    ]
    .join("|")
}

/// Count and digest of the rows of each ledger and table.
async fn digests(source: &mut Source) -> String {
    let mut text = String::new();
    for ledger in FIRST..=LAST {
        for table in Table::ALL {
            let batch = source.rows_of(table, ledger, ledger).await;
            let rows: Vec<String> = match table {
                Table::Data => records(&batch).iter().map(data_text).collect(),
                Table::Ttl => ttl_records(&batch).iter().map(ttl_text).collect(),
                Table::Assets => asset_records(&batch).iter().map(asset_text).collect(),
            };
            let digest: String =
                Sha256::digest(rows.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{ledger} {} {} {digest}", table.name(), rows.len()).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn real_ledgers_have_the_rows_that_another_decoder_finds() {
    let Some(folder) = real_data() else { return };
    let digests = digests(&mut serve_lake(&at(&folder.join("lake"))).await).await;
    assert!(digests == include_str!("pubnet.golden"), "{digests}");
}

fn key(change: &LedgerEntryChange) -> LedgerKey {
    match change {
        LedgerEntryChange::State(entry)
        | LedgerEntryChange::Created(entry)
        | LedgerEntryChange::Updated(entry)
        | LedgerEntryChange::Restored(entry) => entry.to_key(),
        LedgerEntryChange::Removed(key) => key.clone(),
    }
}

/// Brings a list into another order, as another process of stellar-core may; the changes of one entry stay in theirs.
fn reorder(list: &mut LedgerEntryChanges, moved: &mut usize) {
    let before = list.clone();
    let mut changes = list.0.to_vec();
    changes.sort_by_cached_key(|change| Sha256::digest(key(change).to_xdr(Limits::none()).unwrap()).to_vec());
    list.0 = changes.try_into().unwrap();
    *moved += usize::from(*list != before);
}

#[tokio::test]
async fn a_lake_of_another_process_has_the_same_rows() {
    let Some(folder) = real_data() else { return };
    let (copy, mut moved) = (tempfile::tempdir().unwrap(), 0);
    for object in std::fs::read_dir(folder.join("lake")).unwrap() {
        let object = object.unwrap();
        let xdr = zstd::decode_all(std::fs::read(object.path()).unwrap().as_slice()).unwrap();
        let mut batch = LedgerCloseMetaBatch::from_xdr(xdr, Limits::none()).unwrap();
        let mut ledgers = batch.ledger_close_metas.to_vec();
        for ledger in &mut ledgers {
            let LedgerCloseMeta::V2(ledger) = ledger else { panic!("of another version") };
            let mut processing = ledger.tx_processing.to_vec();
            for tx in &mut processing {
                let TransactionMeta::V4(meta) = &mut tx.tx_apply_processing else {
                    panic!("of another version")
                };
                let mut operations = meta.operations.to_vec();
                operations.iter_mut().for_each(|operation| reorder(&mut operation.changes, &mut moved));
                meta.operations = operations.try_into().unwrap();
            }
            ledger.tx_processing = processing.try_into().unwrap();
        }
        batch.ledger_close_metas = ledgers.try_into().unwrap();
        let name = object.file_name().into_string().unwrap().replace(".xdr.zstd", ".xdr");
        std::fs::write(copy.path().join(name), batch.to_xdr(Limits::none()).unwrap()).unwrap();
    }
    assert!(moved > 100, "{moved} lists in another order");
    let digests = digests(&mut serve_lake(&at(copy.path())).await).await;
    assert!(digests == include_str!("pubnet.golden"), "{digests}");
}
