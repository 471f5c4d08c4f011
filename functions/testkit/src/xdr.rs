//! Strkeys and XDR for synthetic contracts, accounts and values; distinct per number and the same in every run.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, ContractDataDurability, ContractId, Hash, LedgerKey, LedgerKeyContractData, Limits, PublicKey,
    ReadXdr, ScAddress, ScMap, ScSymbol, ScVal, Uint256, WriteXdr,
};

/// 32 bytes that are unique to this kind and number.
fn seed(kind: &str, number: u32) -> [u8; 32] {
    Sha256::digest(format!("contract-data-loader test {kind} {number}")).into()
}

/// The strkey `C…` of contract number `n`.
pub fn contract(n: u32) -> String {
    contract_strkey(seed("contract", n))
}

/// The strkey `G…` of the account that holds balances, number `n`.
pub fn holder(n: u32) -> String {
    account_strkey(seed("holder", n))
}

/// The strkey `G…` of the account that issues assets, number `n`.
pub fn issuer(n: u32) -> String {
    account_strkey(seed("issuer", n))
}

/// The hex hash of wasm code number `n`.
pub fn wasm_hash(n: u32) -> String {
    hex(&seed("wasm", n))
}

pub(crate) fn contract_strkey(id: [u8; 32]) -> String {
    stellar_strkey::Contract(id).to_string().as_str().to_owned()
}

pub(crate) fn account_strkey(key: [u8; 32]) -> String {
    stellar_strkey::ed25519::PublicKey(key).to_string().as_str().to_owned()
}

pub(crate) fn account(strkey: &str) -> AccountId {
    let key = stellar_strkey::ed25519::PublicKey::from_string(strkey).expect("a strkey G…");
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key.0)))
}

/// The address behind a strkey `C…` or `G…`.
pub(crate) fn address(strkey: &str) -> ScAddress {
    if strkey.starts_with('C') {
        let id = stellar_strkey::Contract::from_string(strkey).expect("a strkey C…");
        ScAddress::Contract(ContractId(Hash(id.0)))
    } else {
        ScAddress::Account(account(strkey))
    }
}

pub(crate) fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(name.try_into().expect("at most 32 characters")))
}

/// A vector value of these elements.
pub(crate) fn vector(elements: Vec<ScVal>) -> ScVal {
    elements.try_into().expect("a short vector")
}

/// A map value with symbol keys, sorted as on the chain.
pub(crate) fn map(pairs: Vec<(&str, ScVal)>) -> ScMap {
    ScMap::sorted_from_pairs(pairs.into_iter().map(|(name, value)| (symbol(name), value)))
        .expect("distinct keys")
}

/// The base64 XDR of a value, as `key_xdr` and `val_xdr` carry it.
pub fn base64(value: &ScVal) -> String {
    value.to_xdr_base64(Limits::none()).expect("a made-up value encodes")
}

/// The identity of a ledger entry: hex sha256 of its LedgerKey; none where the key is not the XDR of a value.
pub fn ledger_key_hash(contract_id: &str, key_xdr: &str, durability: &str) -> Option<String> {
    let contract = stellar_strkey::Contract::from_string(contract_id).ok()?;
    let key = LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(ContractId(Hash(contract.0))),
        key: ScVal::from_xdr_base64(key_xdr, Limits::none()).ok()?,
        durability: if durability.ends_with("Temporary") {
            ContractDataDurability::Temporary
        } else {
            ContractDataDurability::Persistent
        },
    });
    Some(hex(&Sha256::digest(key.to_xdr(Limits::none()).ok()?)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
