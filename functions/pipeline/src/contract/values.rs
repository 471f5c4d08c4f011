//! What each text column may hold: how a source's spelling becomes the one that is stored, and the check of every value before
//! its window is sealed. [`super::tables`] names the domain of each column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, UInt32Array};
use arrow::datatypes::{Int64Type, UInt32Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stellar_strkey::Strkey;

use super::asset;
use super::network::Network;
use super::tables::entry_change::{CREATED, REMOVED, RESTORED, UPDATED};
use super::tables::{COLUMNS, DURABILITIES, Domain, ENDINGS, Kind, Table, position};
use super::xdr::{
    KEY_TYPES, balance_amount, base16, entry_hash, is_base16_hash, is_base16_of, key_type_of, value_bytes,
};
use crate::error::{Error, Result};

/// Gives each value its one spelling. In a nullable text column, "" is null: not every source can send a null. The NUL bytes that
/// pad `asset_code` to 4 or 12 characters go. A hash in capitals or in base64 becomes lower-case hexadecimal. A `ledger_key_hash`
/// that is null is derived from contract, key and durability. The arrays are the staged columns of a table, in their order.
///
/// # Errors
/// [`Error::BadData`] for a hash that cannot be derived.
pub(crate) fn normalize(table: Table, arrays: &mut [ArrayRef]) -> Result<()> {
    let texts = arrays.iter_mut().zip(table.columns()).filter(|(_, column)| column.kind == Kind::Text);
    for (array, column) in texts {
        if column.domain == Domain::Code {
            *array = without_padding(array);
        }
        if column.nullable {
            *array = without_empty(array);
        }
        if column.domain == Domain::Hash {
            *array = in_base16(array);
        }
    }
    if table == Table::Data {
        arrays[position::LEDGER_KEY_HASH] = with_derived_hashes(arrays)?;
    }
    Ok(())
}

/// A code without its padding.
fn without_padding(array: &ArrayRef) -> ArrayRef {
    let codes = array.as_string::<i32>();
    if memchr::memchr(0, codes.value_data()).is_none() {
        return Arc::clone(array);
    }
    Arc::new(codes.iter().map(|code| code.map(|c| c.trim_end_matches('\0'))).collect::<StringArray>())
}

/// The column with null for "".
fn without_empty(array: &ArrayRef) -> ArrayRef {
    let texts = array.as_string::<i32>();
    let empty = texts
        .value_offsets()
        .windows(2)
        .enumerate()
        .any(|(row, ends)| ends[0] == ends[1] && texts.is_valid(row));
    if !empty {
        return Arc::clone(array);
    }
    Arc::new(texts.iter().map(|text| text.filter(|t| !t.is_empty())).collect::<StringArray>())
}

/// The column with lower-case hexadecimal for each hash that is spelt otherwise. What is no hash stays, for the check to name it.
fn in_base16(array: &ArrayRef) -> ArrayRef {
    let hashes = array.as_string::<i32>();
    if hashes.iter().flatten().all(is_base16_hash) {
        return Arc::clone(array);
    }
    let spelt = |hash: &str| match STANDARD.decode(hash) {
        Ok(bytes) if bytes.len() == 32 => base16(&bytes),
        _ => hash.to_ascii_lowercase(),
    };
    Arc::new(hashes.iter().map(|hash| hash.map(spelt)).collect::<StringArray>())
}

/// `ledger_key_hash`, derived where it is null.
fn with_derived_hashes(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let hashes = arrays[position::LEDGER_KEY_HASH].as_string::<i32>();
    if hashes.null_count() == 0 {
        return Ok(Arc::clone(&arrays[position::LEDGER_KEY_HASH]));
    }
    let mut entries = Entries::default();
    let keys = Keys::of(|column| arrays[column].as_ref());
    let mut complete = StringBuilder::with_capacity(hashes.len(), hashes.len() * 64);
    for row in 0..hashes.len() {
        if hashes.is_valid(row) {
            complete.append_value(hashes.value(row));
            continue;
        }
        let hash = entries.hash(&keys, row).and_then(|hash| match hash {
            Some(hash) => Ok(hash),
            None => Err((position::KEY_XDR, "is null".to_owned())),
        });
        let hash = hash.map_err(|(column, cause)| Error::BadData {
            ledger: keys.ledgers.value(row),
            column: COLUMNS[position::LEDGER_KEY_HASH].label,
            cause: format!("is null and cannot be derived: {} {cause}", COLUMNS[column].name),
        })?;
        complete.append_value(base16(&hash));
    }
    Ok(Arc::new(complete.finish()))
}

/// The columns that identify an entry.
struct Keys<'a> {
    ledgers: &'a UInt32Array,
    contracts: &'a StringArray,
    key_types: &'a StringArray,
    durabilities: &'a StringArray,
    keys: &'a StringArray,
}

