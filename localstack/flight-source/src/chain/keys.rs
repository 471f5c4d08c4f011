//! Ledger keys: the key of an entry in base64, and the hash that identifies the entry on the network.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipeline::contract::xdr::{base16, push_base16};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataDurability, ContractId, Error, Hash, LedgerKey, LedgerKeyContractData, Limits, ScAddress,
    ScVal, UInt128Parts, WriteXdr,
};

use super::values::Template;
use crate::asset::{symbol, vec};
use crate::columns::key_type;

/// The kind of value of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// A balance of an asset contract, of the holder of this rank.
    Balance { holder: u16, rank: u32 },
    /// The contract's instance.
    Instance,
    /// An amount of a token that is no Stellar asset, of the holder of this rank.
    Amount { rank: u32 },
    /// What one may spend of another's tokens.
    Allowance,
    /// The owner of a thing.
    Owner,
    /// Any other value.
    Any,
}

/// One entry of a contract.
#[derive(Debug)]
pub(crate) struct Key {
    /// The index of the contract in the cast.
    pub(crate) contract: u16,
    /// The column `contract_key_type`.
    pub(crate) key_type: Box<str>,
    pub(crate) persistent: bool,
    pub(crate) content: Content,
    /// Base64.
    pub(crate) xdr: Box<str>,
    /// SHA-256 of the ledger key, in hex.
    pub(crate) hash: Box<str>,
}

impl Key {
    /// The key `key` of the contract with this index and id.
    pub(crate) fn new(
        (contract, id): (u16, [u8; 32]),
        key: ScVal,
        persistent: bool,
        content: Content,
    ) -> Result<Self, Error> {
        let key_type = key_type(&key).into();
        let xdr = BASE64_STANDARD.encode(key.to_xdr(Limits::none())?).into_boxed_str();
        let hash = base16(&Sha256::digest(ledger_key(id, key, persistent)?));
        Ok(Self { contract, key_type, persistent, content, xdr, hash: hash.into_boxed_str() })
    }
}

/// The XDR of the ledger key.
fn ledger_key(contract: [u8; 32], key: ScVal, persistent: bool) -> Result<Vec<u8>, Error> {
    let durability = durability_of(persistent);
    let contract = address(contract);
    LedgerKey::ContractData(LedgerKeyContractData { contract, key, durability }).to_xdr(Limits::none())
}

/// The durability of a persistent or a temporary entry.
pub(crate) fn durability_of(persistent: bool) -> ContractDataDurability {
    if persistent { ContractDataDurability::Persistent } else { ContractDataDurability::Temporary }
}

/// The key `[Name, Address]`, under which token contracts store the balance of a holder.
pub(crate) fn of_holder(name: &str, holder: ScAddress) -> Result<ScVal, Error> {
    vec(vec![symbol(name)?, ScVal::Address(holder)])
}

/// The address of a contract.
pub(crate) fn address(contract: [u8; 32]) -> ScAddress {
    ScAddress::Contract(ContractId(Hash(contract)))
}

/// The number in the key of an entry that is written only in this ledger, with this value.
pub(crate) fn one_off_number(ledger: u32, value: u64) -> u128 {
    u128::from(ledger) << 64 | u128::from(value)
}

/// Temporary entries of a contract, each with a U128 key that is used only once.
#[derive(Debug)]
pub(crate) struct OneOff {
    key: Template,
    ledger_key: Template,
}

impl OneOff {
    /// The column `contract_key_type` of these entries.
    pub(crate) const KEY_TYPE: &'static str = "ScValTypeScvU128";

    /// The entries of the contract with this id.
    pub(crate) fn new(contract: [u8; 32]) -> Result<Self, Error> {
        let number = |fill| {
            let half = u64::from_be_bytes([fill; 8]);
            ScVal::U128(UInt128Parts { hi: half, lo: half })
        };
        Ok(Self {
            key: Template::new(|fill| Ok(number(fill)))?,
            ledger_key: Template::of(|fill| ledger_key(contract, number(fill), false))?,
        })
    }

    /// Writes the key in base64 and the hash of the entry with this number into the strings; `xdr` is a scratch buffer.
    pub(crate) fn write(&self, number: u128, xdr: &mut Vec<u8>, key: &mut String, hash: &mut String) {
        key.clear();
        self.key.put(&[&number.to_be_bytes()], xdr);
        BASE64_STANDARD.encode_string(&xdr, key);
        hash.clear();
        self.ledger_key.put(&[&number.to_be_bytes()], xdr);
        push_base16(hash, &Sha256::digest(xdr));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_off_key_hashes_like_any_key() {
        let (contract, number) = ([5; 32], 0x0123_4567_89ab_cdef_0011_2233_4455_6677u128);
        let parts = UInt128Parts { hi: (number >> 64) as u64, lo: number as u64 };
        let whole = Key::new((0, contract), ScVal::U128(parts), false, Content::Any).unwrap();
        let (mut key, mut hash) = (String::new(), String::new());
        OneOff::new(contract).unwrap().write(number, &mut Vec::new(), &mut key, &mut hash);
        assert_eq!((key.as_str(), hash.as_str()), (&*whole.xdr, &*whole.hash));
        assert_eq!(&*whole.key_type, OneOff::KEY_TYPE);
    }
}
