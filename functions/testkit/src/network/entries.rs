//! Contract data entries and their changes, as stellar-core writes them into the meta.

use sha2::{Digest, Sha256};
use stellar_xdr::*;

/// The contract with this number.
pub(super) fn contract(number: u8) -> ScAddress {
    ScAddress::Contract(ContractId(Hash([number; 32])))
}

pub(super) fn symbol(text: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(text.try_into().unwrap()))
}

pub(super) fn vec(items: Vec<ScVal>) -> ScVal {
    ScVal::Vec(Some(ScVec(items.try_into().unwrap())))
}

/// A map in the given order, sorted or not.
pub(super) fn map(items: Vec<(ScVal, ScVal)>) -> ScVal {
    let items: Vec<_> = items.into_iter().map(|(key, val)| ScMapEntry { key, val }).collect();
    ScVal::Map(Some(ScMap(items.try_into().unwrap())))
}

/// A persistent entry of contract 1.
pub(super) fn data(key: ScVal, val: ScVal) -> ContractDataEntry {
    ContractDataEntry {
        ext: ExtensionPoint::V0,
        contract: contract(1),
        key,
        durability: ContractDataDurability::Persistent,
        val,
    }
}

/// A persistent entry of contract 1 with numbers for key and value.
pub(super) fn numbered(key: u32, val: u32) -> ContractDataEntry {
    data(ScVal::U32(key), ScVal::U32(val))
}

pub(super) fn entry(last_modified: u32, data: &ContractDataEntry) -> LedgerEntry {
    LedgerEntry {
        last_modified_ledger_seq: last_modified,
        data: LedgerEntryData::ContractData(data.clone()),
        ext: LedgerEntryExt::V0,
    }
}

pub(super) fn key(data: &ContractDataEntry) -> LedgerKey {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: data.contract.clone(),
        key: data.key.clone(),
        durability: data.durability,
    })
}

pub(super) fn created(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Created(entry(ledger, data))
}

pub(super) fn updated(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Updated(entry(ledger, data))
}

pub(super) fn restored(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Restored(entry(ledger, data))
}

pub(super) fn state(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::State(entry(ledger, data))
}

pub(super) fn removed(data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Removed(key(data))
}

/// The TTL entry of `data`.
pub(super) fn ttl(ledger: u32, data: &ContractDataEntry, until: u32) -> LedgerEntry {
    let key_hash = Hash(Sha256::digest(key(data).to_xdr(Limits::none()).unwrap()).into());
    LedgerEntry {
        last_modified_ledger_seq: ledger,
        data: LedgerEntryData::Ttl(TtlEntry { key_hash, live_until_ledger_seq: until }),
        ext: LedgerEntryExt::V0,
    }
}

/// A balance in the form of a Stellar asset contract.
pub(super) fn balance(holder: ScAddress, amount: i128) -> ContractDataEntry {
    let amount = Int128Parts { hi: (amount >> 64) as i64, lo: amount as u64 };
    let val = map(vec![
        (symbol("amount"), ScVal::I128(amount)),
        (symbol("authorized"), ScVal::Bool(true)),
        (symbol("clawback"), ScVal::Bool(false)),
    ]);
    data(vec(vec![symbol("Balance"), ScVal::Address(holder)]), val)
}

/// The instance of a contract that names an asset.
pub(super) fn asset_instance(contract: ScAddress, info: ScVal) -> ContractDataEntry {
    let storage =
        ScMap(vec![ScMapEntry { key: vec(vec![symbol("AssetInfo")]), val: info }].try_into().unwrap());
    let instance =
        ScContractInstance { executable: ContractExecutable::StellarAsset, storage: Some(storage) };
    ContractDataEntry {
        contract,
        ..data(ScVal::LedgerKeyContractInstance, ScVal::ContractInstance(instance))
    }
}

/// How such an instance names a credit.
pub(super) fn credit(kind: &str, code: &str, issuer: [u8; 32]) -> ScVal {
    let fields = map(vec![
        (symbol("asset_code"), ScVal::String(ScString(code.try_into().unwrap()))),
        (symbol("issuer"), ScVal::Bytes(ScBytes(issuer.to_vec().try_into().unwrap()))),
    ]);
    vec(vec![symbol(kind), fields])
}