impl<'a> Keys<'a> {
    fn of(column: impl Fn(usize) -> &'a dyn Array) -> Self {
        Keys {
            ledgers: column(position::LEDGER_SEQUENCE).as_primitive::<UInt32Type>(),
            contracts: column(position::CONTRACT_ID).as_string::<i32>(),
            key_types: column(position::CONTRACT_KEY_TYPE).as_string::<i32>(),
            durabilities: column(position::CONTRACT_DURABILITY).as_string::<i32>(),
            keys: column(position::KEY_XDR).as_string::<i32>(),
        }
    }
}

/// A column, and what is wrong with its value.
type Wrong = (usize, String);

/// The identities of entries, row by row. Rows of one contract come in runs, so the last id is remembered.
#[derive(Debug, Default)]
struct Entries {
    contract: String,
    id: [u8; 32],
    key: Vec<u8>,
}

impl Entries {
    /// The hash of the entry in a row; `None` where its key is not known. Checks contract, key, its type and durability.
    fn hash(&mut self, keys: &Keys<'_>, row: usize) -> Result<Option<[u8; 32]>, Wrong> {
        let contract = keys.contracts.value(row);
        if contract != self.contract {
            let strkey = stellar_strkey::Contract::from_string(contract)
                .map_err(|_| (position::CONTRACT_ID, format!("{} is not a strkey C…", shown(contract))))?;
            self.id = strkey.0;
            contract.clone_into(&mut self.contract);
        }
        let word = keys.durabilities.value(row);
        let durability = DURABILITIES.iter().position(|known| *known == word);
        let durability =
            durability.ok_or_else(|| (position::CONTRACT_DURABILITY, unknown(word, &DURABILITIES)))?;
        let key_type_word = keys.key_types.value(row);
        if keys.keys.is_null(row) {
            return if KEY_TYPES.contains(&key_type_word) {
                Ok(None)
            } else {
                Err((
                    position::CONTRACT_KEY_TYPE,
                    format!("{} is not the type of a key", shown(key_type_word)),
                ))
            };
        }
        value_bytes(keys.keys.value(row), &mut self.key).map_err(|cause| (position::KEY_XDR, cause))?;
        let of_key = key_type_of(&self.key).unwrap_or("of no type");
        if key_type_word != of_key {
            let cause = format!("{} is not the type of key_xdr, {of_key}", shown(key_type_word));
            return Err((position::CONTRACT_KEY_TYPE, cause));
        }
        Ok(Some(entry_hash(&self.id, &self.key, durability as u32)))
    }
}

/// Checks staged rows, value by value.
#[derive(Debug)]
pub(crate) struct Checker {
    table: Table,
    network: Network,
    entries: Entries,
    /// The XDR of a value.
    value: Vec<u8>,
    /// Rows that name an asset of another contract.
    false_claims: u64,
}

impl Checker {
    /// A checker of rows of a table, of this network.
    pub(crate) fn new(table: Table, network: Network) -> Self {
        Checker { table, network, entries: Entries::default(), value: Vec::new(), false_claims: 0 }
    }

