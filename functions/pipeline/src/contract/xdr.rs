//! Values and their XDR: the identity of an entry, the exact amount of a balance, and hexadecimal.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use stellar_xdr::{ContractDataDurability, LedgerEntryType, Limits, ReadXdr, ScVal, ScValType};

use super::tables::DURABILITIES;
use super::walk;

/// The bytes behind a base64 SCVal, into `bytes`. Only the canonical spelling is accepted, so that equal values have equal texts.
///
/// # Errors
/// The reason why it is none.
pub(crate) fn value_bytes(base64: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    bytes.clear();
    let decoded = STANDARD.decode_vec(base64, bytes).map_err(|e| e.to_string());
    let checked = decoded.and_then(|()| walk::check(bytes).map_err(|e| e.to_string()));
    checked.map_err(|cause| format!("is not base64 XDR of an SCVal: {cause}"))
}

/// The amount of a balance entry, given the bytes of its value: the `amount` of its map, or the bare i128 of older contracts.
pub(crate) fn balance_amount(bytes: &[u8]) -> Option<i128> {
    if let Some(amount) = walk::asset_balance(bytes) {
        return Some(amount);
    }
    let value = ScVal::from_xdr(bytes, Limits { depth: walk::DEPTH, len: bytes.len() }).ok()?;
    let amount = match &value {
        ScVal::I128(_) => Some(&value),
        ScVal::Map(Some(map)) => map
            .iter()
            .find(|entry| matches!(&entry.key, ScVal::Symbol(name) if name.as_slice() == b"amount"))
            .map(|entry| &entry.val),
        _ => None,
    };
    match amount {
        Some(ScVal::I128(parts)) => Some((i128::from(parts.hi) << 64) | i128::from(parts.lo)),
        _ => None,
    }
}

/// The column `contract_key_type` of a key, given its bytes.
pub(crate) fn key_type_of(bytes: &[u8]) -> Option<&'static str> {
    let (number, _) = bytes.split_first_chunk()?;
    KEY_TYPES.get(usize::try_from(u32::from_be_bytes(*number)).ok()?).copied()
}

/// The column `contract_key_type` of a type of keys.
pub fn key_type(of: ScValType) -> &'static str {
    KEY_TYPES[of as usize]
}

/// The column `contract_key_type`, by number of the type.
pub(crate) const KEY_TYPES: [&str; 23] = [
    "ScValTypeScvBool",
    "ScValTypeScvVoid",
    "ScValTypeScvError",
    "ScValTypeScvU32",
    "ScValTypeScvI32",
    "ScValTypeScvU64",
    "ScValTypeScvI64",
    "ScValTypeScvTimepoint",
    "ScValTypeScvDuration",
    "ScValTypeScvU128",
    "ScValTypeScvI128",
    "ScValTypeScvU256",
    "ScValTypeScvI256",
    "ScValTypeScvBytes",
    "ScValTypeScvString",
    "ScValTypeScvSymbol",
    "ScValTypeScvVec",
    "ScValTypeScvMap",
    "ScValTypeScvAddress",
    "ScValTypeScvContractInstance",
    "ScValTypeScvLedgerKeyContractInstance",
    "ScValTypeScvLedgerKeyNonce",
    "ScValTypeScvExecutableTag",
];

/// The column `contract_durability`.
pub fn durability(durability: ContractDataDurability) -> &'static str {
    DURABILITIES[durability as usize]
}

/// The identity of a contract data entry, and of its TTL: the SHA-256 of its LedgerKey, from the contract's id, the XDR of the key and the durability's number.
pub(crate) fn entry_hash(contract: &[u8; 32], key: &[u8], durability: u32) -> [u8; 32] {
    // A LedgerKey is its type, the address (of the type "contract"), the key and the durability.
    let mut hash = Sha256::new();
    hash.update((LedgerEntryType::ContractData as u32).to_be_bytes());
    hash.update(1u32.to_be_bytes());
    hash.update(contract);
    hash.update(key);
    hash.update(durability.to_be_bytes());
    hash.finalize().into()
}

/// The digits of hexadecimal.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal.
pub fn base16(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_base16(&mut text, bytes);
    text
}

