//! The assets that the entries of a ledger name.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use pipeline::contract::asset::contract_id;
use stellar_xdr::{Asset, LedgerEntryChange};

use crate::asset::{self, AssetColumns};
use crate::columns::assets::{ASSET_ROW_BYTES, AssetsColumns};
use crate::columns::strkey;
use crate::dataset::MESSAGE_BYTES;
use crate::entry::named;
use crate::fault::{Fault, misfit, unencodable};

/// The assets that a ledger named so far.
#[derive(Debug, Default)]
pub(crate) struct Assets(BTreeSet<Asset>);

impl Assets {
    /// Adds the assets that the entry of a change names.
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
        named(entry, passphrase, |asset| self.name(asset)).map_err(unencodable)
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