    /// Checks every text against the domain of its column. In `data`, `ledger_key_hash` against contract, key and durability, and
    /// `balance` against `val_xdr`, where a row has both and a holder, and `ledger_entry_change` against `deleted`; in `ttl`, that a change of a living entry says until when.
    ///
    /// # Errors
    /// [`Error::BadData`] for the first value that is wrong.
    pub(crate) fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        let ledgers = batch.column(self.table.ledger()).as_primitive::<UInt32Type>();
        let columns = self.table.columns();
        let bad = |(row, (column, cause)): (usize, Wrong)| Error::BadData {
            ledger: ledgers.value(row),
            column: columns[column].label,
            cause,
        };
        match self.table {
            Table::Data => {
                let keys = Keys::of(|column| batch.column(column).as_ref());
                self.check_entries(batch, &keys).map_err(bad)?;
                self.check_values(batch).map_err(bad)?;
                check_changes(batch).map_err(bad)?;
            }
            Table::Ttl => check_ends(batch).map_err(bad)?,
            Table::Assets => {}
        }
        for (index, column) in columns.iter().enumerate() {
            let (known, what): (fn(&str) -> bool, &str) = match column.domain {
                // `check_entries` and `check_values` have looked at these.
                Domain::Contract if self.table == Table::Data => continue,
                Domain::Any | Domain::Code | Domain::KeyType | Domain::Value => continue,
                Domain::Words(words) => {
                    check_texts(batch, index, |text| words.contains(&text), |text| unknown(text, words))
                        .map_err(bad)?;
                    continue;
                }
                Domain::Contract => (is_contract, "a strkey C…"),
                Domain::Account => (is_account, "a strkey G…"),
                Domain::Holder => (is_holder, "a strkey C…, G…, M…, B… or L…"),
                Domain::Hash => (is_base16_hash, "a SHA-256"),
            };
            check_texts(batch, index, known, |text| format!("{} is not {what}", shown(text))).map_err(bad)?;
        }
        match Claims::of(self.table, batch) {
            Some(claims) => self.report_false_claims(&claims),
            None => Ok(()),
        }
    }

    /// Logs the first row that names an asset whose contract is another. The row is kept: it is what the source said of the
    /// chain. Nothing is learnt from it.
    fn report_false_claims(&mut self, claims: &Claims<'_>) -> Result<()> {
        for row in (0..claims.rows()).filter(|&row| claims.types.is_valid(row)) {
            if claims.is_true(row, &self.network)? {
                continue;
            }
            self.false_claims += 1;
            if self.false_claims == 1 {
                tracing::warn!(
                    ledger = claims.ledgers.value(row),
                    contract_id = claims.contracts.value(row),
                    asset_type = claims.types.value(row),
                    asset_code = text_of(claims.codes, row).map(shown),
                    asset_issuer = text_of(claims.issuers, row),
                    "a row names an asset whose contract is another: kept the row, and did not learn the asset"
                );
            }
        }
        Ok(())
    }

    /// Contract, key, its type, durability, and their hash.
    fn check_entries(&mut self, batch: &RecordBatch, keys: &Keys<'_>) -> Result<(), (usize, Wrong)> {
        let hashes = batch.column(position::LEDGER_KEY_HASH).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let Some(hash) = self.entries.hash(keys, row).map_err(|wrong| (row, wrong))? else { continue };
            if !is_base16_of(hashes.value(row), &hash) {
                let cause = format!(
                    "{} is not the hash of contract, key and durability, {}",
                    shown(hashes.value(row)),
                    base16(&hash)
                );
                return Err((row, (position::LEDGER_KEY_HASH, cause)));
            }
        }
        Ok(())
    }

    /// `val_xdr`, and the balance that it contains.
    fn check_values(&mut self, batch: &RecordBatch) -> Result<(), (usize, Wrong)> {
        let values = batch.column(position::VAL_XDR).as_string::<i32>();
        let holders = batch.column(position::BALANCE_HOLDER);
        let balances = batch.column(position::BALANCE).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|&row| values.is_valid(row)) {
            value_bytes(values.value(row), &mut self.value)
                .map_err(|cause| (row, (position::VAL_XDR, cause)))?;
            if holders.is_valid(row) && balances.is_valid(row) {
                check_balance(balances.value(row), &self.value)
                    .map_err(|cause| (row, (position::BALANCE, cause)))?;
            }
        }
        Ok(())
    }
}

/// What rows of `data` or `assets` say of assets.
pub(crate) struct Claims<'a> {
    ledgers: &'a UInt32Array,
    contracts: &'a StringArray,
    types: &'a StringArray,
    codes: &'a StringArray,
    issuers: &'a StringArray,
}

/// An asset that a row names: its contract, type, code and issuer.
pub(crate) type NamedAsset<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

impl<'a> Claims<'a> {
    /// The claims in a staged batch; `None` for a table that names no assets.
    pub(crate) fn of(table: Table, batch: &'a RecordBatch) -> Option<Self> {
        let at = match table {
            Table::Data => {
                [position::CONTRACT_ID, position::ASSET_TYPE, position::ASSET_CODE, position::ASSET_ISSUER]
            }
            Table::Assets => {
                use position::assets::{ASSET_CODE, ASSET_ISSUER, ASSET_TYPE, CONTRACT_ID};
                [CONTRACT_ID, ASSET_TYPE, ASSET_CODE, ASSET_ISSUER]
            }
            Table::Ttl => return None,
        };
        let [contracts, types, codes, issuers] = at.map(|column| batch.column(column).as_string::<i32>());
        let ledgers = batch.column(table.ledger()).as_primitive::<UInt32Type>();
        Some(Claims { ledgers, contracts, types, codes, issuers })
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.types.len()
    }

