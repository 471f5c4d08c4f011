//! One contract data entry as columns, the same as those of stellar-etl's contract_data.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipeline::contract::asset::{contract_id, credit};
use pipeline::contract::xdr::{base16, durability};
use stellar_xdr::{
    AccountId, Asset, ContractDataEntry, ContractExecutable, ContractId, Error, Hash, LedgerKey,
    LedgerKeyContractData, Limits, PublicKey, ScAddress, ScMap, ScString, ScSymbol, ScVal, Uint256, WriteXdr,
};

use crate::asset::{self, AssetColumns};
use crate::columns::{EXTERNAL_REF, STELLAR_ASSET, WASM, key_type, strkey};

/// The columns that depend on the entry alone, and not on the change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntryColumns {
    pub(crate) contract_id: String,
    pub(crate) key_type: String,
    pub(crate) durability: &'static str,
    pub(crate) asset: Option<AssetColumns>,
    /// The holder's strkey, and the amount if it fits int64.
    pub(crate) balance: Option<(String, Option<i64>)>,
    pub(crate) ledger_key_hash: String,
    pub(crate) key_xdr: String,
    pub(crate) val_xdr: String,
    pub(crate) instance_type: Option<&'static str>,
    pub(crate) wasm_hash: Option<String>,
}

/// The ledger key of an entry.
pub(crate) fn ledger_key(entry: &ContractDataEntry) -> LedgerKey {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: entry.contract.clone(),
        key: entry.key.clone(),
        durability: entry.durability,
    })
}

/// The columns of an entry with this hash on the network with this passphrase. `None` if it does not belong to a contract,
/// which the network does not allow.
pub(crate) fn columns(
    entry: &ContractDataEntry,
    hash: [u8; 32],
    passphrase: &str,
) -> Result<Option<EntryColumns>, Error> {
    let ScAddress::Contract(ContractId(Hash(contract))) = entry.contract else { return Ok(None) };
    let (mut instance_type, mut wasm_hash) = (None, None);
    if let ScVal::ContractInstance(instance) = &entry.val {
        match &instance.executable {
            ContractExecutable::Wasm(Hash(code)) => {
                instance_type = Some(WASM);
                wasm_hash = Some(base16(code));
            }
            ContractExecutable::StellarAsset => instance_type = Some(STELLAR_ASSET),
            ContractExecutable::ExternalRef(_) => instance_type = Some(EXTERNAL_REF),
        }
    }
    Ok(Some(EntryColumns {
        contract_id: strkey(contract),
        key_type: key_type(&entry.key).to_owned(),
        durability: durability(entry.durability),
        asset: asset_of(entry, passphrase)?.as_ref().map(asset::columns),
        balance: balance(entry),
        ledger_key_hash: base16(&hash),
        key_xdr: BASE64_STANDARD.encode(entry.key.to_xdr(Limits::none())?),
        val_xdr: BASE64_STANDARD.encode(entry.val.to_xdr(Limits::none())?),
        instance_type,
        wasm_hash,
    }))
}

fn is_symbol(val: &ScVal, name: &str) -> bool {
    matches!(val, ScVal::Symbol(ScSymbol(symbol)) if symbol.as_slice() == name.as_bytes())
}

/// Holder and amount of an entry in the form of a Stellar asset contract's balance. The holder must be a contract, and the
/// amount not negative.
fn balance(entry: &ContractDataEntry) -> Option<(String, Option<i64>)> {
    let (ScVal::Vec(Some(key)), ScVal::Map(Some(ScMap(map)))) = (&entry.key, &entry.val) else { return None };
    let [name, ScVal::Address(ScAddress::Contract(ContractId(Hash(holder))))] = key.as_slice() else {
        return None;
    };
    let [amount, authorized, clawback] = map.as_slice() else { return None };
    let shaped = is_symbol(name, "Balance")
        && is_symbol(&amount.key, "amount")
        && is_symbol(&authorized.key, "authorized")
        && matches!(authorized.val, ScVal::Bool(_))
        && is_symbol(&clawback.key, "clawback")
        && matches!(clawback.val, ScVal::Bool(_));
    match &amount.val {
        ScVal::I128(parts) if shaped && parts.hi >= 0 => {
            let amount = i128::from(parts.hi) << 64 | i128::from(parts.lo);
            Some((strkey(*holder), i64::try_from(amount).ok()))
        }
        _ => None,
    }
}

/// The asset that an instance names, if the contract has the id of this asset's contract on the network: any contract may
/// name an asset, but only the asset's own contract can have this id.
pub(crate) fn asset_of(entry: &ContractDataEntry, passphrase: &str) -> Result<Option<Asset>, Error> {
    let (ScVal::LedgerKeyContractInstance, ScVal::ContractInstance(instance)) = (&entry.key, &entry.val)
    else {
        return Ok(None);
    };
    let ScAddress::Contract(ContractId(Hash(contract))) = entry.contract else { return Ok(None) };
    let Some(asset) = instance.storage.as_ref().and_then(named_asset) else { return Ok(None) };
    Ok((contract_id(&asset, passphrase)? == contract).then_some(asset))
}

/// The asset in the storage of an instance, unverified.
fn named_asset(ScMap(storage): &ScMap) -> Option<Asset> {
    let is_info = |key: &ScVal| {
        let ScVal::Vec(Some(key)) = key else { return false };
        matches!(key.as_slice(), [name] if is_symbol(name, "AssetInfo"))
    };
    let ScVal::Vec(Some(info)) = &storage.iter().find(|item| is_info(&item.key))?.val else { return None };
    let (kind, fields) = match info.as_slice() {
        [kind, ..] if is_symbol(kind, "Native") => return Some(Asset::Native),
        [kind, ScVal::Map(Some(ScMap(fields)))] => (kind, fields.as_slice()),
        _ => return None,
    };
    let [code, issuer] = fields else { return None };
    if !is_symbol(&code.key, "asset_code") || !is_symbol(&issuer.key, "issuer") {
        return None;
    }
    let (ScVal::String(ScString(code)), ScVal::Bytes(issuer)) = (&code.val, &issuer.val) else { return None };
    let issuer: [u8; 32] = issuer.as_slice().try_into().ok()?;
    let issuer = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(issuer)));
    // the code may be padded with NUL bytes
    let length = code.iter().rposition(|byte| *byte != 0)? + 1;
    let code = &code.as_slice()[..length];
    if !code.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let asset = credit(std::str::from_utf8(code).ok()?, issuer)?;
    let is_consistent = match &asset {
        Asset::CreditAlphanum4(_) => is_symbol(kind, "AlphaNum4"),
        Asset::CreditAlphanum12(_) => is_symbol(kind, "AlphaNum12"),
        Asset::Native => false,
    };
    is_consistent.then_some(asset)
}
