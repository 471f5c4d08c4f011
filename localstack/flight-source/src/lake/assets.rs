//! The assets that the entries of a ledger name.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use pipeline::contract::asset::contract_id;
use stellar_xdr::{Asset, LedgerEntryChange, LedgerEntryData, LiquidityPoolEntryBody, TrustLineAsset};

use super::changes::{misfit, unencodable};
use super::entry::asset_of;
use super::fault::Fault;
use crate::asset::{self, AssetColumns};
use crate::columns::assets::{ASSET_ROW_BYTES, AssetsColumns};
use crate::columns::strkey;
use crate::dataset::MESSAGE_BYTES;

/// The assets that a ledger named so far.
#[derive(Debug, Default)]
pub(crate) struct Assets(BTreeSet<Asset>);

impl Assets {
    /// Adds the assets that the entry of a change names: of a trustline, an offer, a liquidity pool, a claimable balance, or the
    /// instance of the asset's own contract.
    ///
    /// # Errors
    /// An entry that cannot be encoded.
    pub(crate) fn add(&mut self, change: &LedgerEntryChange, passphrase: &str) -> Result<(), Fault> {
        let entry = match change {
            LedgerEntryChange::State(entry)
            | LedgerEntryChange::Created(entry)
            | LedgerEntryChange::Updated(entry)
            | LedgerEntryChange::Restored(entry) => entry,
            // the image before it names the asset
            LedgerEntryChange::Removed(_) => return Ok(()),
        };
        match &entry.data {
            LedgerEntryData::Trustline(line) => match &line.asset {
                TrustLineAsset::Native => self.name(&Asset::Native),
                TrustLineAsset::CreditAlphanum4(asset) => self.name(&Asset::CreditAlphanum4(asset.clone())),
                TrustLineAsset::CreditAlphanum12(asset) => self.name(&Asset::CreditAlphanum12(asset.clone())),
                TrustLineAsset::PoolShare(_) => {}
            },
            LedgerEntryData::Offer(offer) => {
                self.name(&offer.selling);
                self.name(&offer.buying);
            }
            LedgerEntryData::LiquidityPool(pool) => {
                let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &pool.body;
                self.name(&pool.params.asset_a);
                self.name(&pool.params.asset_b);
            }
            LedgerEntryData::ClaimableBalance(balance) => self.name(&balance.asset),
            LedgerEntryData::ContractData(data) => {
                let asset = asset_of(data, passphrase).map_err(unencodable)?;
                asset.iter().for_each(|asset| self.name(asset));
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, asset: &Asset) {
        if !self.0.contains(asset) {
            self.0.insert(asset.clone());
        }
    }

    /// The rows, sorted by contract, in batches of up to the size of a message. Codes that the network does not allow are left
    /// out: they name no asset.
    ///
    /// # Errors
    /// An asset that cannot be encoded, or rows that do not fit the columns.
    pub(crate) fn batches(self, passphrase: &str, sequence: u32) -> Result<Vec<RecordBatch>, Fault> {
        let mut rows = BTreeMap::new();
        for asset in self.0.iter().filter(|asset| asset::is_allowed(asset)) {
            rows.insert(strkey(contract_id(asset, passphrase).map_err(unencodable)?), asset::columns(asset));
        }
        let rows: Vec<_> = rows.into_iter().collect();
        let batch = |rows: &[(String, AssetColumns)]| {
            let mut columns = AssetsColumns::with_capacity(rows.len());
            rows.iter().for_each(|(contract, asset)| columns.push(contract, asset, sequence));
            columns.finish()
        };
        let batches = rows.chunks(MESSAGE_BYTES / ASSET_ROW_BYTES).map(batch);
        batches.collect::<crate::error::Result<_>>().map_err(misfit)
    }
}