    /// What a row says; `None` if it names no asset.
    pub(crate) fn row(&self, row: usize) -> Option<NamedAsset<'a>> {
        let asset_type = text_of(self.types, row)?;
        let (code, issuer) = (text_of(self.codes, row), text_of(self.issuers, row));
        Some((self.contracts.value(row), asset_type, code, issuer))
    }

    /// Whether the contract is that of the asset which the row names, on this network.
    pub(crate) fn is_true(&self, row: usize, network: &Network) -> Result<bool> {
        let Some((contract, asset_type, code, issuer)) = self.row(row) else { return Ok(false) };
        let Some(asset) = asset::named(asset_type, code, issuer) else { return Ok(false) };
        Ok(network.asset_contract(&asset)? == contract)
    }
}

/// A text; `None` for null.
fn text_of(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// What a change did is one of the known numbers, and a removal is one that removed.
fn check_changes(batch: &RecordBatch) -> Result<(), (usize, Wrong)> {
    let changes = batch.column(position::LEDGER_ENTRY_CHANGE).as_primitive::<UInt32Type>();
    let deleted = batch.column(position::DELETED).as_boolean();
    for row in (0..changes.len()).filter(|&row| changes.is_valid(row)) {
        let cause = match (changes.value(row), deleted.value(row)) {
            (CREATED | UPDATED | RESTORED, false) | (REMOVED, true) => continue,
            (known @ (CREATED | UPDATED | RESTORED | REMOVED), deleted) => {
                format!("is {known}, but deleted is {deleted}")
            }
            (other, _) => format!(
                "{other} is none of {CREATED} (created), {UPDATED} (updated), {REMOVED} (removed), {RESTORED} (restored)"
            ),
        };
        return Err((row, (position::LEDGER_ENTRY_CHANGE, cause)));
    }
    Ok(())
}

/// A time to live that goes on says until when.
fn check_ends(batch: &RecordBatch) -> Result<(), (usize, Wrong)> {
    let changes = batch.column(position::ttl::CHANGE).as_string::<i32>();
    let ends = batch.column(position::ttl::LIVE_UNTIL_LEDGER);
    let row = (0..changes.len()).find(|&row| ends.is_null(row) && !ENDINGS.contains(&changes.value(row)));
    let cause = |row| format!("is null, although the entry is {}", changes.value(row));
    row.map_or(Ok(()), |row| Err((row, (position::ttl::LIVE_UNTIL_LEDGER, cause(row)))))
}

/// The balance is the amount in the value.
fn check_balance(balance: i64, value: &[u8]) -> Result<(), String> {
    match balance_amount(value) {
        Some(amount) if amount == i128::from(balance) => Ok(()),
        Some(amount) => Err(format!("is {balance}, but val_xdr contains {amount}")),
        None => Err(format!("is {balance}, but val_xdr contains no i128 amount")),
    }
}

/// Checks each text of a column, once per run of equal ones.
fn check_texts(
    batch: &RecordBatch,
    column: usize,
    known: impl Fn(&str) -> bool,
    cause: impl Fn(&str) -> String,
) -> Result<(), (usize, Wrong)> {
    let texts = batch.column(column).as_string::<i32>();
    let mut last = None;
    for row in (0..texts.len()).filter(|&row| texts.is_valid(row)) {
        let text = texts.value(row);
        if last != Some(text) && !known(text) {
            return Err((row, (column, cause(text))));
        }
        last = Some(text);
    }
    Ok(())
}

/// Whether this is the strkey of a contract.
fn is_contract(text: &str) -> bool {
    stellar_strkey::Contract::from_string(text).is_ok()
}

/// Whether this is the strkey of an account.
fn is_account(text: &str) -> bool {
    stellar_strkey::ed25519::PublicKey::from_string(text).is_ok()
}

/// Whether this is the strkey of anything that can hold a balance.
fn is_holder(text: &str) -> bool {
    matches!(
        Strkey::from_string(text),
        Ok(Strkey::PublicKeyEd25519(_)
            | Strkey::Contract(_)
            | Strkey::MuxedAccountEd25519(_)
            | Strkey::ClaimableBalance(_)
            | Strkey::LiquidityPool(_))
    )
}

/// The cause for a word that is none of these.
fn unknown(word: &str, words: &[&str]) -> String {
    format!("{} is none of {}", shown(word), words.join(", "))
}

/// A value in a message: quoted, and its first 80 characters if it is longer.
fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
