//! What one ledger entry says: a contract data entry as columns, the same as those of stellar-etl's contract_data; the assets
//! that an entry names.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipeline::contract::asset::{contract_id, credit};
use pipeline::contract::xdr::{base16, durability};
use stellar_xdr::{
    AccountId, Asset, ContractDataEntry, ContractExecutable, ContractId, Error, Hash, LedgerEntry,
    LedgerEntryData, LedgerKey, LedgerKeyContractData, Limits, LiquidityPoolEntryBody, PublicKey, ScAddress,
    ScMap, ScString, ScSymbol, ScVal, TrustLineAsset, Uint256, WriteXdr,
};

use crate::asset::{self, AssetColumns};
use crate::columns::{EXTERNAL_REF, Row, STELLAR_ASSET, WASM, key_type, strkey};

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

impl EntryColumns {
    /// A row with the columns of the entry; the others are those of a default row.
    pub(crate) fn row(&self) -> Row<'_> {
        let asset = self.asset.as_ref();
        Row {
            contract_id: &self.contract_id,
            contract_key_type: &self.key_type,
            contract_durability: self.durability,
            asset_code: asset.and_then(|asset| asset.code.as_deref()),
            asset_issuer: asset.and_then(|asset| asset.issuer.as_deref()),
            asset_type: asset.map(|asset| asset.asset_type),
            balance_holder: self.balance.as_ref().map(|(holder, _)| holder.as_str()),
            balance: self.balance.as_ref().and_then(|(_, amount)| *amount),
            ledger_key_hash: &self.ledger_key_hash,
            key_xdr: &self.key_xdr,
            val_xdr: &self.val_xdr,
            contract_instance_type: self.instance_type,
            contract_instance_wasm_hash: self.wasm_hash.as_deref(),
            ..Row::default()
        }
    }
}

/// Whether entries with this key become rows. Nonces do not, as in stellar-etl: they are used once and say nothing.
pub(crate) fn has_rows(key: &ScVal) -> bool {
    !matches!(key, ScVal::LedgerKeyNonce(_))
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

/// Hands each asset that an entry names to `name`: of a trustline, an offer, a liquidity pool, a claimable balance, or the
/// instance of the asset's own contract. An asset may come twice.
///
/// # Errors
/// An entry that cannot be encoded.
pub(crate) fn named(
    entry: &LedgerEntry,
    passphrase: &str,
    mut name: impl FnMut(&Asset),
) -> Result<(), Error> {
    match &entry.data {
        LedgerEntryData::Trustline(line) => match &line.asset {
            TrustLineAsset::Native => name(&Asset::Native),
            TrustLineAsset::CreditAlphanum4(asset) => name(&Asset::CreditAlphanum4(asset.clone())),
            TrustLineAsset::CreditAlphanum12(asset) => name(&Asset::CreditAlphanum12(asset.clone())),
            TrustLineAsset::PoolShare(_) => {}
        },
        LedgerEntryData::Offer(offer) => {
            name(&offer.selling);
            name(&offer.buying);
        }
        LedgerEntryData::LiquidityPool(pool) => {
            let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &pool.body;
            name(&pool.params.asset_a);
            name(&pool.params.asset_b);
        }
        LedgerEntryData::ClaimableBalance(balance) => name(&balance.asset),
        LedgerEntryData::ContractData(data) => asset_of(data, passphrase)?.iter().for_each(name),
        _ => {}
    }
    Ok(())
}

/// The asset that an instance names, if the contract has the id of this asset's contract on the network: any contract may
/// name an asset, but only the asset's own contract can have this id.
fn asset_of(entry: &ContractDataEntry, passphrase: &str) -> Result<Option<Asset>, Error> {
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
