//! What a network's entries are after a ledger: the oracle of its lake and its archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use stellar_xdr::{
    ContractDataDurability, ContractDataEntry, ContractId, Hash, LedgerEntry, LedgerEntryData, LedgerKey,
    LedgerKeyTtl, ScAddress, ScVal, TrustLineAsset,
};

use super::entries::key_hash;
use crate::asset::contract_id_of;

/// All entries after a ledger.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Those that exist, times to live among them.
    pub live: BTreeMap<LedgerKey, Arc<LedgerEntry>>,
    /// Those that were evicted and can be restored.
    pub archived: BTreeMap<LedgerKey, Arc<LedgerEntry>>,
}

/// An entry of contract data or contract code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its ledger key.
    pub key: LedgerKey,
    /// The entry, with the ledger of its last modification.
    pub entry: Arc<LedgerEntry>,
    /// The last ledger in which it lives; `None` if it is archived.
    pub live_until: Option<u32>,
}

impl Kept {
    /// Whether it is contract data.
    pub fn is_data(&self) -> bool {
        matches!(self.key, LedgerKey::ContractData(_))
    }
}

/// The key of the time to live of an entry.
pub fn ttl_key(of: &LedgerKey) -> LedgerKey {
    LedgerKey::Ttl(LedgerKeyTtl { key_hash: Hash(key_hash(of)) })
}

/// Whether an entry is removed for good when it is evicted.
pub fn is_temporary(key: &LedgerKey) -> bool {
    matches!(key, LedgerKey::ContractData(data) if data.durability == ContractDataDurability::Temporary)
}

/// Whether an entry is a nonce, which no table has.
pub fn is_nonce(key: &LedgerKey) -> bool {
    matches!(key, LedgerKey::ContractData(data) if matches!(data.key, ScVal::LedgerKeyNonce(_)))
}

impl State {
    /// The last ledger in which an entry lives; `None` for one that does not exist.
    pub fn live_until(&self, key: &LedgerKey) -> Option<u32> {
        match &self.live.get(&ttl_key(key))?.data {
            LedgerEntryData::Ttl(ttl) => Some(ttl.live_until_ledger_seq),
            _ => None,
        }
    }

    /// Contract data and contract code by the hex of their key hashes, nonces left out: what is live, expired or archived, and
    /// not gone.
    pub fn kept(&self) -> BTreeMap<String, Kept> {
        let live = self.live.iter().map(|(key, entry)| (key, entry, self.live_until(key)));
        let archived = self.archived.iter().map(|(key, entry)| (key, entry, None));
        archived
            .chain(live)
            .filter(|(key, ..)| matches!(key, LedgerKey::ContractData(_) | LedgerKey::ContractCode(_)))
            .filter(|(key, ..)| !is_nonce(key))
            .map(|(key, entry, live_until)| {
                let kept = Kept { key: key.clone(), entry: entry.clone(), live_until };
                (crate::xdr::hex(&key_hash(key)), kept)
            })
            .collect()
    }

    /// The assets that trustlines, offers and asset contracts name, by the strkeys of their contracts.
    pub fn assets(&self, passphrase: &str) -> BTreeMap<String, stellar_xdr::Asset> {
        let mut assets = Vec::new();
        for entry in self.live.values().chain(self.archived.values()) {
            match &entry.data {
                LedgerEntryData::Trustline(line) => match line.asset.clone() {
                    TrustLineAsset::CreditAlphanum4(asset) => {
                        assets.push(stellar_xdr::Asset::CreditAlphanum4(asset));
                    }
                    TrustLineAsset::CreditAlphanum12(asset) => {
                        assets.push(stellar_xdr::Asset::CreditAlphanum12(asset));
                    }
                    TrustLineAsset::Native | TrustLineAsset::PoolShare(_) => {}
                },
                LedgerEntryData::Offer(offer) => assets.extend([offer.selling.clone(), offer.buying.clone()]),
                LedgerEntryData::ContractData(data) => {
                    let (contract, asset) = (contract_strkey(data), asset_of(data));
                    assets.extend(asset.filter(|asset| contract_id_of(asset, passphrase) == contract));
                }
                _ => {}
            }
        }
        assets.into_iter().map(|asset| (contract_id_of(&asset, passphrase), asset)).collect()
    }
}

fn contract_strkey(data: &ContractDataEntry) -> String {
    match &data.contract {
        ScAddress::Contract(ContractId(Hash(id))) => crate::xdr::contract_strkey(*id),
        other => panic!("contract data of {other:?}"),
    }
}

/// The asset that an instance made by [`entries::sac`](super::entries::sac) names.
fn asset_of(data: &ContractDataEntry) -> Option<stellar_xdr::Asset> {
    let ScVal::ContractInstance(instance) = &data.val else { return None };
    let [info] = instance.storage.as_ref()?.0.as_slice() else { return None };
    let ScVal::Vec(Some(info)) = &info.val else { return None };
    let [_, ScVal::Map(Some(fields))] = info.as_slice() else { return Some(stellar_xdr::Asset::Native) };
    let [(ScVal::String(code), ScVal::Bytes(issuer))] = [(&fields.0.first()?.val, &fields.0.get(1)?.val)]
    else {
        return None;
    };
    let issuer = crate::xdr::account_strkey(issuer.as_slice().try_into().ok()?);
    Some(crate::Asset::Credit { code: code.to_string(), issuer }.to_xdr())
}
