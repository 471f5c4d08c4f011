//! The history under the names of Hubble.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataDurability, ContractDataEntry, ExtensionPoint, Hash, LedgerKey, LedgerKeyContractData,
    Limits, ReadXdr, ScAddress, ScVal, WriteXdr,
};
use testkit::rows::{PERSISTENT, contract};
use testkit::{Asset, Chain, Row, asset};

use crate::real_lake::served;
use crate::support::{World, real_data};

/// The entry of a row, composed by the crate: its LedgerKey and its ContractDataEntry.
fn composed(row: &Row) -> (Vec<u8>, Vec<u8>) {
    let value = |xdr: &Option<String>| {
        ScVal::from_xdr(STANDARD.decode(xdr.as_deref().unwrap()).unwrap(), Limits::none()).unwrap()
    };
    let contract = row.contract_id.parse::<ScAddress>().unwrap();
    let durability = if row.contract_durability == PERSISTENT {
        ContractDataDurability::Persistent
    } else {
        ContractDataDurability::Temporary
    };
    let (key, val) = (value(&row.key_xdr), value(&row.val_xdr));
    let of_key = LedgerKeyContractData { contract: contract.clone(), key: key.clone(), durability };
    let entry = ContractDataEntry { ext: ExtensionPoint::V0, contract, key, durability, val };
    let key = LedgerKey::ContractData(of_key);
    (key.to_xdr(Limits::none()).unwrap(), entry.to_xdr(Limits::none()).unwrap())
}

#[tokio::test]
async fn the_history_reads_as_in_hubble() {
    let usdc = Asset::credit("USDC", 1);
    let of_usdc = |ledger| Row::at(ledger).of_contract(usdc.contract_id(asset::PUBNET));
    let rows = vec![
        of_usdc(1).instance(&usdc).change(0),
        of_usdc(1).balance_of(&contract(11), 25).change(0),
        Row::at(1).contract(3).value_of_size(4_000).temporary(),
        Row::at(2).contract(3).key(4).value(1).change(0),
        Row::at(2).contract(3).key(4).value(2).change(1),
        Row::at(3).contract(3).key(4).value(2).deleted().change(2),
    ];
    let source = Chain::of_rows(rows.clone()).serve();
    let world = World::around(&source).await;
    world.replay(1, 3).await.unwrap();
    let columns = "select contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
          balance_holder, balance, last_modified_ledger, coalesce(ledger_entry_change::text, ''), ledger_sequence,
          ledger_key_hash, key #>> '{}', val #>> '{}', contract_data_xdr, ledger_key_hash_base_64, deleted
        from contract_data.hubble_contract_data order by ledger_sequence, change_index";
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let expected = rows.iter().map(|row| {
        let (key, entry) = composed(row);
        let balance = row.balance.map(|balance| balance.to_string());
        let change = row.ledger_entry_change.map(|change| change.to_string());
        let deleted = if row.deleted { "t" } else { "f" };
        [
            row.contract_id.clone(),
            row.contract_key_type.clone(),
            row.contract_durability.clone(),
            text(&row.asset_code),
            text(&row.asset_issuer),
            text(&row.asset_type),
            text(&row.balance_holder),
            text(&balance),
            row.last_modified_ledger.to_string(),
            text(&change),
            row.ledger_sequence.to_string(),
            text(&row.ledger_key_hash),
            text(&row.key_xdr),
            text(&row.val_xdr),
            STANDARD.encode(entry),
            STANDARD.encode(key),
            deleted.to_owned(),
        ]
        .join(" | ")
    });
    assert_eq!(world.database.rows(columns).await, expected.collect::<Vec<_>>());
    let of_batch = "select count(*) from contract_data.hubble_contract_data h
        join contract_data.ingestion_progress p on p.batch_id::text = h.batch_id
        where h.batch_run_date = date_trunc('hour', h.closed_at at time zone 'UTC') and h.batch_insert_ts <= now()
          and h.key_decoded = contract_data.scval(h.key #>> '{}') and h.val_decoded = contract_data.scval(h.val #>> '{}')";
    assert_eq!(world.database.value(of_batch).await, "6");
    // one row per entry and ledger, the last: as Hubble has it
    let theirs = "select count(*), string_agg(val_decoded ->> 'u64', ' ' order by ledger_sequence) from (
          select distinct on (ledger_sequence, ledger_key_hash) * from contract_data.hubble_contract_data
          order by ledger_sequence, ledger_key_hash, change_index desc) as contract_data";
    assert_eq!(world.database.value(theirs).await, "5 | 2 2");
}

#[tokio::test]
async fn the_keys_of_real_ledgers_are_those_that_their_hashes_are_of() {
    let Some(lake) = real_data("lake") else { return };
    let world = served(&lake).await;
    world.replay(63_092_982, 63_092_987).await.unwrap();
    let keys = "select ledger_key_hash_base_64, ledger_key_hash from contract_data.hubble_contract_data
        where contract_data_xdr is not null";
    let keys = world.database.rows(keys).await;
    assert_eq!(keys.len(), 387);
    for line in keys {
        let (xdr, hash) = line.split_once(" | ").unwrap();
        let found: [u8; 32] = Sha256::digest(STANDARD.decode(xdr).unwrap()).into();
        assert_eq!(Hash(found).to_string(), hash);
    }
}
