//! Handmade rows of contract data: valid by default, and every field can be made invalid.

use stellar_xdr::{ContractExecutable, Hash, Int128Parts, ScContractInstance, ScVal};

use crate::{asset::Asset, xdr};

pub use crate::schema::{batch, schema};
pub use crate::xdr::{contract, holder, issuer, wasm_hash};

/// `contract_key_type` of an ordinary key, which is a vector.
pub const VEC: &str = "ScValTypeScvVec";
/// `contract_key_type` of a contract's instance entry.
pub const INSTANCE: &str = "ScValTypeScvLedgerKeyContractInstance";
/// `contract_durability` of entries that outlive their expiry.
pub const PERSISTENT: &str = "ContractDataDurabilityPersistent";
/// `contract_durability` of entries that do not.
pub const TEMPORARY: &str = "ContractDataDurabilityTemporary";

/// One change of one ledger entry: the 19 columns of a source.
///
/// The methods keep the row consistent (`ledger_key_hash` follows contract, key and durability); a test that needs an
/// inconsistent row sets the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the source, under their own names")]
pub struct Row {
    pub contract_id: String,
    pub contract_key_type: String,
    pub contract_durability: String,
    pub asset_code: Option<String>,
    pub asset_issuer: Option<String>,
    pub asset_type: Option<String>,
    pub balance_holder: Option<String>,
    pub balance: Option<i64>,
    pub last_modified_ledger: u32,
    pub deleted: bool,
    pub ledger_sequence: u32,
    /// Microseconds since 1970.
    pub closed_at: i64,
    pub ledger_key_hash: Option<String>,
    pub key_xdr: Option<String>,
    pub val_xdr: Option<String>,
    pub contract_instance_type: Option<String>,
    pub contract_instance_wasm_hash: Option<String>,
    pub expiration_ledger_seq: Option<u32>,
    pub ledger_entry_change: Option<u32>,
}

impl Row {
    /// An ordinary, persistent entry of contract 1 under key 1, changed in this ledger.
    pub fn at(ledger: u32) -> Row {
        Row {
            contract_id: contract(1),
            contract_key_type: VEC.to_owned(),
            contract_durability: PERSISTENT.to_owned(),
            asset_code: None,
            asset_issuer: None,
            asset_type: None,
            balance_holder: None,
            balance: None,
            last_modified_ledger: ledger,
            deleted: false,
            ledger_sequence: ledger,
            closed_at: closed_at(ledger),
            ledger_key_hash: None,
            key_xdr: None,
            val_xdr: None,
            contract_instance_type: None,
            contract_instance_wasm_hash: None,
            expiration_ledger_seq: Some(ledger.saturating_add(120_960)),
            ledger_entry_change: None,
        }
        .key(1)
        .value(0)
    }

    /// Belongs to contract number `n`.
    pub fn contract(self, n: u32) -> Row {
        self.of_contract(contract(n))
    }

    /// Belongs to the contract with this strkey.
    pub fn of_contract(mut self, contract_id: impl Into<String>) -> Row {
        self.contract_id = contract_id.into();
        self.hashed()
    }

    /// Has the key number `k`.
    pub fn key(self, k: u32) -> Row {
        self.keyed(VEC, &xdr::vector(vec![xdr::symbol("Key"), ScVal::U32(k)]))
    }

    /// Has this number as its value.
    pub fn value(mut self, value: u64) -> Row {
        self.val_xdr = Some(xdr::base64(&ScVal::U64(value)));
        self
    }

    /// Has a value of at least this many characters of base64.
    pub fn value_of_size(mut self, characters: usize) -> Row {
        let bytes = vec![b'x'; characters / 4 * 3 + 3];
        self.val_xdr = Some(xdr::base64(&bytes.try_into().expect("a value of bytes")));
        self
    }

    /// Is a temporary entry.
    pub fn temporary(mut self) -> Row {
        self.contract_durability = TEMPORARY.to_owned();
        self.hashed()
    }