/// Appends lower-case hexadecimal.
pub fn push_base16(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Whether this is a SHA-256 in lower-case hexadecimal.
pub fn is_base16_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| DIGITS.contains(&digit))
}

/// Whether the text is the lower-case hexadecimal of a hash.
pub(crate) fn is_base16_of(text: &str, hash: &[u8; 32]) -> bool {
    text.len() == 64
        && text.as_bytes().chunks_exact(2).zip(hash).all(|(pair, byte)| {
            pair[0] == DIGITS[usize::from(byte >> 4)] && pair[1] == DIGITS[usize::from(byte & 15)]
        })
}

#[cfg(test)]
mod tests {
    use stellar_xdr::{ContractId, Hash, LedgerKey, LedgerKeyContractData, ScAddress, WriteXdr};

    use super::*;

    fn decoded(base64: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        value_bytes(base64, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn the_hash_is_that_of_a_real_entry_and_of_the_ledger_key() {
        // pubnet, ledger 51340657, the first change
        let contract = "CBZJDM4CRWMIMHIDXIZUE7WB3ZAO6FKC3NIK2YT35335F2THKSHRHXDL";
        let contract = stellar_strkey::Contract::from_string(contract).unwrap().0;
        let mut key = Vec::new();
        value_bytes("AAAAEAAAAAEAAAACAAAADwAAAAVUb2tlbgAAAAAAAAMAAAEf", &mut key).unwrap();
        let value = ScVal::from_xdr(&key, Limits::none()).unwrap();
        let hash = base16(&entry_hash(&contract, &key, ContractDataDurability::Persistent as u32));
        assert_eq!(hash, "36fe1cfb21bd9a01c48ddb5564f959b935273d89dd6c26da5eab159b02f064f1");
        for durability in ContractDataDurability::VARIANTS {
            let ledger_key = LedgerKey::ContractData(LedgerKeyContractData {
                contract: ScAddress::Contract(ContractId(Hash(contract))),
                key: value.clone(),
                durability,
            });
            let whole: [u8; 32] = Sha256::digest(ledger_key.to_xdr(Limits::none()).unwrap()).into();
            assert_eq!(whole, entry_hash(&contract, &key, durability as u32));
        }
    }

    #[test]
    fn the_names_are_those_of_the_xdr() {
        assert_eq!(ScValType::VARIANTS.len(), KEY_TYPES.len());
        for variant in ScValType::VARIANTS {
            assert_eq!(key_type(variant), format!("ScValTypeScv{}", variant.name()));
        }
        for variant in ContractDataDurability::VARIANTS {
            assert_eq!(durability(variant), format!("ContractDataDurability{}", variant.name()));
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_a_value_is_accepted() {
        assert_eq!(decoded("AAAAAQ=="), Ok(vec![0, 0, 0, 1]));
        for other in
            ["", "AAAAAQ", "AAAAAR==", "AAAA AQ==", "AAAAAQ==\n", "AAAA", "AAAAAQAAAAA=", "AAAAYw==", "Void"]
        {
            assert!(decoded(other).unwrap_err().starts_with("is not base64 XDR of an SCVal: "), "{other}");
        }
    }

    #[test]
    fn amounts_are_exact_over_the_whole_i128() {
        for amount in [0, 1, -1, i128::from(i64::MAX) + 1, i128::MAX, i128::MIN] {
            let hi = i64::try_from(amount >> 64).unwrap();
            let lo = u64::try_from(amount & i128::from(u64::MAX)).unwrap();
            let bare = ScVal::I128(stellar_xdr::Int128Parts { hi, lo });
            let map = stellar_xdr::ScMap::sorted_from_pairs(
                [(ScVal::Symbol("amount".try_into().unwrap()), bare.clone()), (ScVal::Void, ScVal::Void)]
                    .into_iter(),
            );
            for value in [bare, ScVal::Map(Some(map.unwrap()))] {
                assert_eq!(balance_amount(&value.to_xdr(Limits::none()).unwrap()), Some(amount));
            }
        }
        assert_eq!(balance_amount(&[0, 0, 0, 1]), None);
    }
}
