//! Contract data entries and their changes, as stellar-core writes them into the meta.

use sha2::{Digest, Sha256};
use stellar_xdr::*;

use crate::asset;
use crate::xdr;

/// The contract with this number.
pub fn contract(number: u8) -> ScAddress {
    ScAddress::Contract(ContractId(Hash([number; 32])))
}

/// A symbol.
pub fn symbol(text: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(text.try_into().unwrap()))
}

/// A vector.
pub fn vec(items: Vec<ScVal>) -> ScVal {
    ScVal::Vec(Some(ScVec(items.try_into().unwrap())))
}

/// A map in the given order, sorted or not.
pub fn map(items: Vec<(ScVal, ScVal)>) -> ScVal {
    let items: Vec<_> = items.into_iter().map(|(key, val)| ScMapEntry { key, val }).collect();
    ScVal::Map(Some(ScMap(items.try_into().unwrap())))
}

/// A persistent entry of contract 1.
pub fn data(key: ScVal, val: ScVal) -> ContractDataEntry {
    ContractDataEntry {
        ext: ExtensionPoint::V0,
        contract: contract(1),
        key,
        durability: ContractDataDurability::Persistent,
        val,
    }
}

/// A persistent entry of contract 1 with numbers for key and value.
pub fn numbered(key: u32, val: u32) -> ContractDataEntry {
    data(ScVal::U32(key), ScVal::U32(val))
}

/// The ledger entry of `data`, last modified in this ledger.
pub fn entry(last_modified: u32, data: &ContractDataEntry) -> LedgerEntry {
    LedgerEntry {
        last_modified_ledger_seq: last_modified,
        data: LedgerEntryData::ContractData(data.clone()),
        ext: LedgerEntryExt::V0,
    }
}

/// The ledger key of `data`.
pub fn key(data: &ContractDataEntry) -> LedgerKey {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: data.contract.clone(),
        key: data.key.clone(),
        durability: data.durability,
    })
}

/// It is created in this ledger.
pub fn created(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Created(entry(ledger, data))
}

/// It is updated in this ledger.
pub fn updated(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Updated(entry(ledger, data))
}

/// It is restored in this ledger.
pub fn restored(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Restored(entry(ledger, data))
}

/// The image before a change, last modified in this ledger.
pub fn state(ledger: u32, data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::State(entry(ledger, data))
}

/// It is removed.
pub fn removed(data: &ContractDataEntry) -> LedgerEntryChange {
    LedgerEntryChange::Removed(key(data))
}

/// The hash of a ledger key: what identifies an entry, and its time to live.
pub fn key_hash(key: &LedgerKey) -> [u8; 32] {
    Sha256::digest(key.to_xdr(Limits::none()).unwrap()).into()
}

/// The TTL entry of `data`.
pub fn ttl(ledger: u32, data: &ContractDataEntry, until: u32) -> LedgerEntry {
    ttl_of(ledger, &key(data), until)
}

/// The TTL entry of the entry with this key.
pub fn ttl_of(ledger: u32, of: &LedgerKey, until: u32) -> LedgerEntry {
    let key_hash = Hash(key_hash(of));
    LedgerEntry {
        last_modified_ledger_seq: ledger,
        data: LedgerEntryData::Ttl(TtlEntry { key_hash, live_until_ledger_seq: until }),
        ext: LedgerEntryExt::V0,
    }
}

/// A balance in the form of a Stellar asset contract.
pub fn balance(holder: ScAddress, amount: i128) -> ContractDataEntry {
    let amount = Int128Parts { hi: (amount >> 64) as i64, lo: amount as u64 };
    let val = map(vec![
        (symbol("amount"), ScVal::I128(amount)),
        (symbol("authorized"), ScVal::Bool(true)),
        (symbol("clawback"), ScVal::Bool(false)),
    ]);
    data(vec(vec![symbol("Balance"), ScVal::Address(holder)]), val)
}

/// The instance of a contract that names an asset.
pub fn asset_instance(contract: ScAddress, info: ScVal) -> ContractDataEntry {
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
pub fn credit(kind: &str, code: &str, issuer: [u8; 32]) -> ScVal {
    let fields = map(vec![
        (symbol("asset_code"), ScVal::String(ScString(code.try_into().unwrap()))),
        (symbol("issuer"), ScVal::Bytes(ScBytes(issuer.to_vec().try_into().unwrap()))),
    ]);
    vec(vec![symbol(kind), fields])
}

/// Code number `number`, of this many bytes.
pub fn code(number: u32, bytes: usize) -> LedgerEntryData {
    let mut code = number.to_be_bytes().to_vec();
    code.resize(bytes.max(4), 0xc0);
    LedgerEntryData::ContractCode(ContractCodeEntry {
        ext: ContractCodeEntryExt::V0,
        hash: Hash(Sha256::digest(&code).into()),
        code: code.try_into().unwrap(),
    })
}

/// The trustline of account number `account` to an asset other than lumens.
pub fn trustline(account: u32, asset: &asset::Asset) -> LedgerEntryData {
    let asset = match asset.to_xdr() {
        Asset::Native => panic!("no account has a trustline to lumens"),
        Asset::CreditAlphanum4(asset) => TrustLineAsset::CreditAlphanum4(asset),
        Asset::CreditAlphanum12(asset) => TrustLineAsset::CreditAlphanum12(asset),
    };
    let account_id = xdr::account(&xdr::holder(account));
    LedgerEntryData::Trustline(TrustLineEntry {
        account_id,
        asset,
        limit: i64::MAX,
        ..TrustLineEntry::default()
    })
}

/// Offer number `id`, of one asset for another.
pub fn offer(id: i64, selling: &asset::Asset, buying: &asset::Asset) -> LedgerEntryData {
    let (selling, buying) = (selling.to_xdr(), buying.to_xdr());
    LedgerEntryData::Offer(OfferEntry { offer_id: id, selling, buying, ..OfferEntry::default() })
}

/// The instance of the contract of an asset, on the network with this passphrase.
pub fn sac(asset: &asset::Asset, passphrase: &str) -> ContractDataEntry {
    let info = match asset.to_xdr() {
        Asset::Native => vec(vec![symbol("Native")]),
        Asset::CreditAlphanum4(AlphaNum4 { issuer, .. }) => named("AlphaNum4", asset, &issuer),
        Asset::CreditAlphanum12(AlphaNum12 { issuer, .. }) => named("AlphaNum12", asset, &issuer),
    };
    asset_instance(xdr::address(&asset.contract_id(passphrase)), info)
}

fn named(kind: &str, asset: &asset::Asset, issuer: &AccountId) -> ScVal {
    let asset::Asset::Credit { code, .. } = asset else { panic!("lumens have no code") };
    let AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(issuer))) = issuer;
    credit(kind, code, *issuer)
}