    /// Was last modified in this ledger.
    pub fn last_modified(mut self, ledger: u32) -> Row {
        self.last_modified_ledger = ledger;
        self
    }

    /// Lives until that ledger.
    pub fn expires(mut self, ledger: u32) -> Row {
        self.expiration_ledger_seq = Some(ledger);
        self
    }

    /// Says what it did to its entry: 0 created, 1 updated, 2 removed, 4 restored.
    pub fn change(mut self, change: u32) -> Row {
        self.ledger_entry_change = Some(change);
        self
    }

    /// Is the removal of the entry, which keeps the ledger of the previous modification.
    pub fn deleted(mut self) -> Row {
        self.deleted = true;
        self.last_modified_ledger = self.ledger_sequence.saturating_sub(1);
        self
    }

    /// Is the balance of account number `holder` in an asset's contract.
    pub fn balance(self, holder: u32, amount: i128) -> Row {
        self.balance_of(&xdr::holder(holder), amount)
    }

    /// Is the balance of this `G…` or `C…`: null beyond int64, always in `val_xdr`.
    pub fn balance_of(self, holder: &str, amount: i128) -> Row {
        let key = xdr::vector(vec![xdr::symbol("Balance"), ScVal::Address(xdr::address(holder))]);
        let parts = Int128Parts { hi: (amount >> 64) as i64, lo: amount as u64 };
        let value = xdr::map(vec![
            ("amount", ScVal::I128(parts)),
            ("authorized", ScVal::Bool(true)),
            ("clawback", ScVal::Bool(false)),
        ]);
        let mut row = self.keyed(VEC, &key);
        row.val_xdr = Some(xdr::base64(&value.into()));
        row.balance_holder = Some(holder.to_owned());
        row.balance = i64::try_from(amount).ok();
        row
    }

    /// Is the instance entry of an asset's contract: the only kind of row that names the asset.
    pub fn instance(self, asset: &Asset) -> Row {
        let mut row = self.instance_of(ContractExecutable::StellarAsset);
        row.contract_instance_type = Some("stellar_asset".to_owned());
        row.asset_type = Some(asset.type_name().to_owned());
        if let Asset::Credit { code, issuer } = asset {
            row.asset_code = Some(code.clone());
            row.asset_issuer = Some(issuer.clone());
        }
        row
    }

    /// Is the instance entry of a contract that runs wasm code number `code`.
    pub fn wasm_instance(self, code: u32) -> Row {
        let hash = wasm_hash(code);
        let mut row =
            self.instance_of(ContractExecutable::Wasm(hash.parse::<Hash>().expect("64 hex characters")));
        row.contract_instance_type = Some("wasm".to_owned());
        row.contract_instance_wasm_hash = Some(hash);
        row
    }

    fn instance_of(self, executable: ContractExecutable) -> Row {
        let mut row = self.keyed(INSTANCE, &ScVal::LedgerKeyContractInstance);
        let instance = ScContractInstance { executable, storage: None };
        row.val_xdr = Some(xdr::base64(&ScVal::ContractInstance(instance)));
        row
    }

    /// Has this key.
    pub fn keyed(mut self, key_type: &str, key: &ScVal) -> Row {
        self.contract_key_type = key_type.to_owned();
        self.key_xdr = Some(xdr::base64(key));
        self.hashed()
    }

    /// Recomputes `ledger_key_hash`, for a test that set the fields it depends on.
    pub fn hashed(mut self) -> Row {
        self.ledger_key_hash = self
            .key_xdr
            .as_deref()
            .and_then(|key| xdr::ledger_key_hash(&self.contract_id, key, &self.contract_durability));
        self
    }
}

/// When a synthetic ledger closed: every five seconds since the real chain began, in microseconds since 1970.
pub fn closed_at(ledger: u32) -> i64 {
    const GENESIS: i64 = 1_443_571_200; // 2015-09-30, UTC
    (GENESIS + 5 * i64::from(ledger)) * 1_000_000
}
